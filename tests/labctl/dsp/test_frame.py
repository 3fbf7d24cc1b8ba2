"""Pilots go in and come out where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.dsp.frame import PilotFrame
from labctl.errors import ConfigError, ProtocolError


@given(st.integers(1, 100), st.integers(2, 20))
def test_data_survive_the_frame(count: int, period: int) -> None:
    frame = PilotFrame(period, 3 - 4j)
    data = np.arange(1, count + 1).astype(np.complex64)
    symbols = frame.interleave(data)
    assert len(symbols) == frame.length(count)
    np.testing.assert_array_equal(frame.data(symbols, count), data)
    pilots = frame.pilots(symbols)
    np.testing.assert_array_equal(pilots, np.full(len(pilots), 3 - 4j))
    assert symbols[0] == symbols[-1] == 3 - 4j
    assert np.count_nonzero(symbols) == count + len(pilots)


def test_what_is_no_frame_is_refused() -> None:
    frame = PilotFrame(4, 1.0)
    for length in (0, 1, 4, 6):
        with pytest.raises(ProtocolError, match="no frame"):
            frame.pilots(np.zeros(length, np.complex64))
    with pytest.raises(ProtocolError, match="does not hold 4"):
        frame.data(np.zeros(5, np.complex64), 4)
    for shape in ((0,), (2, 2)):
        with pytest.raises(ProtocolError, match="one row"):
            frame.interleave(np.zeros(shape, np.complex64))


@pytest.mark.parametrize(("period", "amplitude"), [(1, 1.0), (4, 0.0), (4, np.inf)])
def test_pilots_need_room_and_light(period: int, amplitude: complex) -> None:
    with pytest.raises(ConfigError):
        PilotFrame(period, amplitude)
