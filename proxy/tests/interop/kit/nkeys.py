"""Keys and JSON Web Tokens as NATS has them, for servers in operator mode.

Source: https://github.com/nats-io/nkeys and https://docs.nats.io/running-a-nats-service/configuration/securing_nats/jwt
"""

import base64
import binascii
import hashlib
import json
import os
import time
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEED = 18 << 3
KINDS = {"operator": 14 << 3, "account": 0, "user": 20 << 3}


def _encode(raw: bytes) -> str:
    """Base 32 without padding, with the CRC-16 of XMODEM at the end."""
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).rstrip(b"=").decode()


def _segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@dataclass(frozen=True)
class Nkey:
    """A pair of keys of a kind."""

    kind: str
    raw: bytes

    @classmethod
    def new(cls, kind: str) -> "Nkey":
        return cls(kind, os.urandom(32))

    @property
    def public(self) -> str:
        public = self._key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _encode(bytes([KINDS[self.kind]]) + public)

    @property
    def seed(self) -> str:
        prefix = KINDS[self.kind]
        return _encode(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + self.raw)

    def token(self, subject: "Nkey", name: str, **claims) -> str:
        """A token about `subject`, issued by this key."""
        body = {
            "iat": int(time.time()),
            "iss": self.public,
            "name": name,
            "nats": {"type": subject.kind, "version": 2, **claims},
            "sub": subject.public,
        }
        body["jti"] = base64.b32encode(hashlib.sha256(json.dumps(body).encode()).digest()).rstrip(b"=").decode()
        parts = [{"typ": "JWT", "alg": "ed25519-nkey"}, body]
        signed = ".".join(_segment(json.dumps(part).encode()) for part in parts)
        return f"{signed}.{_segment(self._key().sign(signed.encode()))}"

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.raw)


class Operator:
    """An operator with one account that may use JetStream, and the one that servers need for themselves."""

    UNLIMITED = {
        name: -1
        for name in ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
        + ("mem_storage", "disk_storage", "streams", "consumer")
    }

    def __init__(self):
        operator = Nkey.new("operator")
        self._account = Nkey.new("account")
        self._token = operator.token(operator, "operator")
        self._system = Nkey.new("account")
        limits = {**self.UNLIMITED, "wildcards": True}
        self._account_token = operator.token(self._account, "account", limits=limits)
        unstored = {**limits, "mem_storage": 0, "disk_storage": 0}
        self._system_token = operator.token(self._system, "system", limits=unstored)

    def config(self) -> str:
        """What makes a server its own."""
        accounts = f"{self._account.public}: {self._account_token}, {self._system.public}: {self._system_token}"
        system = f"system_account: {self._system.public}"
        return f"operator: {self._token}\n{system}\nresolver: MEMORY\nresolver_preload: {{ {accounts} }}"

    def credentials(self, name: str, publish: list[str], subscribe: list[str]) -> str:
        """A file of credentials, as `nsc` writes it, of a user that may do no more than this."""
        user = Nkey.new("user")
        limits = {"subs": -1, "data": -1, "payload": -1}
        token = self._account.token(user, name, pub={"allow": publish}, sub={"allow": subscribe}, **limits)
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
