"""Notices when the machine itself holds everybody up: what happens then is nobody's fault who is judged here."""

import os
import threading
import time
from pathlib import Path

from .history import SERVER, Fault, History

EVERY = 0.2

# A gateway is held up by the disk with each event, and everybody by a machine that has no time for them.
PATIENCE = 1.0


class Pulse:
    """Sleeps and writes to the disk, which takes no time to speak of unless the machine is overloaded.

    When it does, a fault of everybody is added to the history.
    """

    def __init__(self, directory: Path, history: History):
        self._file, self._history, self._over = directory / "pulse", history, threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        with self._file.open("wb", buffering=0) as file:
            while True:
                began = time.monotonic()
                over = self._over.wait(EVERY)
                file.seek(0)
                file.write(os.urandom(4096))
                os.fsync(file.fileno())
                ended = time.monotonic()
                if ended - began > EVERY + PATIENCE:
                    self._history.add(Fault(SERVER, "stall", began, ended))
                if over:
                    return
