"""The program that is shut out: it runs on session credentials until `sigward revoke`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kit import clients
from kit.server import clean_environment, sigward

PROGRAM = Path(__file__).parent / "programs" / "list_and_read.py"


@pytest.fixture
def program(own_dev):
    """The program with a session of its own, and that session."""
    session = clients.session(own_dev)
    environment = clean_environment(
        **session.environment(), AWS_ENDPOINT_URL=own_dev.endpoint, AWS_DEFAULT_REGION=own_dev.region
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(PROGRAM), "--step"], env=environment, text=True, **pipes) as child:
        yield child, session
        child.kill()


def test_a_running_program_ends_in_access_denied_once_it_is_revoked(own_dev, program):
    child, session = program
    s3, size = clients.s3(own_dev), 0
    for number, name in enumerate(("first", "second"), 1):
        s3.create_bucket(Bucket=name)
        for key in ("a", "b c/ü"):
            s3.put_object(Bucket=name, Key=key, Body=os.urandom(1000 * number))
            size += 1000 * number

    def another_round() -> str:
        child.stdin.write("\n")
        child.stdin.flush()
        return child.stdout.readline()

    # The first round may have run before the objects were there.
    child.stdout.readline()
    assert another_round() == f"round 2: read 4 objects, {size} bytes\n"
    assert another_round() == f"round 3: read 4 objects, {size} bytes\n"

    done = sigward("revoke", "--admin", own_dev.admin, "--access-key-id", session.access_key_id)
    assert done.returncode == 0, done.stderr.decode()

    assert another_round() == ""
    last = child.stderr.read().strip().splitlines()[-1]
    assert child.wait(10) == 1
    assert "An error occurred (AccessDenied) when calling the ListBuckets operation" in last
