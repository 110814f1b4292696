"""Signs SAML by hand, so that whatever XML Signature can express can be put into a document, sound or not.

Canonical forms are libxml2's, digests and signatures OpenSSL's. `xmlsec1` is the second opinion on the result.
"""

import base64
import datetime
import hashlib
import hmac
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from lxml import etree

DSIG = "http://www.w3.org/2000/09/xmldsig#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
ENC = "http://www.w3.org/2001/04/xmlenc#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DSIG + "enveloped-signature"

DIGESTS = {
    DSIG + "sha1": hashlib.sha1,
    ENC + "sha256": hashlib.sha256,
    MORE + "sha384": hashlib.sha384,
    ENC + "sha512": hashlib.sha512,
}


@dataclass
class Key:
    """A private key, never written anywhere but for a run of xmlsec1, and its self-signed certificate."""

    private: object
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example")])
        start = datetime.datetime(2020, 1, 1)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.private.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(start)
        # Long over: certificates in metadata are envelopes for keys.
        builder = builder.not_valid_after(start + datetime.timedelta(days=365))
        self.certificate = builder.sign(self.private, hashes.SHA256())

    @property
    def certificate_base64(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()

    @property
    def private_pem(self) -> bytes:
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, method: str, data: bytes) -> bytes:
        kind, _, digest = method.partition("#")[2].partition("-")
        algorithm = {"sha1": hashes.SHA1, "sha256": hashes.SHA256, "sha384": hashes.SHA384, "sha512": hashes.SHA512}[digest]()
        if kind == "hmac":
            # The classic confusion: the public key as the secret of an HMAC.
            return hmac.new(self.certificate.public_bytes(serialization.Encoding.PEM), data, digest).digest()
        if kind == "rsa":
            return self.private.sign(data, padding.PKCS1v15(), algorithm)
        size = (self.private.key_size + 7) // 8
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(algorithm)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def rsa_key(bits=2048) -> Key:
    return Key(rsa.generate_private_key(65537, bits))


def ec_key(curve) -> Key:
    return Key(ec.generate_private_key(curve))


def canonical(element, prefixes=(), comments=False, exclusive=True) -> bytes:
    options = {"inclusive_ns_prefixes": list(prefixes)} if exclusive and prefixes else {}
    return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=comments, **options)


@dataclass
class Style:
    """How a signature is written. The defaults are sound."""

    method: str = MORE + "rsa-sha256"
    digest: str = ENC + "sha256"
    prefixes: tuple = ()
    info_prefixes: tuple = ()
    canonicalization: str = EXCLUSIVE
    # Whole elements, `{c14n}` being the sound canonicalization.
    transforms: tuple = (f'<ds:Transform Algorithm="{ENVELOPED}"/>', "{c14n}")
    uri: str | None = None
    # Around the reference; `{reference}` is the sound one.
    references: str = "{reference}"
    # Around the parts; `{info}`, `{value}` and `{key_info}` are the sound ones.
    parts: str = "{info}{value}{key_info}"
    key_info: str = ""
    method_content: str = ""
    value: str = "{value}"
    # Applied to the digest's text after everything was signed.
    break_digest: bool = False
    # Signs the digest of something else.
    wrong_digest: bool = False
    der: bool = False


def inclusive(prefixes) -> str:
    return f'<ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="{" ".join(prefixes)}"/>' if prefixes else ""


def find(root, identity):
    return next(element for element in root.iter() if element.get("ID") == identity)


def sign(text: str, marker: str, identity: str, key: Key, style: Style = None) -> str:
    """Replaces `marker` in `text` by a signature of the element with this ID."""
    style = style or Style()
    parser = etree.XMLParser(resolve_entities=False, strip_cdata=False, huge_tree=True)
    bare = etree.fromstring(text.replace(marker, "").encode(), parser)
    signed = canonical(find(bare, identity), style.prefixes)
    digest = base64.b64encode(DIGESTS[style.digest](signed + b"x" * style.wrong_digest).digest()).decode()
    sound = f'<ds:Transform Algorithm="{EXCLUSIVE}">{inclusive(style.prefixes)}</ds:Transform>'
    transforms = "".join(transform.replace("{c14n}", sound) for transform in style.transforms)
    uri = f' URI="#{identity}"' if style.uri is None else style.uri
    reference = (
        f"<ds:Reference{uri}><ds:Transforms>{transforms}</ds:Transforms>"
        f'<ds:DigestMethod Algorithm="{style.digest}"/><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>'
    )
    info = (
        f'<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{style.canonicalization}">{inclusive(style.info_prefixes)}'
        f'</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{style.method}">{style.method_content}'
        f"</ds:SignatureMethod>{style.references.replace('{reference}', reference)}</ds:SignedInfo>"
    )
    parts = style.parts.replace("{info}", info).replace("{key_info}", style.key_info)
    parts = parts.replace("{value}", "<ds:SignatureValue>@VALUE@</ds:SignatureValue>")
    whole = text.replace(marker, f'<ds:Signature xmlns:ds="{DSIG}">{parts}</ds:Signature>')
    tree = etree.fromstring(whole.encode(), parser)
    values = [value for value in tree.iter(f"{{{DSIG}}}SignatureValue") if value.text == "@VALUE@"]
    signed_info = values[0].getparent().find(f"{{{DSIG}}}SignedInfo")
    exclusive = "exc-c14n" in style.canonicalization
    info_bytes = canonical(signed_info, style.info_prefixes, "WithComments" in style.canonicalization, exclusive)
    if style.der:
        value = key.private.sign(info_bytes, ec.ECDSA(hashes.SHA256()))
    else:
        value = key.sign(style.method, info_bytes)
    return whole.replace("@VALUE@", style.value.replace("{value}", base64.b64encode(value).decode()))


def xmlsec1(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(["xmlsec1", *arguments], capture_output=True, text=True)


ID_ATTRIBUTES = (
    "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response",
    "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:assertion:Assertion",
)


def xmlsec1_verifies(text: str, key: Key) -> bool:
    """Whether xmlsec1 finds the first signature of a document good."""
    with tempfile.TemporaryDirectory() as top:
        document, certificate = Path(top, "document.xml"), Path(top, "certificate.pem")
        document.write_bytes(text.encode())
        certificate.write_bytes(key.certificate.public_bytes(serialization.Encoding.PEM))
        checked = xmlsec1(
            "--verify", "--enabled-reference-uris", "same-doc", "--pubkey-cert-pem", certificate, *ID_ATTRIBUTES, document
        )
        return checked.returncode == 0


def xmlsec1_signs(text: str, marker: str, identity: str, key: Key, prefixes=()) -> str:
    """Replaces `marker` by a signature that xmlsec1 makes.

    Unlike lxml, which forgets it, xmlsec1 knows `#default` among the prefixes.
    """
    template = (
        f'<ds:Signature xmlns:ds="{DSIG}"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}"/>'
        f'<ds:SignatureMethod Algorithm="{MORE}rsa-sha256"/><ds:Reference URI="#{identity}"><ds:Transforms>'
        f'<ds:Transform Algorithm="{ENVELOPED}"/><ds:Transform Algorithm="{EXCLUSIVE}">{inclusive(prefixes)}</ds:Transform>'
        "</ds:Transforms>"
        f'<ds:DigestMethod Algorithm="{ENC}sha256"/><ds:DigestValue/></ds:Reference></ds:SignedInfo>'
        "<ds:SignatureValue/></ds:Signature>"
    )
    with tempfile.TemporaryDirectory() as top:
        document, private = Path(top, "document.xml"), Path(top, "key.pem")
        document.write_bytes(text.replace(marker, template).encode())
        private.write_bytes(key.private_pem)
        done = xmlsec1("--sign", "--privkey-pem", private, *ID_ATTRIBUTES, document)
        assert done.returncode == 0, done.stderr
        return done.stdout
