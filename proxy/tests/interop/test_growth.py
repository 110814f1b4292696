"""What is said of growth: leaks are found, and what gateways have to keep is not taken for one."""

import dataclasses

import pytest

from kit.growth import KIB, MIB, GatewaySample, Sample, slope, verdicts


def sample(minute: int) -> Sample:
    """At 300 events a minute, each with 2 KiB of memory and file, in pages of the file."""
    events = 300 * minute
    gateway = GatewaySample(
        resident=20 * MIB + events * 2 * KIB,
        file=MIB + events * 2 * KIB,
        output=events * KIB // 2,
        quarantined=0,
        cached=500,
        pages=1.6 * KIB * events,
        marks=events / 4,
        packed=0,
    )
    return Sample(60.0 * minute, events, events // 4, events * 8, [gateway], 0, events * KIB, events * KIB // 4, minute)


def grew(change, minutes: int = 30) -> list[str]:
    """What is found to have grown, when each sample is changed so."""
    samples = [change(minute, sample(minute)) for minute in range(minutes + 1)]
    return [verdict.what for verdict in verdicts(samples) if not verdict.kept()]


def of_gateway(name: str, each_minute: float):
    """One value of the gateway grows by so much more."""

    def change(minute: int, sample: Sample) -> Sample:
        gateway = sample.gateways[0]
        more = {name: getattr(gateway, name) + each_minute * minute}
        return dataclasses.replace(sample, gateways=[dataclasses.replace(gateway, **more)])

    return change


def test_what_has_to_be_kept_is_no_leak():
    assert grew(lambda _, sample: sample) == []


def test_memory_that_goes_on_growing_when_its_pages_are_full_is_found():
    assert grew(lambda _, sample: sample, minutes=240) == [
        "gateway-0 memory, MiB",
        "gateway-0 unexplained memory, KiB a minute",
    ]


@pytest.mark.parametrize(
    "name, each_minute, what",
    [
        ("resident", 300 * KIB, "gateway-0 unexplained memory, KiB a minute"),
        ("file", 3 * MIB, "gateway-0 file, MiB"),
        ("output", 6 * MIB, "gateway-0 output, MiB"),
        ("quarantined", 1, "gateway-0 quarantine"),
    ],
)
def test_a_leak_of_a_gateway_is_found(name, each_minute, what):
    assert grew(of_gateway(name, each_minute)) == [what]


def nothing_packed(sample: Sample) -> Sample:
    gateways = [dataclasses.replace(gateway, packed=0) for gateway in sample.gateways]
    return dataclasses.replace(sample, gateways=gateways)


def test_what_packing_takes_for_a_while_is_no_leak():
    def change(minute: int, sample: Sample) -> Sample:
        gateway = sample.gateways[0]
        if minute < 22:
            return sample
        more = dataclasses.replace(gateway, packed=16_384, resident=gateway.resident + 6 * MIB)
        return dataclasses.replace(sample, gateways=[more])

    assert grew(change) == []
    leak = "gateway-0 unexplained memory, KiB a minute"
    assert grew(lambda minute, sample: nothing_packed(change(minute, sample))) == [leak]


def test_memory_that_grows_all_at_once_is_found():
    assert grew(lambda minute, sample: of_gateway("resident", 4 * MIB)(min(minute, 8), sample)) == [
        "gateway-0 memory, MiB"
    ]


@pytest.mark.parametrize("name, what", [("log", "log, MiB"), ("state", "compacted state, MiB")])
def test_a_leak_of_the_log_is_found(name, what):
    def change(minute: int, sample: Sample) -> Sample:
        return dataclasses.replace(sample, **{name: getattr(sample, name) + minute * MIB})

    assert grew(change) == [what]


def test_the_slope_is_that_of_the_line_through_the_points():
    assert slope([(1.0, 5.0), (2.0, 7.0), (3.0, 9.0)]) == 2.0
    assert slope([(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)]) == slope([(1.0, 5.0)]) == 0.0
