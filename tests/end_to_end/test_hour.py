"""The hour of runs with faults at random, in its shortest form: benchmarks/hour.py."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.hour import GROWTH_BYTES, Footprint, arguments, grown, hour


def test_a_few_runs_are_accounted_for() -> None:
    found = hour(arguments(["--run", "digits", "--seconds", "0", "--least-runs", "6", "--most-images", "24"]))
    assert found["bad"] == []
    assert found["runs"] == 6 == sum(found["ends"].values()) == sum(found["faults"].values())
    assert found["faults"].get("none", 0) < 6, "this seed breaks something"


def test_what_grows_is_noticed() -> None:
    flat = [Footprint(10**8, 7, 1, 1)] * 40
    assert grown(flat)["flat"]
    assert not grown([*flat[:-4], *[replace(flat[0], memory_bytes=10**8 + 2 * GROWTH_BYTES)] * 4])["flat"]
    for name in ("files", "threads", "children"):
        assert not grown([*flat[:-1], replace(flat[0], **{name: 9})])["flat"], name
