"""Recordings from traces, and the gate against clipping."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.dsp.recording import Recording
from labctl.errors import GateError, ProtocolError
from labctl.values import Trace


def trace(codes: list[int], *, increment: float = 0.5, reference: int = 0) -> Trace:
    return Trace(np.array(codes, np.int16), increment, 0.0, reference, 1e-9, 0.0, -128, 127)


def test_codes_stay_codes_where_zero_is_zero() -> None:
    recording = Recording.of([trace([1, -2, 3]), trace([4, 5, 6])])
    assert recording.samples.dtype == np.int16
    np.testing.assert_array_equal(recording.samples, [[1, -2, 3], [4, 5, 6]])
    assert (recording.volts_per_unit, recording.clipped, recording.length) == (0.5, 0, 3)


def test_other_codes_become_volts() -> None:
    recording = Recording.of([trace([1, 2]), trace([1, 2], increment=0.25, reference=1)])
    np.testing.assert_allclose(recording.samples, [[0.5, 1.0], [0.0, 0.25]])
    assert recording.volts_per_unit == 1


def test_clipped_samples_are_counted_and_refused() -> None:
    recording = Recording.of([trace([127, 0, 0]), trace([0, -128, 127])])
    assert recording.clipped == 3
    with pytest.raises(GateError, match="the receiver: 3 of 6 samples") as error:
        recording.require_unclipped("the receiver")
    assert error.value.remedy
    Recording.of([trace([126, 0, 0])]).require_unclipped("the receiver")


def test_shapes() -> None:
    with pytest.raises(ProtocolError, match="different numbers"):
        Recording.of([trace([1]), trace([1, 2])])
    for shape in ((3,), (3, 4)):
        with pytest.raises(ProtocolError, match="neither"):
            Recording(np.zeros(shape, np.float32))
