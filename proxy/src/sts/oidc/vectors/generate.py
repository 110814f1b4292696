"""Writes tokens.json: key sets, tokens, and what must become of each at `now`.

    python3 generate.py > tokens.json        (needs `cryptography`)

Tokens are put together by hand, byte by byte, because most of them are ones that no library would make. Keys are new
at every run; their private halves are thrown away.
"""

import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW = 1_767_323_045
ISSUER = "https://idp.example/realm"
CLIENT = "sts.sigward.example"
HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


class Key:
    def __init__(self, private, kid, **jwk):
        self.private, self.kid = private, kid
        public = private.public_key()
        if isinstance(private, rsa.RSAPrivateKey):
            numbers = public.public_numbers()
            self.jwk = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
        elif isinstance(private, ec.EllipticCurvePrivateKey):
            numbers, size = public.public_numbers(), (private.key_size + 7) // 8
            self.jwk = {"kty": "EC", "crv": f"P-{private.key_size}"}
            self.jwk |= {"x": number(numbers.x, size), "y": number(numbers.y, size)}
        else:
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw())}
        if kid is not None:
            self.jwk["kid"] = kid
        self.jwk |= jwk

    def sign(self, alg: str, message: bytes) -> bytes:
        digest = HASHES.get(alg[2:])
        if alg.startswith("RS"):
            return self.private.sign(message, padding.PKCS1v15(), digest)
        if alg.startswith("PS"):
            pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
            return self.private.sign(message, pss, digest)
        if alg.startswith("ES"):
            size = (self.private.key_size + 7) // 8
            r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(digest)))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
        return self.private.sign(message)

    def der_signature(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    def pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, form)


def new_rsa(bits=2048):
    return rsa.generate_private_key(65537, bits)


RSA = Key(new_rsa(), "rsa")
PINNED = Key(RSA.private, "pinned", alg="RS256")
PSS = Key(RSA.private, "pss", alg="PS256")
P256 = Key(ec.generate_private_key(ec.SECP256R1()), "p256")
P384 = Key(ec.generate_private_key(ec.SECP384R1()), "p384", use="sig", alg="ES384")
P521 = Key(ec.generate_private_key(ec.SECP521R1()), "p521")
ED = Key(ed25519.Ed25519PrivateKey.generate(), "ed", key_ops=["verify"])
SHORT = Key(rsa.generate_private_key(65537, 1024), "short")  # noqa: S505
ENCRYPTION = Key(RSA.private, "encryption", use="enc")
SIGNER = Key(RSA.private, "signer", key_ops=["sign"])
ZERO = Key(RSA.private, "zero")
ZERO.jwk["n"] = b64(b"\0" + base64.urlsafe_b64decode(RSA.jwk["n"] + "=="))
OFF_CURVE = Key(P256.private, "off-curve")
OFF_CURVE.jwk["y"] = OFF_CURVE.jwk["x"]
WRONG_ALG = Key(RSA.private, "wrong-alg", alg="ES256")
NAMELESS = Key(RSA.private, None)
ATTACKER = Key(new_rsa(), "rsa")
SECRET = {"kty": "oct", "kid": "oct", "k": b64(b"secret"), "alg": "HS256"}

KEY_SETS = {
    "all": [
        SECRET,
        {"kty": "unheard-of", "kid": "new"},
        *(key.jwk for key in [RSA, PINNED, PSS, P256, P384, P521, ED, SHORT]),
        *(key.jwk for key in [ENCRYPTION, SIGNER, ZERO, OFF_CURVE, WRONG_ALG]),
    ],
    "one": [RSA.jwk],
    "nameless": [NAMELESS.jwk],
    "two nameless": [NAMELESS.jwk, Key(P256.private, None).jwk],
    "twins": [Key(P256.private, "twin").jwk, Key(RSA.private, "twin").jwk],
    "none": [],
}
CLAIMS = {"iss": ISSUER, "sub": "alice", "aud": CLIENT, "iat": NOW - 10, "exp": NOW + 300}

rows = []


def add(name, verdict, token, keys="all"):
    rows.append({"name": name, "verdict": verdict, "keys": keys, "token": token})


def text(value) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def mint(key=RSA, alg="RS256", header=None, claims=None, sign_with=None):
    """A token of `key`; `header` and `claims` add to the usual ones (None removes) or replace them as bytes."""
    usual = {"alg": alg, "typ": "JWT"} | ({"kid": key.kid} if key.kid else {})
    whole = [header or {}, claims or {}]
    for index, base in enumerate([usual, CLAIMS]):
        if isinstance(whole[index], dict):
            whole[index] = {k: v for k, v in (base | whole[index]).items() if v is not None}
    message = ".".join(b64(text(part)) for part in whole).encode()
    signature = sign_with(message) if sign_with else key.sign(alg, message)
    return f"{message.decode()}.{b64(signature)}"


def algorithms():
    for key, alg in [(RSA, "RS256"), (RSA, "RS384"), (RSA, "RS512"), (PINNED, "RS256"), (PSS, "PS256")]:
        add(f"{alg} by key {key.kid}", "accepted", mint(key, alg))
    add("ES256", "accepted", mint(P256, "ES256"))
    add("ES384", "accepted", mint(P384, "ES384"))
    add("EdDSA", "accepted", mint(ED, "EdDSA"))
    add("EdDSA by its newer name", "accepted", mint(ED, "Ed25519"))
    add("a modulus with a leading zero", "accepted", mint(ZERO))
    for size in ["384", "512"]:
        add(f"PS{size} by a key that says so", "accepted", mint(PSS, f"PS{size}"), f"PS{size}")
        KEY_SETS[f"PS{size}"] = [PSS.jwk | {"alg": f"PS{size}"}]
    add("RS512 by a key for RS256", "Algorithm", mint(PINNED, "RS512"))
    add("PS256 by a key for RS256", "Algorithm", mint(PINNED, "PS256"))
    add("RS256 by a key for PS256", "Algorithm", mint(PSS, "RS256"))
    add("PS256 by a key that does not say", "Algorithm", mint(RSA, "PS256"))
    add("ES384 by a key of P-256", "Algorithm", mint(P256, "ES384"))
    add("ES256 by a key of P-384", "Algorithm", mint(P384, "ES256"))
    add("RS256 claimed for a key of P-256", "Algorithm", mint(P256, "RS256", sign_with=lambda m: P256.sign("ES256", m)))
    add("ES256 claimed for an RSA key", "Algorithm", mint(RSA, "ES256", sign_with=lambda m: RSA.sign("RS256", m)))
    add("ES512", "Malformed", mint(P521, "ES512"))
    for alg in ["none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "RS1", "HS512", "dir", "ES256K", "RSA-OAEP"]:
        add(f"alg {alg!r}", "Malformed", mint(header={"alg": alg}))
    for alg in [None, 256, ["RS256"], {"RS256": 1}]:
        add(f"alg {alg!r}", "Malformed", mint(header={"alg": alg}))
    add("none without a signature", "Malformed", mint(header={"alg": "none"}, sign_with=lambda _: b""))
    n = base64.urlsafe_b64decode(RSA.jwk["n"] + "==")
    secrets = {"PEM": RSA.pem(), "PEM without its line end": RSA.pem().rstrip(), "modulus": n, "JWK": text(RSA.jwk)}
    for what, secret in secrets.items():
        mac = lambda m, secret=secret: hmac.digest(secret, m, hashlib.sha256)  # noqa: E731
        add(f"HS256 with the public key's {what}", "Malformed", mint(header={"alg": "HS256"}, sign_with=mac))
    shared = lambda m: hmac.digest(b"secret", m, hashlib.sha256)  # noqa: E731
    add("HS256 with a published secret", "Malformed", mint(header={"alg": "HS256", "kid": "oct"}, sign_with=shared))
    add("RS256 claimed for a published secret", "UnknownKey", mint(header={"kid": "oct"}, sign_with=shared))


def signatures():
    add("another key's signature", "Signature", mint(ATTACKER))
    for name, header in {
        "jwk": {"jwk": ATTACKER.jwk},
        "jku": {"jku": "https://attacker.example/jwks"},
        "x5u": {"x5u": "https://attacker.example/cert"},
        "x5c": {"x5c": ["MIIB"]},
    }.items():
        add(f"a key of its own in {name}", "Signature", mint(ATTACKER, header=header))
    add("a jku that is not looked at", "accepted", mint(header={"jku": "https://idp.example/jwks"}))
    add("zeros for ECDSA", "Signature", mint(P256, "ES256", sign_with=lambda _: bytes(64)))
    add("zeros for EdDSA", "Signature", mint(ED, "EdDSA", sign_with=lambda _: bytes(64)))
    add("an empty signature", "Signature", mint(sign_with=lambda _: b""))
    add("ECDSA in DER", "Signature", mint(P256, "ES256", sign_with=P256.der_signature))
    add("ECDSA over SHA-384", "Signature", mint(P256, "ES256", sign_with=lambda m: P256.sign("ES384", m)))
    add("RSA over SHA-512", "Signature", mint(sign_with=lambda m: RSA.sign("RS512", m)))
    add("a byte too many", "Signature", mint(sign_with=lambda m: RSA.sign("RS256", m) + b"\0"))
    add("a point off its curve", "Signature", mint(OFF_CURVE, "ES256"))
    header, claims, signature = mint().split(".")
    other = b64(text(CLAIMS | {"sub": "root"}))
    add("claims changed after signing", "Signature", f"{header}.{other}.{signature}")
    other = b64(text({"alg": "RS256", "kid": "rsa"}))
    add("header changed after signing", "Signature", f"{other}.{claims}.{signature}")


def keys():
    add("an unknown key id", "UnknownKey", mint(header={"kid": "rotated"}))
    add("no key id and many keys", "UnknownKey", mint(header={"kid": None}))
    add("no key id and one key", "accepted", mint(header={"kid": None}), "one")
    add("no key id and one key of another kind", "Algorithm", mint(P256, "ES256", header={"kid": None}), "one")
    add("a key id and one key without", "accepted", mint(header={"kid": "any"}), "nameless")
    add("a key id and one key of another", "UnknownKey", mint(header={"kid": "any"}), "one")
    add("a key id and two keys without", "UnknownKey", mint(header={"kid": "any"}), "two nameless")
    add("no keys", "UnknownKey", mint(), "none")
    add("one id for two kinds: RSA", "accepted", mint(header={"kid": "twin"}), "twins")
    add("one id for two kinds: EC", "accepted", mint(P256, "ES256", header={"kid": "twin"}), "twins")
    for key in [SHORT, ENCRYPTION, SIGNER, WRONG_ALG]:
        add(f"a key that cannot be used: {key.kid}", "UnknownKey", mint(key))
    tricks = ["../../../../dev/null", "/proc/self/environ", "x' UNION SELECT 'k", "rsa\0", " rsa", "RSA", "", "https://a/k"]
    for kid in tricks:
        add(f"kid {kid!r}", "UnknownKey", mint(header={"kid": kid}))
    for kid in [7, ["rsa"], {"rsa": 1}, "k" * 1025]:
        add(f"kid {str(kid)[:20]}", "Malformed", mint(header={"kid": kid}))


def forms():
    token = mint()
    header, claims, signature = token.split(".")
    add("an empty text", "Malformed", "")
    add("no dots", "Malformed", "abcd")
    add("two parts", "Malformed", f"{header}.{claims}")
    add("four parts", "Malformed", f"{token}.")
    add("five parts, as encryption has", "Malformed", f"{header}..{claims}.{claims}.{signature}")
    add("no claims", "Malformed", f"{header}..{signature}")
    add("no header", "Malformed", f".{claims}.{signature}")
    add("JSON serialization", "Malformed", json.dumps({"protected": header, "payload": claims, "signature": signature}))
    add("padding", "Malformed", f"{header}.{claims}.{signature}==")
    add("a line end", "Malformed", f"{token}\n")
    add("a blank before", "Malformed", f" {token}")
    add("the alphabet of base64", "Malformed", mint(sign_with=lambda _: b"\xff\xfe\xfd").replace("__79", "//79"))
    add("trailing bits", "Malformed", f"{header}.{claims}.AB")
    add("claims that are an array", "Malformed", mint(claims=b"[]"))
    add("claims that are a string: a token within", "Malformed", mint(claims=token.encode()))
    add("claims followed by more", "Malformed", mint(claims=text(CLAIMS) + b"{}"))
    add("claims that are not UTF-8", "Malformed", mint(claims=b'{"iss":"\xff"}'))
    add("a name twice in the claims", "Malformed", mint(claims=text(CLAIMS)[:-1] + b',"sub":"root"}'))
    add("a name twice by an escape", "Malformed", mint(claims=text(CLAIMS)[:-1] + b',"s\\u0075b":"root"}'))
    add("a name twice deep inside", "Malformed", mint(claims=text(CLAIMS)[:-1] + b',"x":{"a":1,"a":2}}'))
    add("a name twice in the header", "Malformed", mint(header=b'{"alg":"none","alg":"RS256","kid":"rsa"}'))
    for extra in [{"crit": ["b64"], "b64": False}, {"crit": []}, {"cty": "JWT"}, {"zip": "DEF"}, {"enc": "A128GCM"}]:
        add(f"header with {next(iter(extra))}: {len(str(extra))}", "Malformed", mint(header=extra))
    for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt", "JOSE", None]:
        add(f"typ {typ!r}", "accepted", mint(header={"typ": typ}))
    for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "", "JWTx", 1, ["JWT"]]:
        add(f"typ {typ!r}", "Malformed", mint(header={"typ": typ}))


def claims():
    for claim in ["iss", "sub", "aud", "exp", "iat"]:
        add(f"no {claim}", "Missing", mint(claims={claim: None}))
    for claim, values in {
        "iss": [1, ["https://idp.example/realm"]],
        "sub": ["", 1, ["alice"]],
        "aud": [[], 1, [1], [CLIENT, 1], {CLIENT: 1}],
        "azp": [1, [CLIENT]],
        "exp": [str(NOW + 300), NOW + 300.5, 1e300, True, [NOW + 300], 2**64],
        "iat": [str(NOW), 0.5],
        "nbf": [str(NOW), NOW + 0.5],
        "https://aws.amazon.com/source_identity": [1, ["alice"]],
        "https://aws.amazon.com/tags": [
            "x", [], {"principal_tags": "x"}, {"principal_tags": {"a": ["1", "2"]}}, {"principal_tags": {"a": []}},
            {"principal_tags": {"a": 1}}, {"transitive_tag_keys": 1}, {"transitive_tag_keys": {"a": 1}}, {"other": "x"},
        ],
        "https://aws.amazon.com/tags/other": ["x"],
        "https://aws.amazon.com/tags/principal_tags/a": [1, ["1", "2"]],
    }.items():
        for value in values:
            add(f"{claim} is {str(value)[:40]}", "Claim", mint(claims={claim: value}))
    add("null is no claim left out", "Claim", mint(claims=text(CLAIMS | {"azp": None})))
    add("expires now", "Expired", mint(claims={"exp": NOW}))
    add("expired long ago", "Expired", mint(claims={"exp": -1}))
    add("expires in a second", "accepted", mint(claims={"exp": NOW + 1}))
    add("never expires", "accepted", mint(claims={"exp": 2**63 - 1}))
    for claim in ["iat", "nbf"]:
        add(f"{claim} within the leeway", "accepted", mint(claims={claim: NOW + 60}))
        add(f"{claim} beyond the leeway", "NotYet", mint(claims={claim: NOW + 61}))
        add(f"{claim} beyond all times", "NotYet", mint(claims={claim: 2**63 - 1}))
    add("one audience of two", "accepted", mint(claims={"aud": ["other", CLIENT]}))
    add("another audience", "Audience", mint(claims={"aud": "other"}))
    add("an audience of another case", "Audience", mint(claims={"aud": CLIENT.upper()}))
    add("part of an audience", "Audience", mint(claims={"aud": CLIENT[:-1]}))
    add("no audience of two", "Audience", mint(claims={"aud": ["other", "another"]}))
    add("a party for a foreign audience", "accepted", mint(claims={"aud": "other", "azp": CLIENT}))
    add("a foreign party for the audience", "Audience", mint(claims={"aud": CLIENT, "azp": "other"}))
    add("an empty party", "Audience", mint(claims={"azp": ""}))
    for issuer in [ISSUER + "/", "https://idp.example", "http://idp.example/realm", "https://IDP.example/realm", ""]:
        add(f"issuer {issuer!r}", "UnknownProvider", mint(claims={"iss": issuer}))


def sessions():
    """What a session is made of: accepted as tokens; whether a session comes of it is the operation's to say."""
    tags = "https://aws.amazon.com/tags"
    identity = "https://aws.amazon.com/source_identity"
    nested = {"principal_tags": {"Project": ["x"], "Cost": ["7"]}, "transitive_tag_keys": ["Cost"]}
    add("a session with everything", "accepted", mint(claims={tags: nested, identity: "alice", "team": "red"}))
    add("a session with tags", "accepted", mint(claims={f"{tags}/principal_tags/Project": "x"}))
    add("a session with a source identity", "accepted", mint(claims={identity: "alice"}))
    add("a source identity of other letters", "accepted", mint(claims={identity: "al ice"}))
    add("a tag of other letters", "accepted", mint(claims={f"{tags}/principal_tags/a*": "x"}))
    add("a tag twice", "accepted", mint(claims={tags: {"principal_tags": {"a": ["1"], "A": ["2"]}}}))
    add("a reserved tag", "accepted", mint(claims={tags: {"principal_tags": {"aws:a": ["1"]}}}))
    add("a transitive tag that is not there", "accepted", mint(claims={tags: {"transitive_tag_keys": ["a"]}}))
    many = {f"k{n}": ["v"] for n in range(51)}
    add("too many tags", "accepted", mint(claims={tags: {"principal_tags": many}}))


for family in [algorithms, signatures, keys, forms, claims, sessions]:
    family()
assert len({row["name"] for row in rows}) == len(rows), "two rows of one name"
document = {
    "now": NOW,
    "issuer": ISSUER,
    "client": CLIENT,
    "key_sets": {name: {"keys": jwks} for name, jwks in KEY_SETS.items()},
    "tokens": rows,
}
json.dump(document, sys.stdout, indent=1)
print()
