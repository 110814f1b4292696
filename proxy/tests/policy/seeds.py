#!/usr/bin/env python3
"""Writes seeds for the fuzz target `policy` into a directory: documents of the corpus, each with its resource."""

import json
import sys
from pathlib import Path

into = Path(sys.argv[1])
into.mkdir(parents=True, exist_ok=True)
lines = (Path(__file__).parent / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
for number, line in enumerate(lines[:600]):
    case = json.loads(line)
    documents = [*case.get("identity", []), case.get("boundary"), case.get("trust"), case.get("bucket")]
    for index, document in enumerate(filter(None, documents)):
        text = "\0".join([json.dumps(document, ensure_ascii=False), case["resource"], "alice"])
        (into / f"{number}-{index}").write_text(text, encoding="utf-8")
