"""A second real backend: Garage on one node, for the time of a test. `.ci/install-garage` builds it."""

import os
import secrets
from pathlib import Path

from .commands import program
from .credentials import Credentials
from .server import Gateway, Process, answers, free_port

REGION = "garage"


def binary() -> str:
    """`GARAGE_BIN`, what `.ci/install-garage` has built, or a `garage` of the system. Missing is an error in CI."""
    built = Path(__file__).resolve().parents[4] / ".ci/tools/bin/garage"
    for found in (os.environ.get("GARAGE_BIN"), built):
        if found and Path(found).exists():
            return str(found)
    return program("garage")


def start(directory: Path) -> Gateway:
    """Garage as an endpoint of its own, with the one credential it knows, which may make buckets."""
    garage = binary()
    directory.mkdir(parents=True)
    rpc, s3, admin = free_port(), free_port(), free_port()
    config = directory / "garage.toml"
    config.write_text(
        f"""
        metadata_dir = "{directory / "meta"}"
        data_dir = "{directory / "data"}"
        db_engine = "sqlite"
        replication_factor = 1
        rpc_bind_addr = "127.0.0.1:{rpc}"
        rpc_public_addr = "127.0.0.1:{rpc}"
        rpc_secret = "{secrets.token_hex(32)}"
        [s3_api]
        s3_region = "{REGION}"
        api_bind_addr = "127.0.0.1:{s3}"
        root_domain = ".localhost"
        [admin]
        api_bind_addr = "127.0.0.1:{admin}"
        """
    )
    credentials = Credentials(f"GK{secrets.token_hex(12)}", secrets.token_hex(32))
    process = Process(
        [garage, "-c", str(config), "server", "--single-node", "--default-access-key"],
        directory / "logs",
        {
            "GARAGE_DEFAULT_ACCESS_KEY": credentials.access_key_id,
            "GARAGE_DEFAULT_SECRET_KEY": credentials.secret_access_key,
            "RUST_LOG": "garage=warn",
        },
    )
    endpoint, health = f"http://127.0.0.1:{s3}", f"http://127.0.0.1:{admin}/health"
    process.wait_for(lambda: answers(health))
    return Gateway(process, endpoint, health, REGION, credentials)
