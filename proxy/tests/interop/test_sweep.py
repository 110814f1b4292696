"""Kill -9 of gateways and of their log's server under load, in short; `sweep.py` does it hundreds of times."""

from sweep import sweep

KILLS, SEED = 12, 63


def test_what_gateways_acknowledged_is_true_whoever_is_killed(tmp_path, capsys, record_property):
    result = sweep(tmp_path, KILLS, SEED)
    with capsys.disabled():
        print(f"\n{result}")
    assert not result.violations, "\n".join(map(str, result.violations[:10]))
    figures = result.figures
    assert result.killed >= KILLS
    # What was hardly seen is not shown.
    assert min(figures.must_serve, figures.calm) > 200, figures
    assert min(figures.revoked, figures.must_refuse_elsewhere) > 30, figures
    assert result.held, "nobody was held up"
    for name in ("must_serve", "must_refuse", "must_refuse_elsewhere", "calm"):
        record_property(name, getattr(figures, name))
