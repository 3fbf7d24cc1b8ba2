"""What an oscilloscope's inputs carried around a trigger, for front ends whose records may begin before or after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sim_backends.state import ChannelRecord, WorldView
from sim_backends.status import ScpiError

#: A record that begins later than so many samples after its trigger is refused.
MAX_DELAY_SAMPLES: Final = 50_000_000


def record_around_trigger(
    world: WorldView, unit: str, channels: Sequence[int], interval_s: float, samples: int, before: int
) -> dict[int, ChannelRecord]:
    """``samples`` of each channel, ``before`` of them before the trigger (negative: the record begins later).

    The world begins at the trigger: what lies before it is 0 V. Raises ScpiError -221 for a delay that is too long.
    """
    blank, skipped = max(0, min(samples, before)), max(0, -before)
    if skipped > MAX_DELAY_SAMPLES:
        raise ScpiError(-221, "the delay is too long to be simulated")
    wanted = samples - blank + skipped
    if not channels:
        return {}
    if not wanted:
        return {number: ChannelRecord(np.zeros(samples, np.float32), 1.0) for number in channels}
    records = world.acquire(unit, channels, interval_s, wanted)
    for record in records.values():
        record.samples = record.samples[skipped:]
        if blank:
            record.samples = np.concatenate([np.zeros(blank, np.float32), record.samples])
    return records
