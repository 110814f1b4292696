"""Bodies stream: memory does not follow their size. `memory.py` alone measures the full amount."""

from memory import MEBIBYTE, gateway_and_sink, measure

CLIENTS, EACH = 8, 64
BOUND = 64 * MEBIBYTE


def test_memory_stays_flat_while_clients_move_much_more(tmp_path, capsys):
    with gateway_and_sink(tmp_path) as gateway:
        report = measure(gateway, CLIENTS, EACH)
    with capsys.disabled():
        print(f"\nmemory: {report}")
    assert report.highest - report.idle < BOUND, report
