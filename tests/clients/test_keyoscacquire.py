"""keyoscacquire, a program of others for InfiniiVision oscilloscopes, on the simulated MSO-X 3104T.

It names no VISA library. Its ASCII transfer takes the block's header for a number on every series but the 2000
(``dataprocessing._process_data_ascii``), so it is tried on a DSO-X 2004A only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from keyoscacquire.oscilloscope import Oscilloscope

from labctl.budget.sources import Tables
from tests.clients.desk import Desk

#: Of the server's receiver at 10 mW of local oscillator: one standard deviation of vacuum.
VACUUM_V = 20e-3
POINTS = 5000


@pytest.fixture
def changes() -> Tables:
    unit = {"model": "keysight_infiniivision", "variant": "DSO-X 2004A"}
    return {"world": {"units": {"client_scope": unit}}}


@pytest.fixture
def scopes(desk: Desk) -> Iterator[list[Any]]:
    laser = desk.lab.units["laser"].state
    laser.emission, laser.power_w = True, 10e-3
    opened = [Oscilloscope(desk.resource(f"{who}_scope"), verbose=False) for who in ("server", "client")]
    yield opened
    for scope in opened:
        scope.close(set_running=False)


def test_it_finds_out_what_it_has(scopes: list[Any]) -> None:
    large, small = scopes
    assert (large._model, large._model_series) == ("MSO-X 3104T", "3000")
    assert (small._model, small._model_series) == ("DSO-X 2004A", "2000")
    assert large.active_channels == [1]


@pytest.mark.parametrize("form", ["WORD", "BYTE"])
def test_traces(scopes: list[Any], form: str) -> None:
    """Vacuum at both homodyne outputs; the standard deviation of 5000 samples is off by 5 % once in 10^6 times."""
    scope = scopes[0]
    for channel in (1, 2):
        scope.write(f":CHAN{channel}:SCAL 0.05")
    scope.active_channels = [1, 2]
    scope.set_acquiring_options(acq_type="HRES", wav_format=form, num_points=POINTS, verbose_acquistion=False)
    time_s, volts, channels = scope.get_trace([1, 2])
    assert list(channels) == [1, 2]
    assert volts.shape == (POINTS, 2)
    assert np.all(np.diff(time_s[:, 0]) > 0)
    assert volts.std(axis=0) == pytest.approx([VACUUM_V, VACUUM_V], rel=0.06)
    assert scope.get_full_error_queue(verbose=False) == []


def test_ascii_of_the_2000_series(scopes: list[Any]) -> None:
    scope = scopes[1]
    scope.set_acquiring_options(wav_format="ASCii", num_points=1000, verbose_acquistion=False)
    time_s, volts, _ = scope.get_trace([1])
    assert time_s.shape == volts.shape == (1000, 1)
    assert volts.std() > 0
    assert scope.get_full_error_queue(verbose=False) == []


def test_run_and_stop(scopes: list[Any]) -> None:
    scope = scopes[0]
    scope.run()
    assert scope.is_running()
    scope.stop()
    assert not scope.is_running()
