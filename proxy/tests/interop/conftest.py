"""Servers and clients every test may ask for.

    cargo build --release
    "$(proxy/tests/interop/install.sh)/bin/pytest" -c proxy/tests/interop/pytest.ini proxy/tests/interop

With `--front NAME` the tests named reach the gateway over TLS, by HTTP/2, behind a load balancer; see kit/fronts.py.

The program under test is the newest build of the checkout, or `SIGWARD_BIN`. `programs/` holds what tests run as
a user would; `memory.py` measures memory at full size.
"""

import itertools
import logging
import os
import signal
import sys
from pathlib import Path

import pytest

from kit import clients, fronts, server
from kit.credentials import Credentials
from kit.server import Gateway, Process, resigned_for, start_dev, start_serve

# Nothing of the machine's own AWS set-up may reach a client in this process.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ.update(server.ISOLATION)

# boto's debug lines hold signatures; a failing test must not print them.
logging.getLogger("botocore").setLevel(logging.WARNING)

bucket_numbers = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--front", choices=fronts.NAMES, help="reach the gateway in another way: see kit/fronts.py")


def pytest_configure(config):
    # The default action would leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def pytest_sessionfinish(session, exitstatus):
    left = list(server.running)
    for process in left:
        process.kill()
    if left and exitstatus == 0:
        session.exitstatus = 1
        print(f"\nleft running by the suite: {[process.pid for process in left]}")


@pytest.fixture(scope="session")
def plain_dev(tmp_path_factory) -> Gateway:
    """One `sigward dev`, reached directly."""
    top = tmp_path_factory.mktemp("dev")
    gateway = start_dev(top / "data", top / "logs")
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="session")
def dev(plain_dev, tmp_path_factory, request) -> Gateway:
    """One gateway for all tests that neither revoke nor restart: `sigward dev`, or what `--front` puts before it."""
    name = request.config.getoption("--front")
    if not name:
        yield plain_dev
        return
    front = fronts.Front(name, plain_dev, tmp_path_factory.mktemp("front"))
    yield front.gateway
    front.stop()


@pytest.fixture(scope="module")
def own_dev(tmp_path_factory) -> Gateway:
    """A `sigward dev` for one file, which may revoke what it likes."""
    top = tmp_path_factory.mktemp("own")
    gateway = start_dev(top / "data", top / "logs")
    yield gateway
    gateway.process.stop()


@pytest.fixture(scope="session")
def tls_gateway(plain_dev, tmp_path_factory) -> Gateway:
    """`sigward serve` over TLS, which signs anew for `dev` as its backend."""
    top = tmp_path_factory.mktemp("tls")
    gateway = start_serve(top / "serve", plain_dev.endpoint, resigned_for(plain_dev, top), tls=True)
    gateway.backend = plain_dev.backend
    yield gateway
    gateway.process.stop()


@pytest.fixture
def sink(tmp_path) -> Process:
    """A backend that keeps nothing and tells what arrived; `sink.endpoint` is where."""
    process = Process(
        [sys.executable, "-m", "kit.sink", "--record"], tmp_path / "sink", {"PYTHONPATH": str(Path(__file__).parent)}
    )
    process.endpoint = f"http://127.0.0.1:{process.first_line()}"
    yield process
    if process in server.running:
        process.kill()


@pytest.fixture(scope="session")
def dev_session(dev) -> Credentials:
    """A session of the long-term key of `dev`."""
    return clients.session(dev)


@pytest.fixture(params=["long-term", "session"])
def credentials(request, dev) -> Credentials:
    return dev.credentials if request.param == "long-term" else request.getfixturevalue("dev_session")


@pytest.fixture
def s3(dev, credentials):
    """boto3 with each kind of credential."""
    return clients.s3(dev, credentials)


@pytest.fixture
def bucket(dev) -> str:
    """A new bucket."""
    name = f"bucket-{next(bucket_numbers)}"
    clients.s3(dev).create_bucket(Bucket=name)
    return name
