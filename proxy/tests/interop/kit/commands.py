"""Command line clients: where they are, and what happens when one is missing."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .server import clean_environment


def program(name: str) -> str:
    """The path of a client, from the suite's environment or the system. Missing is an error in CI, a loud skip else."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or missing(f"{name} is not installed")


@functools.cache
def aws_cli(major: int) -> str | None:
    """The path of an AWS CLI of this major version, or None."""
    for folder in [str(Path(sys.executable).parent), *os.environ["PATH"].split(os.pathsep), "/usr/bin"]:
        found = shutil.which("aws", path=folder)
        told = found and subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        if told and told.stdout.startswith(f"aws-cli/{major}."):
            return found
    return None


def missing(what: str):
    """Ends the test: an error in CI, a loud skip else."""
    reason = f"{what}: what it would have shown is NOT shown"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(command: list[str], stdin: bytes | None = None, expect: int = 0, **environment: str) -> str:
    """Runs a client to its end; its output, after its exit code was as expected."""
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, env=clean_environment(**environment))
    output = done.stdout.decode(errors="replace")
    assert done.returncode == expect, (
        f"{command[:6]} ended with {done.returncode}: {output}{done.stderr.decode(errors='replace')}"
    )
    return output if expect == 0 else output + done.stderr.decode(errors="replace")
