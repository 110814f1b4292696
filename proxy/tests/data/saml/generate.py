#!/usr/bin/env python3
"""Makes the corpus beside it anew: `cases.json`, `responses/`, `metadata/` and `c14n.json`.

    python3 -m venv venv && venv/bin/pip install lxml signxml cryptography && apt-get install xmlsec1
    venv/bin/python generate.py

Keys are made for one run and thrown away. `cases.json` says of each response what must come of it: `accepted`,
or the start of the error as Rust prints it. Every case that is accepted is one that xmlsec1 verifies too, and for
the others its verdict is noted: what it calls good here is an attack that a signature alone does not stop.
"""

import base64
import json
import random
import shutil
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree
from signxml import SignatureConstructionMethod, XMLSigner

import c14n_cases
from signing import DSIG, ENC, ENVELOPED, EXCLUSIVE, MORE, Style, ec_key, rsa_key, sign, xmlsec1_signs, xmlsec1_verifies

HERE = Path(__file__).parent
NOW = "2026-01-02T03:04:05Z"
ISSUER = "https://idp.example/metadata"
ENDPOINT = "https://signin.aws.amazon.com/saml"
ROLE = "arn:aws:iam::123456789012:role/reader"
PROVIDER = "arn:aws:iam::123456789012:saml-provider/example"
AWS = "https://aws.amazon.com/SAML/Attributes/"
SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP = "urn:oasis:names:tc:SAML:2.0:protocol"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
R, A = "@SIGNATURE-OF-RESPONSE@", "@SIGNATURE-OF-ASSERTION@"

KEYS = {
    "rsa": rsa_key(), "second": rsa_key(), "stranger": rsa_key(), "rsa4096": rsa_key(4096), "weak": rsa_key(1024),
    "p256": ec_key(ec.SECP256R1()), "p384": ec_key(ec.SECP384R1()), "p521": ec_key(ec.SECP521R1()),
}


def attribute(name, *values, extra=""):
    inner = "".join(f"<saml:AttributeValue{extra}>{value}</saml:AttributeValue>" for value in values)
    return f'<saml:Attribute Name="{name}">{inner}</saml:Attribute>'


def subject(
    name='<saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice</saml:NameID>',
    recipient=f' Recipient="{ENDPOINT}"', until=' NotOnOrAfter="2026-01-02T03:09:00Z"', method="bearer", more="",
):
    return (
        f'<saml:Subject>{name}<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:{method}">'
        f"<saml:SubjectConfirmationData{until}{recipient}/></saml:SubjectConfirmation>{more}</saml:Subject>"
    )


def conditions(
    audience=ENDPOINT, window=' NotBefore="2026-01-02T03:04:00Z" NotOnOrAfter="2026-01-02T03:09:00Z"', more=""
):
    restriction = ""
    if audience is not None:
        restriction = f"<saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>"
    return f"<saml:Conditions{window}>{restriction}{more}</saml:Conditions>"


def authentication(session=""):
    return (
        f'<saml:AuthnStatement AuthnInstant="2026-01-02T03:04:00Z" SessionIndex="_s"{session}><saml:AuthnContext>'
        "<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
        "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
    )


ROLES = attribute(AWS + "Role", f"{ROLE},{PROVIDER}")
NAME = attribute(AWS + "RoleSessionName", "alice@example.com")


def assertion(
    identity="_a", issuer=ISSUER, issued="2026-01-02T03:04:00Z", version="2.0", marker=A, about=None, limits=None,
    authenticated=None, attributes=ROLES + NAME, declared=f' xmlns:saml="{SAML}"', extra="",
):
    return (
        f'<saml:Assertion{declared} ID="{identity}" IssueInstant="{issued}" Version="{version}">'
        f"<saml:Issuer>{issuer}</saml:Issuer>{marker}{subject() if about is None else about}"
        f"{conditions() if limits is None else limits}{authentication() if authenticated is None else authenticated}"
        f"{extra}<saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>"
    )


def response(
    content=None, identity="_r", issuer=f'<saml:Issuer xmlns:saml="{SAML}">{ISSUER}</saml:Issuer>', status=SUCCESS,
    destination=f' Destination="{ENDPOINT}"', version="2.0", before="", marker=R, more_status="",
):
    return (
        f'<samlp:Response xmlns:samlp="{SAMLP}" ID="{identity}" IssueInstant="2026-01-02T03:04:00Z"'
        f' Version="{version}"{destination}>{issuer}{marker}{before}<samlp:Status><samlp:StatusCode Value="{status}">'
        f"{more_status}</samlp:StatusCode></samlp:Status>{assertion() if content is None else content}</samlp:Response>"
    )


def signed(text, of="assertion", key="rsa", style=None):
    """Signs what `of` names and leaves the other marker out."""
    if of in ("assertion", "both"):
        text = sign(text.replace(R, "") if of == "assertion" else text.replace(R, f"<!--{R}-->"), A, "_a", KEYS[key], style)
    if of in ("response", "both"):
        text = sign(text.replace(A, "").replace(f"<!--{R}-->", R), R, "_r", KEYS[key], style)
    return text.replace(A, "").replace(R, "")


CASES = []


def case(name, text, verdict, metadata="default", raw=False, **claims):
    CASES.append({"name": name, "text": text, "verdict": verdict, "metadata": metadata, "raw": raw, "claims": claims})


def metadata(*names, entity=ISSUER, root="", role="", use=' use="signing"'):
    keys = "".join(
        f'<md:KeyDescriptor{use}><ds:KeyInfo xmlns:ds="{DSIG}"><ds:X509Data><ds:X509Certificate>'
        f"{KEYS[name].certificate_base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
        for name in names
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"'
        f' entityID="{entity}"{root}>\n<md:IDPSSODescriptor protocolSupportEnumeration="{SAMLP}"{role}>{keys}'
        f'<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"'
        f' Location="https://idp.example/sso"/></md:IDPSSODescriptor>\n</md:EntityDescriptor>\n'
    )


METADATA = {
    "default": metadata("rsa"),
    "several": metadata("second", "p384", "rsa", "p256"),
    "unmarked-use": metadata("rsa", use=""),
    "p256": metadata("p256"), "p384": metadata("p384"), "rsa4096": metadata("rsa4096"),
    "other-entity": metadata("rsa", entity="https://other.example/metadata"),
    "expired": metadata("rsa", root=' validUntil="2026-01-02T03:04:05Z"'),
    "expired-role": metadata("rsa", root=' validUntil="2027-01-01T00:00:00Z"', role=' validUntil="2026-01-01T00:00:00Z"'),
    "byte-order-mark": "\ufeff" + metadata("rsa"),
    "valid-until": metadata("rsa", root=' validUntil="2026-01-02T03:04:06Z"'),
}
BAD_METADATA = {
    "weak-key": (metadata("weak"), "Certificate { index: 1, source: Key }"),
    "unknown-curve": (metadata("rsa", "p521"), "Certificate { index: 2, source: Key }"),
    "no-key": (metadata(), 'Content("a certificate'),
    "only-encryption": (metadata("rsa", use=' use="encryption"'), 'Content("a certificate'),
    "no-certificate": (metadata("rsa").replace("X509Certificate", "X509SKI"), 'Content("exactly one X509Certificate'),
    "broken-certificate": (metadata("rsa").replace("MII", "MIJ", 1), "Certificate { index: 1, source: Malformed }"),
    "no-entity-id": (metadata("rsa").replace(" entityID=", " name="), 'Content("an entityID'),
    "service-provider": (metadata("rsa").replace("IDPSSO", "SPSSO"), 'Content("exactly one IDPSSODescriptor'),
    "saml-1.1": (metadata("rsa").replace(SAMLP, "urn:oasis:names:tc:SAML:1.1:protocol"), 'Content("an IDPSSODescriptor'),
    "another-root": (metadata("rsa").replace("EntityDescriptor", "EntitiesDescriptor"), 'Content("an EntityDescriptor'),
    "local-time": (metadata("rsa", root=' validUntil="2026-01-02T03:04:05+01:00"'), 'Content("times'),
    "doctype": (metadata("rsa").replace("<md:Entity", "<!DOCTYPE x><md:Entity", 1), 'Document(Forbidden("a document type'),
    "empty": ("", "Document(Malformed"),
    "seventeen-keys": (metadata(*["rsa"] * 17), 'Content("at most 16'),
}


def accepted():
    for of in ("response", "assertion", "both"):
        case(f"signed-{of}", signed(response(), of), "accepted")
    default = response(assertion(declared=f' xmlns="{SAML}"').replace("<saml:", "<").replace("</saml:", "</"))
    case("default-namespace", signed(default), "accepted")
    case("default-namespace-response", signed(default, "response"), "accepted")
    both_default = default.replace("<samlp:", "<").replace("</samlp:", "</").replace("xmlns:samlp", "xmlns")
    both_default = both_default.replace('"><StatusCode', f'" xmlns="{SAMLP}"><StatusCode')
    case("default-namespaces-nested", signed(both_default, "response"), "accepted")
    odd = response()
    for prefix, other in {"saml": "_x.1", "samlp": "Ünï-p"}.items():
        odd = odd.replace(f"{prefix}:", f"{other}:").replace(f"xmlns:{prefix}=", f"xmlns:{other}=")
    case("odd-prefixes", signed(odd), "accepted")
    case("odd-prefixes-response", signed(odd, "response"), "accepted")
    declared_outside = response(assertion(declared="")).replace(" ID=", f' xmlns:saml="{SAML}" xmlns:xs="urn:xs" ID=', 1)
    case("namespace-declared-outside", signed(declared_outside), "accepted")
    case("inclusive-prefixes", signed(declared_outside, style=Style(prefixes=("xs",), info_prefixes=("xs", "saml"))), "accepted")
    case("inclusive-prefixes-response", signed(declared_outside, "response", style=Style(prefixes=("xs", "nowhere"))), "accepted")
    case("inclusive-prefixes-both", signed(declared_outside, "both", style=Style(prefixes=("xs", "saml", "samlp"))), "accepted")
    typed = attribute(AWS + "Role", f"{ROLE},{PROVIDER}", extra=' xsi:type="xs:string"') + NAME
    typed = response(assertion(attributes=typed, declared=(
        f' xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:saml="{SAML}"'
    )))
    case("typed-values", signed(typed, style=Style(prefixes=("xs",))), "accepted")
    case("typed-values-exclusive", signed(typed), "accepted")
    shuffled = response().replace(
        f'ID="_a" IssueInstant="2026-01-02T03:04:00Z" Version="2.0"',
        "\n  Version = '2.0'\tIssueInstant='2026-01-02T03:04:00Z'   ID=\n'_a' ",
    )
    case("attribute-order", signed(shuffled), "accepted")
    case("attribute-order-response", signed(shuffled, "response"), "accepted")
    name = lambda inner: response(assertion(about=subject(name=f"<saml:NameID>{inner}</saml:NameID>")))
    case("cdata", signed(name("<![CDATA[a<b>&amp;]]>lice")), "accepted", subject="a<b>&amp;lice")
    case("references", signed(name("&#97;&#x6C;ice&amp;&lt;&gt;&quot;&apos;&#13;&#x1F511;")), "accepted", subject="alice&<>\"'\r🔑")
    case("not-ascii", signed(name("Ünïcødé 漢字 🔑")), "accepted", subject="Ünïcødé 漢字 🔑")
    case("not-ascii-response", signed(name("Ünïcødé 漢字 🔑"), "response"), "accepted", subject="Ünïcødé 漢字 🔑")
    case("comment-in-name-id", signed(name("alice@example.com<!-- -->.evil.example")), "accepted", subject="alice@example.com.evil.example")
    # Put in by whoever carries the message: the canonical form is the same, and so must the name be.
    late = signed(name("alice@example.com.evil.example")).replace("com.evil", "com<!--x-->.evil")
    case("comment-in-name-id-after-signing", late, "accepted", subject="alice@example.com.evil.example")
    late = signed(response()).replace("<saml:", "<!--c--><saml:").replace("<ds:", "<!--c--><ds:").replace("<!--c-->", "", 1)
    case("comments-everywhere", late, "accepted")
    case("cdata-after-signing", signed(response()).replace(">alice<", "><![CDATA[al]]>ice<"), "accepted")
    pretty = response().replace("><", ">\n    <").replace(ISSUER, f"\n\t{ISSUER}\n")
    case("pretty-printed", signed(pretty), "accepted")
    case("carriage-returns", signed(pretty, "response").replace("\n", "\r\n"), "accepted")
    case("lone-carriage-returns", signed(pretty, "response").replace("\n", "\r"), "accepted")
    case("declaration", '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n' + signed(response()) + "\n", "accepted")
    case("white-space-in-attributes", signed(response(assertion(extra='<saml:AuthzDecisionStatement Decision="Permit" Resource="a&#10;b&#9;c\td&#13;&lt;&gt;&quot;&apos;&amp;"/>'))), "accepted")
    case("empty-elements", signed(response(assertion(extra="<saml:Advice/><saml:Advice></saml:Advice>"))), "accepted")
    case("extensions", signed(response(before="<samlp:Extensions><x:y xmlns:x='urn:x' z='1'/></samlp:Extensions>"), "response"), "accepted")
    case("language", signed(response(assertion(extra='<saml:Advice xml:lang="de" xml:space="preserve"> </saml:Advice>')), "both"), "accepted")
    redeclared = '<saml:Advice><p:a xmlns:p="urn:1" p:x=""><p:a xmlns:p="urn:2" p:x="" xmlns="urn:3"><b xmlns="" p:x=""/></p:a><p:b/></p:a></saml:Advice>'
    case("namespaces-redeclared", signed(response(assertion(extra=redeclared)), "response"), "accepted")
    for bits in ("256", "384", "512"):
        case(f"rsa-sha{bits}", signed(response(), style=Style(method=f"{MORE}rsa-sha{bits}")), "accepted")
    for digest in (MORE + "sha384", ENC + "sha512"):
        case(f"digest-{digest.partition('#')[2]}", signed(response(), style=Style(digest=digest)), "accepted")
    case("rsa-4096", signed(response(), key="rsa4096"), "accepted", "rsa4096")
    case("ecdsa-p256", signed(response(), "response", "p256", Style(method=MORE + "ecdsa-sha256")), "accepted", "p256")
    case("ecdsa-p384", signed(response(), "both", "p384", Style(method=MORE + "ecdsa-sha384")), "accepted", "p384")
    for key, method in (("rsa", "rsa-sha256"), ("second", "rsa-sha256"), ("p256", "ecdsa-sha256"), ("p384", "ecdsa-sha384")):
        case(f"several-keys-{key}", signed(response(), key=key, style=Style(method=MORE + method)), "accepted", "several")
    case("key-of-no-stated-use", signed(response()), "accepted", "unmarked-use")
    case("metadata-with-byte-order-mark", signed(response()), "accepted", "byte-order-mark")
    case("metadata-still-valid", signed(response()), "accepted", "valid-until")
    info = f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{KEYS['stranger'].certificate_base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    case("key-info-is-not-read", signed(response(), style=Style(key_info=info)), "accepted")
    case("broken-lines-in-value", signed(response(), style=Style(value="\n {value}\n\t")), "accepted")
    case("by-xmlsec1", xmlsec1_signs(response().replace(R, ""), A, "_a", KEYS["rsa"]), "accepted")
    case("by-xmlsec1-response", xmlsec1_signs(response().replace(A, ""), R, "_r", KEYS["rsa"]), "accepted")
    for kind, prefixes in {"default": ("#default",), "default-and-more": ("xs", "#default", "saml")}.items():
        default = declared_outside.replace(" ID=", ' xmlns="urn:default" ID=', 1)
        gone = default.replace("<saml:Conditions", '<saml:Conditions xmlns=""')
        for shape, text in {"": declared_outside, "-declared": default, "-gone": gone}.items():
            case(f"by-xmlsec1-{kind}{shape}", xmlsec1_signs(text.replace(R, ""), A, "_a", KEYS["rsa"], prefixes), "accepted")
    case("by-signxml", by_signxml(), "accepted")
    case("roles-in-either-order", signed(response(assertion(attributes=NAME + attribute(AWS + "Role", f"{PROVIDER},{ROLE}")))), "accepted")
    several = attribute(AWS + "Role", f"{ROLE}2,{PROVIDER}", f" {PROVIDER} ,\n {ROLE} ")
    case("several-roles", signed(response(assertion(attributes=several + NAME))), "accepted")
    tagged = ROLES + NAME + attribute(AWS + "PrincipalTag:Project", "Marketing") + attribute(AWS + "PrincipalTag:Cost Center", "12<!---->345")
    tagged += attribute(AWS + "TransitiveTagKeys", "Project", "Cost Center") + attribute(AWS + "SourceIdentity", "Diego") + attribute(AWS + "SessionDuration", "1800")
    tags = {"Project": "Marketing", "Cost Center": "12345"}
    case("tags", signed(response(assertion(attributes=tagged))), "accepted", tags=tags, transitive=["Project", "Cost Center"], source_identity="Diego", duration=1800)
    split = "</saml:AttributeStatement><saml:AttributeStatement>"
    case("several-attribute-statements", signed(response(assertion(attributes=ROLES + split + NAME))), "accepted")
    session = ' SessionNotOnOrAfter="2026-01-02T04:04:05.250Z"'
    case("session-end", signed(response(assertion(authenticated=authentication(session)))), "accepted", session_until=1767326645250)
    for short, format in {
        "transient": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
        "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress": "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    }.items():
        about = subject(name=f'<saml:NameID Format="{format}">alice</saml:NameID>')
        case(f"format-{short.rpartition(':')[2]}", signed(response(assertion(about=about))), "accepted", format=short)
    case("format-unspecified", signed(name("alice")), "accepted", format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified")
    case("amazon-webservices", signed(response(assertion(limits=conditions("urn:amazon:webservices")))), "accepted")
    case("several-audiences", signed(response(assertion(limits=conditions(f"x</saml:Audience><saml:Audience>\n{ENDPOINT}\n")))), "accepted")
    case("one-time-use", signed(response(assertion(limits=conditions(more="<saml:OneTimeUse/><saml:ProxyRestriction/>")))), "accepted")
    case("no-window", signed(response(assertion(limits=conditions(window="")))), "accepted")
    for region in ("https://eu-west-1.signin.aws.amazon.com/saml", "https://signin.aws.amazon.com/static/saml"):
        text = response(assertion(about=subject(recipient=f' Recipient="{region}"')), destination=f' Destination="{region}"')
        case(f"recipient-{region.split('/')[2].split('.')[0]}", signed(text, "response"), "accepted", recipient=region)
    case("no-destination", signed(response(destination=""), "response"), "accepted")
    case("no-issuer-of-response", signed(response(issuer=""), "response"), "accepted")
    case("slow-clock", signed(response(assertion(issued="2026-01-02T03:05:00Z", limits=conditions(window=' NotBefore="2026-01-02T03:05:05Z"')))), "accepted")
    case("last-moment", signed(response(assertion(about=subject(until=' NotOnOrAfter="2026-01-02T03:04:05.001Z"'), issued="2026-01-02T02:59:05.001Z"))), "accepted")


def by_signxml():
    signer = XMLSigner(
        method=SignatureConstructionMethod.enveloped, signature_algorithm="rsa-sha256", digest_algorithm="sha256", c14n_algorithm=EXCLUSIVE
    )
    key = KEYS["rsa"]
    place = f'<ds:Signature xmlns:ds="{DSIG}" Id="placeholder"/>'
    root = etree.fromstring(response().replace(A, "").replace(R, place).encode())
    done = signer.sign(root, key=key.private, cert=[key.certificate], reference_uri="_r", id_attribute="ID")
    return etree.tostring(done).decode()


def structures():
    """Wrapping, repetition, signatures in strange places."""
    mallory = assertion("_evil", marker="", about=subject(name="<saml:NameID>mallory</saml:NameID>"))
    good = signed(response(), "response")
    start, end = good.index("<ds:Signature"), good.index("</ds:Signature>") + len("</ds:Signature>")
    signature, original = good[start:end], good[:start] + good[end:]
    evil = response(mallory, "_evil-response", marker="@")
    inside = signature.replace("</ds:Signature>", f"{original}</ds:Signature>")
    case("xsw1", evil.replace("@", inside), 'Signature(Structure("responses")')
    case("xsw2", evil.replace("@", original + signature), 'Signature(Structure("responses")')
    good = signed(response())
    start, end = good.index("<ds:Signature"), good.index("</ds:Signature>") + len("</ds:Signature>")
    signature = good[start:end]
    first, last = good.index("<saml:Assertion"), good.index("</samlp:Response>")
    whole = good[first:last]
    original = whole.replace(signature, "")
    around = lambda content: good[:first] + content + good[last:]
    evil = assertion("_evil", marker="@", about=subject(name="<saml:NameID>mallory</saml:NameID>"))
    wrap = 'Signature(Structure("assertions")'
    case("xsw3", around(evil.replace("@", "") + whole), wrap)
    case("xsw3-after", around(whole + evil.replace("@", "")), wrap)
    case("xsw4", around(evil.replace("@", "").replace("</saml:Assertion>", whole + "</saml:Assertion>")), wrap)
    case("xsw5", around(evil.replace("@", signature) + original), wrap)
    case("xsw6", around(evil.replace("@", signature.replace("</ds:Signature>", original + "</ds:Signature>"))), wrap)
    extensions = f"<samlp:Extensions>{evil.replace('@', '')}</samlp:Extensions>"
    case("xsw7", good.replace("<samlp:Status>", extensions + "<samlp:Status>"), wrap)
    case("xsw8", around(evil.replace("@", signature.replace("</ds:Signature>", f"<ds:Object>{original}</ds:Object></ds:Signature>"))), wrap)
    case("wrapped-in-extensions", around(evil.replace("@", signature)).replace("<samlp:Status>", f"<samlp:Extensions>{original}</samlp:Extensions><samlp:Status>"), wrap)
    moved = good[:first] + "<samlp:Extensions>" + whole + "</samlp:Extensions>" + good[last:]
    case("assertion-is-not-a-child", moved, 'Signature(Structure("an assertion that is not')
    saml1 = evil.replace("@", signature).replace(SAML, "urn:oasis:names:tc:SAML:1.0:assertion")
    case("evil-assertion-of-saml-1", around(saml1 + original), "Signature(Structure(\"a signature that is nobody's")
    case("same-id", around(evil.replace("@", signature).replace("_evil", "_a")).replace("<samlp:Status>", "<samlp:Extensions><x ID='_a'/></samlp:Extensions><samlp:Status>"), 'Signature(Structure("an ID')
    for name, attribute_ in {"same-id-lower": "id", "same-id-mixed": "Id", "same-xml-id": "xml:id"}.items():
        extra = f"<samlp:Extensions><x {attribute_}='_a'/></samlp:Extensions><samlp:Status>"
        case(name, good.replace("<samlp:Status>", extra), 'Signature(Structure("an ID')
    case("same-id-on-response", signed(response(identity="_a")), 'Signature(Structure("an ID')
    case("unsigned", response().replace(A, "").replace(R, ""), "Signature(Unsigned)")
    elsewhere = response().replace(R, "").replace(A, "").replace("</saml:Subject>", A + "</saml:Subject>")
    case("signature-in-subject", sign(elsewhere, A, "_a", KEYS["rsa"]), "Signature(Structure(\"a signature that is nobody's")
    case("signature-in-extensions", sign(response(before=f"<samlp:Extensions>{R}</samlp:Extensions>", marker="").replace(A, ""), R, "_r", KEYS["rsa"]), "Signature(Structure(\"a signature that is nobody's")
    twice = response().replace(A, "@1@@2@").replace(R, "")
    twice = sign(twice.replace("@2@", ""), "@1@", "_a", KEYS["rsa"], Style(parts="{info}{value}")).replace("</ds:Signature>", "</ds:Signature>" + signature, 1)
    case("two-signatures-of-one-parent", twice, 'Signature(Structure("signatures")')
    of_other = sign(response().replace(R, ""), A, "_r", KEYS["rsa"])
    case("signature-of-somebody-else", of_other, 'Signature(Profile("a reference to something else")')
    case("signature-in-response-of-assertion", sign(response().replace(A, ""), R, "_a", KEYS["rsa"]), 'Signature(Profile("a reference to something else")')
    outer = sign(response().replace(A, signature), R, "_r", KEYS["rsa"])
    case("good-outside-bad-inside", outer.replace(signature, signature.replace("<ds:SignatureValue>", "<ds:SignatureValue>AAAA")), "Signature(Key)")
    case("good-inside-bad-outside", signed(response(), "both").replace("</samlp:Response>", " </samlp:Response>"), "Signature(Digest)")
    case("response-of-saml-1", signed(response()).replace(SAMLP, "urn:oasis:names:tc:SAML:1.0:protocol"), "Content(")
    case("assertion-alone", signed(response())[first:last], "Content(")
    case("namespace-taken-over", signed(response(), "response").replace(f'xmlns:samlp="{SAMLP}"', f'xmlns:samlp="{SAMLP}" xmlns:saml="urn:x"', 1), "accepted")
    case("namespace-of-claims-changed", good.replace(f'xmlns:saml="{SAML}" ID="_a"', 'xmlns:saml="urn:x" ID="_a"'), 'Signature(Structure("assertions")')


def signatures():
    """What XML Signature can do and SAML does not need."""
    def styled(name, verdict, of="assertion", key="rsa", metadata="default", **style):
        case(name, signed(response(), of, key, Style(**style)), verdict, metadata)

    profile = lambda what: f'Signature(Profile("{what}'
    for of in ("response", "assertion"):
        case(f"tampered-name-{of}", signed(response(), of).replace(">alice<", ">mallory<"), "Signature(Digest)")
        case(f"tampered-role-{of}", signed(response(), of).replace("role/reader", "role/admin"), "Signature(Digest)")
        case(f"element-added-{of}", signed(response(), of).replace("</saml:Subject>", "</saml:Subject><x/>"), "Signature(Digest)")
        case(f"wrong-key-{of}", signed(response(), of, "stranger"), "Signature(Key)")
    styled("wrong-key-in-key-info", "Signature(Key)", key="stranger", key_info=(
        f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{KEYS['stranger'].certificate_base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    ))
    styled("wrong-digest", "Signature(Digest)", wrong_digest=True)
    good = signed(response())
    digest = good.partition("<ds:DigestValue>")[2].partition("<")[0]
    case("digest-changed", good.replace(digest, base64.b64encode(b"x" * 32).decode()), "Signature(Key)")
    # A reader that takes the first text of DigestValue, and a verifier that does not, saw two digests.
    evil = good.replace(">alice<", ">mallory<")
    case("comment-in-digest", evil.replace(digest, f"<!--{digest}-->" + digest), "Signature(Digest)")
    case("element-in-digest", good.replace(digest, f"<x/>{digest}"), profile("DigestValue"))
    styled("rsa-sha1", profile("the signature method"), method=DSIG + "rsa-sha1")
    styled("digest-sha1", profile("the digest method"), digest=DSIG + "sha1")
    styled("hmac-sha256", profile("the signature method"), method=MORE + "hmac-sha256")
    styled("hmac-length", profile("the signature method"), method_content="<ds:HMACOutputLength>1</ds:HMACOutputLength>")
    case("method-none", good.replace("rsa-sha256", "none"), profile("the signature method"))
    case("method-changed", good.replace("rsa-sha256", "rsa-sha512"), "Signature(Key)")
    xpath = '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>true()</ds:XPath></ds:Transform>'
    xslt = (
        '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet version="1.0"'
        ' xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/"/></xsl:stylesheet></ds:Transform>'
    )
    enveloped = f'<ds:Transform Algorithm="{ENVELOPED}"/>'
    for name, transforms in {
        "transform-xpath": (enveloped, xpath), "transform-xslt": (enveloped, xslt), "transform-third": (enveloped, xpath, "{c14n}"),
        "transform-enveloped-only": (enveloped,), "transform-c14n-only": ("{c14n}",), "transforms-turned": ("{c14n}", enveloped),
        "transform-none": (), "transform-twice": (enveloped, "{c14n}", "{c14n}"),
        "transform-base64": (enveloped, f'<ds:Transform Algorithm="{DSIG}base64"/>'),
        "transform-with-content": (enveloped.replace("/>", "><x/></ds:Transform>"), "{c14n}"),
    }.items():
        styled(name, profile("transforms") if "base64" not in name and name not in ("transform-xpath", "transform-xslt") else profile("the canonicalization"), transforms=transforms)
    for name, algorithm in {
        "c14n-inclusive": "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "c14n-with-comments": EXCLUSIVE + "WithComments",
        "c14n-1.1": "http://www.w3.org/2006/12/xml-c14n11",
    }.items():
        styled(f"{name}-of-info", profile("the canonicalization"), canonicalization=algorithm)
        styled(name, profile("the canonicalization"), transforms=(enveloped, f'<ds:Transform Algorithm="{algorithm}"/>'))
    styled("c14n-parameter", profile("parameters"), transforms=(enveloped, f'<ds:Transform Algorithm="{EXCLUSIVE}"><x/></ds:Transform>'))
    styled("c14n-many-prefixes", "Signature(TooLong)", prefixes=tuple(f"p{n}" for n in range(17)))
    styled("two-references", profile("the parts of SignedInfo"), references="{reference}{reference}")
    styled("no-reference", profile("the parts of SignedInfo"), references="")
    for name, uri in {
        "uri-external": ' URI="http://127.0.0.1/x.xml"', "uri-file": ' URI="file:///etc/passwd"', "uri-empty": ' URI=""', "uri-missing": "",
        "uri-without-hash": ' URI="_a"',
    }.items():
        styled(name, profile("a reference by something else"), uri=uri)
    for name, uri in {"uri-xpointer": "#xpointer(id('_a'))", "uri-root": "#xpointer(/)", "uri-other": "#_b", "uri-of-nothing": "#", "uri-escaped": "#%5Fa"}.items():
        styled(name, profile("a reference to something else"), uri=f' URI="{uri}"')
    empty = response(assertion(identity="")).replace(R, "")
    case("id-empty", sign(empty, A, "", KEYS["rsa"]), profile("a reference to something else"))
    styled("two-infos", profile("the parts of Signature"), parts="{info}{info}{value}")
    styled("object", profile("the parts of Signature"), parts="{info}{value}<ds:Object><x/></ds:Object>")
    styled("value-first", profile("the parts of Signature"), parts="{value}{info}")
    case("value-empty", good.replace(good.partition("<ds:SignatureValue>")[2].partition("<")[0], ""), "Signature(Key)")
    case("value-not-base64", good.replace("<ds:SignatureValue>", "<ds:SignatureValue>*"), profile("SignatureValue"))
    case("value-missing", good.replace("SignatureValue>", "SignatureWorth>"), profile("the parts of Signature"))
    case("info-of-another-namespace", good.replace("<ds:SignedInfo>", '<ds:SignedInfo xmlns:ds="urn:x">'), profile("the parts of Signature"))
    ecdsa = MORE + "ecdsa-sha256"
    styled("ecdsa-in-der", "Signature(Key)", key="p256", metadata="p256", method=ecdsa, der=True)
    styled("ecdsa-p384-sha256", "Signature(Key)", key="p384", metadata="p384", method=ecdsa)
    styled("ecdsa-p256-sha384", "Signature(Key)", key="p256", metadata="p256", method=MORE + "ecdsa-sha384")
    case("ecdsa-zeroes", signed(response(), key="p256", style=Style(method=ecdsa, value=base64.b64encode(bytes(64)).decode())), "Signature(Key)", "p256")
    case("ecdsa-for-rsa", signed(response(), key="p256", style=Style(method=ecdsa)), "Signature(Key)")
    case("rsa-for-ecdsa", signed(response()), "Signature(Key)", "p256")
    case("other-key-of-metadata", signed(response(), key="stranger"), "Signature(Key)", "several")


def contents():
    """Soundly signed, and not to be accepted all the same."""
    def claims(name, verdict, of="assertion", metadata="default", outside=None, **parts):
        case(name, signed(response(assertion(**parts), **(outside or {})), of), verdict, metadata)

    claims("no-recipient", 'Content("SubjectConfirmationData have a Recipient', about=subject(recipient=""))
    for name, url in {
        "other": "https://sp.example/acs", "longer": ENDPOINT + "/", "suffix": "https://evil.example/https://signin.aws.amazon.com/saml",
        "two-labels": "https://a.b.signin.aws.amazon.com/saml", "slash-in-label": "https://evil.example/x.signin.aws.amazon.com/saml",
        "no-label": "https://.signin.aws.amazon.com/saml", "http": ENDPOINT.replace("https", "http"),
    }.items():
        claims(f"recipient-{name}", "Recipient", about=subject(recipient=f' Recipient="{url}"'))
    claims("destination-other", "Recipient", of="response", outside={"destination": ' Destination="https://sp.example/acs"'})
    claims("no-audience", "Audience", limits=conditions(audience=None))
    claims("audience-other", "Audience", limits=conditions("https://sp.example"))
    claims("audience-empty", "Audience", limits=conditions(""))
    other = "<saml:AudienceRestriction><saml:Audience>https://sp.example</saml:Audience></saml:AudienceRestriction>"
    claims("audience-other-as-well", "Audience", limits=conditions(more=other))
    claims("no-conditions", "Audience", limits="")
    claims("two-conditions", 'Content("an assertion has one Conditions', limits=conditions() + conditions())
    claims("unknown-condition", 'Content("there is a condition', limits=conditions(more='<saml:Condition xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="x"/>'))
    claims("expired-conditions", "Expired", limits=conditions(window=f' NotOnOrAfter="{NOW}"'))
    claims("expired-confirmation", "Expired", about=subject(until=f' NotOnOrAfter="{NOW}"'))
    claims("expired-session", "Expired", authenticated=authentication(f' SessionNotOnOrAfter="{NOW}"'))
    claims("stale", "Stale", issued="2026-01-02T02:59:05Z")
    claims("early-conditions", "Early", limits=conditions(window=' NotBefore="2026-01-02T03:05:05.001Z"'))
    claims("early-confirmation", "Early", about=subject(until=' NotBefore="2026-01-02T03:06:00Z" NotOnOrAfter="2026-01-02T03:09:00Z"'))
    claims("early-issue", "Early", issued="2026-01-02T03:05:05.001Z")
    claims("confirmation-without-end", 'Content("SubjectConfirmationData have NotOnOrAfter', about=subject(until=""))
    claims("local-time", 'Content("a time', limits=conditions(window=' NotOnOrAfter="2026-01-02T04:09:00+01:00"'))
    claims("no-issue-instant", 'Content("a time', issued="")
    claims("holder-of-key", 'Content("the method', about=subject(method="holder-of-key"))
    confirmation = subject().partition("</saml:NameID>")[2].replace("</saml:Subject>", "")
    claims("two-confirmations", 'Content("a Subject has one SubjectConfirmation', about=subject(more=confirmation))
    claims("no-subject", "Subject", about="")
    claims("two-subjects", 'Content("an assertion has one Subject', about=subject() + subject())
    claims("no-name-id", "Subject", about=subject(name=""))
    claims("two-name-ids", 'Content("a Subject has one NameID', about=subject(name="<saml:NameID>alice</saml:NameID>" * 2))
    claims("name-id-blank", "Subject", about=subject(name="<saml:NameID> </saml:NameID>"))
    claims("name-id-with-elements", 'Content("a NameID is text', about=subject(name="<saml:NameID>al<x/>ice</saml:NameID>"))
    claims("encrypted-id", "Encrypted", about=subject(name="<saml:EncryptedID/>"))
    claims("encrypted-attribute", "Encrypted", attributes=ROLES + NAME + "<saml:EncryptedAttribute/>")
    encrypted = f'<saml:EncryptedAssertion xmlns:saml="{SAML}"><x/></saml:EncryptedAssertion>'
    case("encrypted-assertion", signed(response(encrypted), "response"), "Encrypted")
    case("encrypted-assertion-beside", signed(response(assertion() + encrypted)), "Encrypted")
    claims("issuer-other", "Issuer", issuer="https://evil.example")
    claims("issuer-of-other-metadata", "Issuer", metadata="other-entity")
    claims("issuer-of-response-other", "Issuer", of="response", outside={"issuer": f'<saml:Issuer xmlns:saml="{SAML}">https://evil.example</saml:Issuer>'})
    case("no-issuer", signed(response().replace(f"<saml:Issuer>{ISSUER}</saml:Issuer>", "")), 'Content("an assertion has one Issuer')
    claims("metadata-expired", "MetadataExpired", metadata="expired")
    claims("metadata-role-expired", "MetadataExpired", metadata="expired-role")
    denied = "urn:oasis:names:tc:SAML:2.0:status:Responder"
    claims("status-denied", "Rejected", of="response", outside={"status": denied})
    inner = '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>'
    claims("status-denied-inside-success", "Rejected", outside={"status": denied, "more_status": inner})
    case("status-denied-no-assertion", response("", status=denied, marker=""), "Rejected")
    case("no-assertion", response("", marker=""), 'Signature(Structure("assertions")')
    claims("version-of-assertion", 'Content("the assertion is none', version="1.1")
    claims("version-of-response", 'Content("the version', of="response", outside={"version": "1.1"})
    claims("not-authenticated", 'Content("an assertion has an AuthnStatement', authenticated="")
    claims("no-role", 'Content("there is no attribute Role', attributes=NAME)
    claims("role-alone", 'Content("a Role is two ARNs', attributes=NAME + attribute(AWS + "Role", ROLE))
    claims("role-twice", 'Content("a Role is the ARN', attributes=NAME + attribute(AWS + "Role", f"{ROLE},{ROLE}"))
    claims("role-with-elements", 'Content("attributes of AWS', attributes=NAME + attribute(AWS + "Role", f"{ROLE},{PROVIDER}<x/>"))
    claims("role-in-other-case", 'Content("there is no attribute Role', attributes=NAME + attribute(AWS + "role", f"{ROLE},{PROVIDER}"))
    claims("no-session-name", "NoSessionName", attributes=ROLES)
    for name, value in {"short": "a", "long": "a" * 65, "space": "Alice B", "empty": "", "letters": "älice"}.items():
        claims(f"session-name-{name}", "SessionName", attributes=ROLES + attribute(AWS + "RoleSessionName", value))
    claims("two-session-names", "SessionName", attributes=ROLES + NAME + NAME)
    for name, value in {"reserved": "aws:alice", "short": "a", "long": "a" * 65}.items():
        claims(f"source-identity-{name}", "SourceIdentity", attributes=ROLES + NAME + attribute(AWS + "SourceIdentity", value))
    for name, value in {"word": "long", "short": "899", "long": "43201", "negative": "-900", "fraction": "900.5"}.items():
        claims(f"duration-{name}", 'Content("SessionDuration', attributes=ROLES + NAME + attribute(AWS + "SessionDuration", value))
    claims("tag-of-two-values", 'Content("a PrincipalTag', attributes=ROLES + NAME + attribute(AWS + "PrincipalTag:a", "1", "2"))
    claims("tag-of-no-value", 'Content("a PrincipalTag', attributes=ROLES + NAME + attribute(AWS + "PrincipalTag:a"))


def documents():
    """What is refused before anything is looked for in it."""
    good = signed(response())
    malformed, forbidden, large = "Document(Malformed", "Document(Forbidden", "Document(TooLarge"
    case("doctype", "<!DOCTYPE Response>" + good, forbidden)
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    case("billion-laughs", f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]>' + good.replace(">alice<", ">&l9;<"), forbidden)
    case("external-entity", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + good.replace(">alice<", ">&e;<"), forbidden)
    case("entity", good.replace(">alice<", ">&nbsp;<"), forbidden)
    case("entity-in-attribute", good.replace('ID="_a"', 'ID="&e;"'), forbidden)
    case("processing-instruction", good.replace(">alice<", ">al<?x y?>ice<"), forbidden)
    case("processing-instruction-before", "<?xml-stylesheet href='x'?>" + good, forbidden)
    case("deep", good.replace("</saml:Subject>", "<x>" * 40 + "</x>" * 40 + "</saml:Subject>"), large)
    case("deeper", "<x>" * 20_000, large)
    case("many-attributes", good.replace("<samlp:Status>", "<samlp:Status " + " ".join(f'a{n}=""' for n in range(200)) + ">"), large)
    case("many-namespaces", good.replace("<samlp:Status>", "<samlp:Status " + " ".join(f'xmlns:a{n}="u"' for n in range(70)) + ">"), large)
    case("long-declaration", f'<?xml version="1.0" {"a=" * 100}""?>' + good, large)
    # Each sibling repeats the declaration in the canonical form: 60 kB would become 40 MB.
    growing = f'<samlp:Extensions xmlns:a="urn:{"x" * 30_000}">{"<a:b/>" * 4_000}</samlp:Extensions><samlp:Status>'
    case("canonical-form-explodes", signed(response(), "response").replace("<samlp:Status>", growing), "Signature(TooLong)")
    case("version-1.1", '<?xml version="1.1"?>' + good, forbidden)
    case("encoding-utf-16", '<?xml version="1.0" encoding="UTF-16"?>' + good, forbidden)
    case("declaration-late", "\n<?xml version='1.0'?>" + good, malformed)
    case("byte-order-mark", "\ufeff" + good, "accepted")
    case("two-byte-order-marks", "\ufeff\ufeff" + good, malformed)
    case("text-before", "x" + good, malformed)
    case("text-after", good + "x", malformed)
    case("two-roots", good + "<x/>", malformed)
    case("no-end", good[:-1], malformed)
    case("other-end", good.replace("</saml:Subject>", "</saml:Subjekt>"), malformed)
    case("attribute-twice", good.replace('ID="_a"', 'ID="_a" ID="_b"'), malformed)
    case("attribute-twice-by-namespace", good.replace("<samlp:Status>", "<samlp:Status xmlns:p='urn:u' xmlns:q='urn:u' p:x='' q:x=''>"), malformed)
    case("prefix-twice", good.replace("<samlp:Status>", "<samlp:Status xmlns:p='urn:u' xmlns:p='urn:v'>"), malformed)
    case("prefix-unknown", good.replace(">alice<", "><p:x/><"), malformed)
    case("prefix-of-nothing", good.replace(">alice<", "><p:x xmlns:p=''/><"), malformed)
    case("prefix-xml-taken", good.replace(">alice<", "><x xmlns:xml='urn:x'/><"), forbidden)
    case("prefix-for-xml", good.replace(">alice<", "><x xmlns:p='http://www.w3.org/XML/1998/namespace'/><"), forbidden)
    case("unquoted-attribute", good.replace('ID="_a"', "ID=_a"), malformed)
    case("less-than-in-attribute", good.replace('ID="_a"', 'ID="<_a"'), malformed)
    case("name-with-two-colons", good.replace(">alice<", "><a:b:c/><"), malformed)
    case("name-that-is-none", good.replace(">alice<", "><1/><"), malformed)
    case("control-character", good.replace(">alice<", ">al\x01ice<"), malformed)
    case("reference-to-control-character", good.replace(">alice<", ">al&#1;ice<"), malformed)
    case("reference-to-surrogate", good.replace(">alice<", ">&#xD800;<"), malformed)
    case("reference-without-end", good.replace(">alice<", ">a&amp lice<"), malformed)
    case("end-of-cdata-in-text", good.replace(">alice<", ">a]]>lice<"), malformed)
    case("dashes-in-comment", good.replace(">alice<", ">a<!-- -- -->lice<"), malformed)
    case("empty", "", malformed)
    encoded = base64.b64encode(good.encode()).decode()
    case("base64-truncated", encoded[:-1], "Encoding", raw=True)
    case("base64-cut", encoded[: len(encoded) // 8 * 4], malformed, raw=True)
    case("base64-url", encoded.replace("+", "-").replace("/", "_") + "-_==", "Encoding", raw=True)
    case("base64-percent", encoded.replace("=", "%3D") + "%3D", "Encoding", raw=True)
    case("base64-with-lines", "\r\n".join(encoded[at : at + 76] for at in range(0, len(encoded), 76)), "accepted", raw=True)
    case("base64-too-long", "A" * 100_001, "Encoding", raw=True)
    case("not-utf-8", base64.b64encode(good.replace(">alice<", ">\u00e4<").encode("latin-1")).decode(), malformed, raw=True)
    case("zip", base64.b64encode(b"PK\x03\x04" + bytes(100)).decode(), malformed, raw=True)


def opinion(entry):
    """What xmlsec1 says about the first signature, with the key that made it."""
    names = {"default": "rsa", "several": entry["name"].rpartition("-")[2]}
    key = names.get(entry["metadata"], entry["metadata"] if entry["metadata"] in KEYS else "rsa")
    return xmlsec1_verifies(entry["text"], KEYS[key if key in KEYS else "rsa"])


def main():
    random.seed(1)
    for make in (accepted, structures, signatures, contents, documents):
        make()
    for folder in ("responses", "metadata"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        (HERE / folder).mkdir()
    manifest = []
    for entry in CASES:
        file = f"{entry['name']}.{'txt' if entry['raw'] else 'xml'}"
        (HERE / "responses" / file).write_bytes(entry["text"].encode())
        row = {"file": file, "verdict": entry["verdict"], "metadata": entry["metadata"]}
        if entry["claims"]:
            row["claims"] = entry["claims"]
        if not entry["raw"]:
            row["xmlsec1"] = opinion(entry)
            assert row["xmlsec1"] or entry["verdict"] != "accepted", f"xmlsec1 refuses {entry['name']}"
        manifest.append(row)
    names = [row["file"] for row in manifest]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    for name, text in METADATA.items():
        (HERE / "metadata" / f"{name}.xml").write_text(text)
    bad = []
    for name, (text, verdict) in BAD_METADATA.items():
        (HERE / "metadata" / f"bad-{name}.xml").write_text(text)
        bad.append({"file": f"bad-{name}.xml", "verdict": verdict})
    lines = ",\n".join("    " + json.dumps(row, ensure_ascii=False) for row in manifest)
    bad_lines = ",\n".join("    " + json.dumps(row) for row in bad)
    (HERE / "cases.json").write_text(f'{{\n  "responses": [\n{lines}\n  ],\n  "metadata": [\n{bad_lines}\n  ]\n}}\n')
    (HERE / "c14n.json").write_text(c14n_cases.dump(c14n_cases.make(400)))
    good = sum(row["verdict"] == "accepted" for row in manifest)
    print(f"{len(manifest)} responses, {good} accepted, {len(bad)} bad metadata; xmlsec1 calls "
          f"{sum(row.get('xmlsec1', False) and row['verdict'] != 'accepted' for row in manifest)} of the others good")


if __name__ == "__main__":
    main()
