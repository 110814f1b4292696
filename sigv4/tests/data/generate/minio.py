"""Uploads in signed chunks by minio-go, the one client at hand that sends them, through `minio/main.go`."""

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path

from .rows import CREDENTIALS, LONG_TERM, NOW, REGION, Row
from .streaming import CHECKSUMS, checksum

HERE = Path(__file__).parent / "minio"


def requests():
    for name, credential in CREDENTIALS.items():
        for size in (0, 5, 65_536, 70_000):
            for algorithm in (None, *(CHECKSUMS if name == "long-term" else ["crc32c"])):
                content = b"m" * size
                trailer = {f"x-amz-checksum-{algorithm}": checksum(algorithm, content)} if algorithm else {}
                asked = {
                    "path": "/a%20b/%C3%BC%2B",
                    "size": size,
                    "trailer": trailer,
                    "access_key_id": credential.access_key_id,
                    "secret": credential.secret,
                    "session_token": credential.session_token or "",
                    "region": REGION,
                    "date": NOW.isoformat(),
                }
                yield f"minio-go {name} {size} {algorithm or 'no trailer'}", credential, content, asked


def rows():
    asked = list(requests())
    answer = subprocess.run(
        ["go", "run", "."], cwd=HERE, input=json.dumps([ask for *_, ask in asked]).encode(), stdout=subprocess.PIPE, check=True
    )
    for (name, credential, content, _), made in zip(asked, json.loads(answer.stdout), strict=True):
        headers = [tuple(pair) for pair in made["headers"]]
        row = Row(name, "minio-go", "PUT", made["target"], headers, base64.b64decode(made["body"]), credential, content=content)
        yield row
        if credential is LONG_TERM and len(content) == 70_000:
            spoilt = replace(row, content=None)
            yield spoilt.spoilt("a byte changed", "SignatureMismatch", body=row.body.replace(b"mmm", b"mMm", 1))
            yield spoilt.spoilt("cut off", "Truncated", body=row.body[: row.body.rindex(b"\r\n0;")])
