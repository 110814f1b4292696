"""An IAM directory on disk, and `sigward dev` over it."""

import base64
import hashlib
import hmac
import json
import struct
import time
import urllib.request
from pathlib import Path

from .backend import BackendDirectory
from .credentials import Credentials
from .server import Gateway, Process, binary

ACCOUNT = "123456789012"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
DEVICE = f"arn:aws:iam::{ACCOUNT}:mfa/alice"
SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def statement(effect: str, action, resource="*", **more) -> dict:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(principal, *actions: str, **more) -> str:
    grants = list(actions) or ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    return policy({"Effect": "Allow", "Principal": principal, "Action": grants, **more})


class IamDirectory:
    """Files below the account. What is written is in force when `settle` returns."""

    def __init__(self, root: Path):
        self.root = root

    def write(self, path: str, text: str = "") -> None:
        file = self.root / ACCOUNT / path
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{file.name}")
        aside.write_text(text)
        aside.replace(file)

    def remove(self, path: str) -> None:
        (self.root / ACCOUNT / path).unlink()


def report(gateway: Gateway) -> dict:
    with urllib.request.urlopen(f"{gateway.admin}/v1/iam", timeout=10) as answer:
        return json.load(answer)


def settle(gateway: Gateway, before: str, seconds: float = 20) -> dict:
    """Waits until another directory than the one read at `before` is in force, or something is wrong with the files."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        told = report(gateway)
        if told["loaded_at"] != before or told["faults"]:
            return told
        time.sleep(0.05)
    raise AssertionError(f"nothing changed in {seconds} s: {told}")


def example(root: Path) -> IamDirectory:
    """Alice may assume reader and writer; writer asks for a second factor."""
    iam = IamDirectory(root)
    iam.write("users/alice/user.toml", f'[[mfa_devices]]\nserial_number = "{DEVICE}"\nsecret_file = "seed"\n')
    iam.write("users/alice/seed", SEED)
    everything = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity", "sts:GetFederationToken"]
    iam.write("users/alice/policies/work.json", policy(statement("Allow", [*everything, "sts:GetAccessKeyInfo", "s3:*"])))
    iam.write("roles/reader/trust.json", trust({"AWS": ACCOUNT}))
    iam.write("roles/reader/role.toml", 'attached_policies = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]\n')
    mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
    iam.write("roles/writer/trust.json", trust({"AWS": ALICE}, Condition=mfa))
    iam.write("roles/writer/policies/s3.json", policy(statement("Allow", "s3:*")))
    return iam


def start(top: Path, iam: Path) -> Gateway:
    """`sigward dev` on free ports, whose key is alice's; the same directories find everything as it was."""
    command = [str(binary()), "dev", "--dir", str(top / "data"), "--iam", str(iam), "--as", ALICE]
    process = Process([*command, "--port", "0", "--admin-port", "0", "--json"], top / f"logs-{time.monotonic_ns()}")
    ready = json.loads(process.first_line())
    credentials = Credentials(ready["access_key_id"], ready["secret_access_key"])
    backend = BackendDirectory(ready["backend_dir"])
    return Gateway(process, ready["endpoint"], ready["admin"], ready["region"], credentials, backend)


def code(ahead: int = 0) -> str:
    """What alice's device shows, `ahead` steps of thirty seconds from now."""
    step = int(time.time()) // 30 + ahead
    tag = hmac.digest(base64.b32decode(SEED), struct.pack(">q", step), hashlib.sha1)
    at = tag[-1] & 0xF
    return f"{(struct.unpack('>I', tag[at : at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"
