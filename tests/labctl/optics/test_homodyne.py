"""Receivers: bins as they arrive, guards dropped, offsets taken out, clipped traces refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from labctl.config import ReceiverRole
from labctl.errors import GateError
from labctl.optics.drive import Timing
from labctl.optics.homodyne import CollectedMode, DualQuadrature
from labctl.protocol.traces import NoiseGate
from labctl.values import DigitizerCapabilities, Range, Trace

TIMING = Timing(125e6, 48, 240)
#: For records that may be anything: without noise none is improbable.
ANYTHING = NoiseGate("scope", 1e-12)


class OneTrace:
    """A digitizer that gives what a test put into it."""

    name = "scope"
    capabilities = DigitizerCapabilities(4, Range(0.1, 8), Range(1, 5e9), 12, 10**6)

    def __init__(self, codes: Mapping[int, np.ndarray], **form: Any) -> None:
        self.codes, self.form = codes, form
        self.log: list[tuple[Any, ...]] = []

    def configure(self, *arguments: Any) -> None:
        self.log.append(("configure", *arguments))

    def arm(self) -> None:
        self.log.append(("arm",))

    def wait(self) -> None:
        self.log.append(("wait",))

    def read(self, channel: int) -> Trace:
        self.log.append(("read", channel))
        form = {
            "y_increment_v": 0.001,
            "y_origin_v": 0.0,
            "y_reference": 0,
            "x_increment_s": 8e-9,
            "x_origin_s": 0.0,
            "low_clip": -2048,
            "high_clip": 2047,
        }
        return Trace(self.codes[channel].astype(np.int16), **{**form, **self.form})


def role(channels: list[int]) -> ReceiverRole:
    return ReceiverRole(
        digitizer="scope", channels=channels, full_scale="4 V", volts_per_snu="20 mV", calibration_samples=100
    )


def returned(rows: int, modes: int, bins: int) -> np.ndarray:
    """Codes as they arrive: mode k of row r is 10 r + k, last bin first, guards (777) after the data."""
    grid = np.full((rows, bins), 777)
    grid[:, :modes] = (10 * np.arange(rows)[:, None] + np.arange(modes))[:, ::-1]
    return grid.reshape(-1)


@pytest.mark.parametrize(("rows", "modes"), [(3, 5), (1, 240), (2, 241)])
def test_bins_as_they_arrive_without_guards(rows: int, modes: int) -> None:
    bins = TIMING.layout(modes).bins
    scope = OneTrace({1: returned(rows, modes, bins), 2: -returned(rows, modes, bins)})
    receiver = DualQuadrature(role([1, 2]), scope, TIMING)
    receiver.arm(rows, modes)
    x, p = receiver.read()
    assert x.samples.shape == p.samples.shape == (rows, modes)
    assert x.samples.dtype == np.int16, "the digitizer's own codes, as long as code 0 is 0"
    assert x.values().dtype == np.float32
    launched = (10 * np.arange(rows)[:, None] + np.arange(modes)) * 0.001 / 0.02
    np.testing.assert_allclose(x.values(), launched[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(p.values(), -launched[:, ::-1], rtol=1e-6)
    assert (receiver.quadratures, receiver.kappa) == (2, 0.5)
    assert scope.log[:3] == [("configure", {1: 4.0, 2: 4.0}, 8e-9, rows * bins), ("arm",), ("wait",)]


def test_channels_are_x_then_p() -> None:
    bins = TIMING.layout(4).bins
    scope = OneTrace({2: np.full(bins, 20), 4: np.full(bins, 40)})
    receiver = DualQuadrature(role([4, 2]), scope, TIMING)
    receiver.arm(1, 4)
    x, p = receiver.read()
    assert x.values()[0, 0] == pytest.approx(2.0)
    assert p.values()[0, 0] == pytest.approx(1.0)


OFFSETS = [{"y_origin_v": 0.5}, {"y_reference": -300}, {"y_origin_v": -0.2, "y_reference": 100}]


@pytest.mark.parametrize("form", OFFSETS)
def test_offsets_are_taken_out(form: dict[str, float]) -> None:
    codes = np.arange(240) % 97 - 48
    scope = OneTrace({1: codes, 2: codes}, **form)
    dual = DualQuadrature(role([1, 2]), scope, TIMING)
    dual.arm(1, 10)
    volts = scope.read(1).volts()
    np.testing.assert_allclose(dual.read()[0].values()[0], volts[:10] / 0.02, atol=1e-5)
    client = CollectedMode(role([1]), scope, TIMING, ANYTHING)
    client.arm(240, 10)
    np.testing.assert_allclose(client.read()[0].values()[:, 0], volts / 0.02, atol=1e-5)


def test_large_codes_do_not_overflow() -> None:
    codes = np.array([-32000, 32000] * 120)
    scope = OneTrace({1: codes, 2: codes}, low_clip=-32768, high_clip=32767, y_reference=30000)
    client = CollectedMode(role([1]), scope, TIMING, ANYTHING)
    client.arm(240, 1)
    np.testing.assert_allclose(client.read()[0].values()[:2, 0], [-3100, 100], rtol=1e-6)


def test_client_takes_one_sample_a_row() -> None:
    scope = OneTrace({1: np.array([10, -20, 30])})
    client = CollectedMode(role([1]), scope, TIMING, ANYTHING)
    client.arm(3, 392)
    assert scope.log == [("configure", {1: 4.0}, pytest.approx(432 / 125e6), 3), ("arm",)]
    (quadrature,) = client.read()
    np.testing.assert_allclose(quadrature.values(), [[0.5], [-1.0], [1.5]], rtol=1e-6)
    assert (client.quadratures, client.kappa) == (1, 1.0)


@pytest.mark.parametrize("code", [-2048, 2047, 2500])
@pytest.mark.parametrize("channel", [1, 2])
def test_a_clipped_trace_gives_no_number(code: int, channel: int) -> None:
    codes = {1: np.zeros(240), 2: np.zeros(240)}
    codes[channel][200] = code  # a guard bin: the record is not to be trusted all the same
    receiver = DualQuadrature(role([1, 2]), OneTrace(codes), TIMING)
    receiver.arm(1, 10)
    with pytest.raises(GateError, match="scope: 1 of 240 samples lie outside") as caught:
        receiver.read()
    assert "full_scale" in caught.value.remedy


def test_a_clipped_client_trace_gives_no_number() -> None:
    client = CollectedMode(role([1]), OneTrace({1: np.array([0, 2047, -2048])}), TIMING)
    client.arm(3, 10)
    with pytest.raises(GateError, match="2 of 3"):
        client.read()


def test_shapes_may_change_from_shot_to_shot() -> None:
    receiver = DualQuadrature(role([1, 2]), OneTrace({}), TIMING)
    for rows, modes in ((2, 5), (3, 7), (2, 5)):
        bins = TIMING.layout(modes).bins
        receiver._digitizer.codes = {1: returned(rows, modes, bins), 2: returned(rows, modes, bins)}
        receiver.arm(rows, modes)
        values = receiver.read()[1].values()
        assert values.shape == (rows, modes)
        np.testing.assert_allclose(values[-1, ::-1], (10 * (rows - 1) + np.arange(modes)) / 20, rtol=1e-6)


def test_a_stuck_server_record_gives_no_number() -> None:
    codes = np.random.default_rng(1).normal(0, 30, 240)
    receiver = DualQuadrature(role([1, 2]), OneTrace({1: codes, 2: codes}), TIMING)
    receiver.arm(1, 10)
    receiver.read()
    with pytest.raises(GateError, match="it is stuck"):
        receiver.read()


def test_a_client_record_without_its_noise_gives_no_number() -> None:
    generator = np.random.default_rng(2)
    scope = OneTrace({1: generator.normal(0, 30, 300)})
    client = CollectedMode(role([1]), scope, TIMING, NoiseGate("scope", 2.0))
    client.arm(300, 10)
    client.read()
    scope.codes = {1: generator.normal(0, 8, 300)}
    with pytest.raises(GateError, match="scope: samples have a variance of 0") as caught:
        client.read()
    assert caught.value.shots == 2


def test_a_client_record_beyond_the_agreed_light_gives_no_number() -> None:
    scope = OneTrace({1: np.random.default_rng(3).normal(0, 30 * 20, 64)})  # 30 sqrt(SNU)
    for light, enough in ((1.0, False), (2.0, False), (9.0, True)):
        client = CollectedMode(role([1]), scope, TIMING, NoiseGate("scope", 2.0, light))
        client.arm(64, 32)
        if enough:
            client.read()
        else:
            with pytest.raises(GateError, match="which the agreed light cannot give"):
                client.read()
