"""A machine that stalls is noticed, and one that does not is not blamed."""

import os
import time

from kit.history import SERVER, History
from kit.pulse import Pulse


def test_a_disk_that_holds_everybody_up_is_a_fault_of_everybody(tmp_path, monkeypatch):
    history, slow = History(), [1.5]

    def fsync(_):
        time.sleep(slow.pop() if slow else 0)

    monkeypatch.setattr(os, "fsync", fsync)
    with Pulse(tmp_path, history):
        time.sleep(2.2)
    assert [(fault.target, fault.kind) for fault in history.faults] == [(SERVER, "stall")]
    assert 1.5 < history.faults[0].ended - history.faults[0].began < 2.2
