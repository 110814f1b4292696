"""The corpus of policy decisions, asked anew: `proxy/tests/policy` says what it is, `cargo test` replays it."""

import json
from pathlib import Path

import pytest

from kit import commands
from kit.saml import NODE_PACKAGES

HERE = Path(__file__).parents[1] / "policy"


@pytest.fixture(scope="module")
def generate():
    """Runs the generator, which asks the simulator, and returns its output."""
    node, packages = commands.program("node"), NODE_PACKAGES / "node_modules"
    return lambda *arguments: commands.run([node, str(HERE / "generate.mjs"), str(packages), *map(str, arguments)])


def test_the_simulator_says_what_the_corpus_says(generate):
    written = (HERE / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    anew = generate().splitlines()
    assert len(anew) == len(written)
    assert [number for number, (one, other) in enumerate(zip(anew, written, strict=True), 1) if one != other] == []


def test_the_simulator_still_disputes_what_is_disputed(generate):
    disputed = HERE / "disputed.json"
    recorded = [dispute["simulator"] for dispute in json.loads(disputed.read_text(encoding="utf-8"))]
    assert json.loads(generate(disputed)) == recorded
