"""Records that begin before, at and after their trigger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sim_backends.recording import MAX_DELAY_SAMPLES, record_around_trigger
from sim_backends.scpi import ScpiError
from sim_backends.state import ChannelRecord
from tests.sim_backends.rig import QuietWorld


class Counting(QuietWorld):
    """Every sample tells how long after the trigger it was taken."""

    def acquire(
        self, unit: str, channels: Sequence[int], sample_interval_s: float, samples: int
    ) -> dict[int, ChannelRecord]:
        return {n: ChannelRecord(np.arange(1, samples + 1, dtype=np.float32), 0.5) for n in channels}


@pytest.mark.parametrize(
    ("before", "due"),
    [(0, [1, 2, 3, 4]), (1, [0, 1, 2, 3]), (4, [0, 0, 0, 0]), (9, [0, 0, 0, 0]), (-3, [4, 5, 6, 7])],
)
def test_where_the_trigger_lies(before: int, due: list[int]) -> None:
    records = record_around_trigger(Counting(), "scope", (1, 3), 1e-9, 4, before)
    assert sorted(records) == [1, 3]
    for record in records.values():
        assert record.samples.tolist() == due


def test_no_channel_and_too_late() -> None:
    assert record_around_trigger(Counting(), "scope", (), 1e-9, 4, 0) == {}
    with pytest.raises(ScpiError, match="-221"):
        record_around_trigger(Counting(), "scope", (1,), 1e-9, 4, -MAX_DELAY_SAMPLES - 1)
