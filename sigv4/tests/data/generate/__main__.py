"""Writes the corpus anew: `corpus.jsonl` beside this folder. See the README there."""

from collections import Counter
from pathlib import Path

from . import boto, crt, forms, minio, smithy, streaming, tamper

LARGEST = 2 << 20

right = [*boto.rows(), *crt.rows(), *smithy.rows()]
rows = [*right, *streaming.rows(), *minio.rows(), *forms.rows(), *tamper.rows(right)]
names = Counter(row.id for row in rows)
assert not (twice := [name for name, count in names.items() if count > 1]), twice
lines = [row.json() for row in rows]
text = "\n".join(lines) + "\n"
assert len(text.encode()) < LARGEST, len(text.encode())
(Path(__file__).parents[1] / "corpus.jsonl").write_text(text)
print(f"{len(rows)} rows, {len(text.encode()) >> 10} KiB:", dict(Counter(row.expect for row in rows)))
