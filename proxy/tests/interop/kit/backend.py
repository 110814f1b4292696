"""The backend's own directory: what was really stored, read without asking the gateway.

Nothing is assumed about file names. Bodies in this suite are unique, so an object is found by its bytes.
"""

import hashlib
import time
from contextlib import contextmanager
from pathlib import Path

BLOCK = 1 << 20


def digest_of(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.digest()


class BackendDirectory:
    def __init__(self, path: str | Path):
        self.path = Path(path)

    def files(self, bucket: str | None = None) -> list[Path]:
        """Every file of a bucket, or of the whole backend with its own records."""
        top = self.path / bucket if bucket else self.path
        return [path for path in top.rglob("*") if path.is_file()]

    def copies(self, bucket: str, body: bytes | Path) -> list[Path]:
        """The files of the bucket that hold exactly these bytes."""
        if isinstance(body, Path):
            size, digest = body.stat().st_size, digest_of(body)
        else:
            size, digest = len(body), hashlib.sha256(body).digest()
        return [path for path in self.files(bucket) if path.stat().st_size == size and digest_of(path) == digest]

    def assert_stored(self, bucket: str, body: bytes | Path, copies: int = 1) -> None:
        """Byte for byte, and as often as it was put under another key."""
        found = self.copies(bucket, body)
        assert len(found) == copies, f"{len(found)} files hold the body; there: {self._names(bucket)}"

    @contextmanager
    def untouched(self, settle: float = 5.0, hold: float = 0.25):
        """What happens inside leaves every file as it was, for good; temporary files may take `settle` to go.

        A bucket must not show an object even for a moment: only files outside buckets are given that time.
        """
        before = self._state()
        yield
        deadline = time.monotonic() + settle
        held_since = None
        while held_since is None or time.monotonic() < held_since + hold:
            now = self._state()
            if now == before:
                held_since = held_since or time.monotonic()
            else:
                held_since = None
                changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
                lasting = [name for name in changed if "/" in name]
                assert not lasting, f"the backend's buckets changed: {lasting}"
                assert time.monotonic() < deadline, f"left behind in the backend: {changed}"
            time.sleep(0.02)

    def _state(self) -> dict[str, tuple]:
        state = {}
        for path in self.files():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            state[str(path.relative_to(self.path))] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return state

    def _names(self, bucket: str) -> list[str]:
        return sorted(str(path.relative_to(self.path / bucket)) for path in self.files(bucket))[:20]
