"""Identity providers that sign SAML responses: pysaml2, which leaves signing to xmlsec1, and samlify, on Node.js."""

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .commands import program

AWS = "https://aws.amazon.com/SAML/Attributes/"
ENDPOINT = "https://signin.aws.amazon.com/saml"
AUDIENCE = "urn:amazon:webservices"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
URI = "urn:oasis:names:tc:SAML:2.0:attrname-format:uri"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
NODE_PACKAGES = Path(sys.prefix) / "node"


@dataclass
class Login:
    """What a provider is to say of somebody."""

    attributes: dict[str, list[str]]
    subject: str = "alice"
    recipient: str = ENDPOINT
    # "response", "assertion" or "both".
    sign: str = "both"


@dataclass
class Provider:
    """An identity provider with a key of its own, made in `directory`."""

    directory: Path
    entity_id: str
    key: Path = field(init=False)
    certificate: Path = field(init=False)

    def __post_init__(self):
        self.directory.mkdir(parents=True)
        self.key, self.certificate = self.directory / "key.pem", self.directory / "certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=idp.example",
             "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip

    def metadata(self) -> str:
        raise NotImplementedError

    def respond(self, login: Login) -> str:
        """A response in base64, as a browser would post it."""
        raise NotImplementedError


class PySaml2(Provider):
    def __post_init__(self):
        super().__post_init__()
        xmlsec1 = program("xmlsec1")
        from saml2.config import IdPConfig
        from saml2.server import Server

        names = ["Role", "RoleSessionName", "SessionDuration", "SourceIdentity", "TransitiveTagKeys"]
        names += ["PrincipalTag:Project", "PrincipalTag:Team"]
        maps = self.directory / "maps"
        maps.mkdir()
        to = {name: AWS + name for name in names} | {"eduPersonAffiliation": "urn:oid:1.3.6.1.4.1.5923.1.1.1.1"}
        fro = {name: local for local, name in to.items()}
        (maps / "aws.py").write_text(f"MAP = {{'identifier': {URI!r}, 'fro': {fro!r}, 'to': {to!r}}}\n")
        policy = {"default": {"lifetime": {"minutes": 5}, "name_form": URI}}
        redirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
        endpoints = {"single_sign_on_service": [("https://idp.example/sso", redirect)]}
        self._server = Server(
            config=IdPConfig().load(
                {
                    "entityid": self.entity_id,
                    "key_file": str(self.key),
                    "cert_file": str(self.certificate),
                    "xmlsec_binary": xmlsec1,
                    "attribute_map_dir": str(maps),
                    "metadata": {"inline": [SERVICE_PROVIDER]},
                    "service": {"idp": {"endpoints": endpoints, "policy": policy}},
                }
            )
        )

    def metadata(self) -> str:
        from saml2.metadata import entity_descriptor

        return str(entity_descriptor(self._server.config))

    def respond(self, login: Login) -> str:
        from saml2.saml import NameID

        response = self._server.create_authn_response(
            identity={name.removeprefix(AWS): values for name, values in login.attributes.items()},
            in_response_to=None,
            destination=login.recipient,
            sp_entity_id=AUDIENCE,
            userid=login.subject,
            name_id=NameID(format=PERSISTENT, text=login.subject),
            authn={"class_ref": "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "authn_auth": self.entity_id},
            sign_response=login.sign != "assertion",
            sign_assertion=login.sign != "response",
            sign_alg=RSA_SHA256,
            digest_alg=SHA256,
        )
        return base64.b64encode(str(response).encode()).decode()


class Samlify(Provider):
    def metadata(self) -> str:
        return self._ask(Login({}))["metadata"]

    def respond(self, login: Login) -> str:
        return self._ask(login)["response"]

    def _ask(self, login: Login) -> dict:
        wish = {
            "entity_id": self.entity_id,
            "key": str(self.key),
            "certificate": str(self.certificate),
            "audience": AUDIENCE,
            "recipient": login.recipient,
            "subject": login.subject,
            "sign": login.sign,
            "attributes": login.attributes,
        }
        done = subprocess.run(
            [program("node"), Path(__file__).parents[1] / "node/samlify.js"],
            input=json.dumps(wish),
            capture_output=True,
            text=True,
            env={**os.environ, "NODE_PATH": str(NODE_PACKAGES / "node_modules")},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


PROVIDERS = {"pysaml2": PySaml2, "samlify": Samlify}

SERVICE_PROVIDER = (
    f'<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{AUDIENCE}"><SPSSODescriptor'
    ' protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><AssertionConsumerService index="1"'
    f' Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{ENDPOINT}"/></SPSSODescriptor>'
    "</EntityDescriptor>"
)
