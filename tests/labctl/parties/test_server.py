"""The server: launches, listens, sums, and its side of the conversation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labctl.errors import GateError, ProtocolError
from labctl.parties.channel import (
    Endpoint,
    LayerOffer,
    LayerReady,
    LayerReturned,
    LayerSent,
    LayerVerdict,
    Terms,
    in_process_channel,
)
from labctl.parties.server import Server
from labctl.protocol.encoding import launched_quadratures, pack_rows
from labctl.protocol.estimation import Receiver
from labctl.protocol.layers import Architecture, Dense
from labctl.values import Quadrature

RNG = np.random.default_rng(3)
WEIGHTS = [RNG.normal(size=(8, 30)).astype(np.float32), RNG.normal(size=(4, 9)).astype(np.float32)]


class Model:
    """Secret weights, and what may be told of them."""

    weights = WEIGHTS
    architecture = Architecture((Dense(30, 8), Dense(9, 4)))


MODEL = Model()


class Optics:
    """A modulator that launches a little less than asked for, and a receiver."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.launched: list[np.ndarray] = []
        self.received: np.ndarray = np.empty((2, 0, 0))
        self.unit = 0.0

    def load(self, layers: list[np.ndarray]) -> list[np.ndarray]:
        self.log.append("load")
        self.launched = [(0.99 * each).astype(np.complex64) for each in layers]
        return self.launched

    def send(self, layer: int) -> None:
        self.log.append(("send", layer))

    def arm(self, rows: int, modes: int) -> None:
        self.log.append(("arm", rows, modes))

    def read(self) -> list[Quadrature]:
        """What a test laid there in launch order, as it arrives: reversed; ``unit``: of a digitizer's codes."""
        arriving = self.received[:, :, ::-1]
        if self.unit:
            return [Quadrature(np.rint(each / self.unit).astype(np.int16), self.unit) for each in arriving]
        return [Quadrature(each.astype(np.float32), 1.0) for each in arriving]


def parties(receiver: Receiver | None = None, mean_photons: float = 4.0) -> tuple[Server, Endpoint, Optics]:
    end, client = in_process_channel()
    optics = Optics()
    server = Server(MODEL, optics, optics, receiver or Receiver(0.5), end)  # type: ignore[arg-type]
    server.prepare(2.0, mean_photons)
    return server, client, optics


def listening(layer: int = 0, mean_photons: float = 4.0) -> tuple[Server, Endpoint, Optics]:
    """Light sent, and said by the client to be on its way back."""
    server, client, optics = parties(mean_photons=mean_photons)
    client.receive(Terms)
    server.offer(0, layer)
    client.send(LayerReady(0, layer))
    server.send()
    client.send(LayerReturned(0, layer))
    return server, client, optics


def test_terms_are_architecture_and_working_point() -> None:
    _, client, optics = parties()
    assert client.receive(Terms) == Terms(MODEL.architecture, 2.0, 4.0)
    np.testing.assert_allclose(optics.launched[1], 0.99 * pack_rows(WEIGHTS[1], 4.0), rtol=1e-6)


def test_ears_open_before_the_light_goes() -> None:
    server, client, optics = listening(1)
    assert optics.log == ["load", ("arm", 4, 5), ("send", 1)]
    assert client.receive(LayerOffer) == LayerOffer(0, 1)
    assert client.receive(LayerSent) == LayerSent(0, 1)
    server.judge(True)
    assert client.receive(LayerVerdict) == LayerVerdict(0, 1, True)


@pytest.mark.parametrize("unit", [0.0, 0.001])
@pytest.mark.parametrize("layer", [0, 1])
def test_sums_are_against_what_was_launched(layer: int, unit: float) -> None:
    """s is what the modulator said it launched, not what was asked for."""
    server, _, optics = listening(layer)
    s = launched_quadratures(optics.launched[layer]).astype(np.float64)
    r = np.sqrt(0.5) * s + np.random.default_rng(1).normal(size=s.shape)
    optics.received, optics.unit = r, unit
    sums = server.measure()
    assert sums.n_samples == s.size
    assert sums.ss == pytest.approx(np.sum(s * s), rel=1e-5)
    assert sums.sr == pytest.approx(np.sum(s * r), rel=1e-4)
    assert sums.rr == pytest.approx(np.sum(r * r), rel=1e-4)


def test_a_look_at_the_receiver_is_what_came_back_beyond_the_share_of_what_was_sent() -> None:
    server, _, optics = listening(0)
    assert server.residual(100).shape == (2, 0)
    s = launched_quadratures(optics.launched[0]).astype(np.float64)
    noise = np.random.default_rng(1).normal(size=s.shape)
    optics.received = np.sqrt(0.5) * s + noise
    sums = server.measure()
    arriving = (optics.received - sums.sr / sums.ss * s)[:, :, ::-1].reshape(2, -1)
    np.testing.assert_allclose(server.residual(50), arriving[:, :50], atol=1e-4)
    assert server.residual(10**6).shape == arriving.shape


@pytest.mark.parametrize(("noise", "lost"), [(0.0, True), (0.6, True), (0.8, False), (1.0, False), (1.5, False)])
def test_lost_shot_noise_is_a_gate(noise: float, lost: bool) -> None:
    """Half of the calibrated variance is the gate: sqrt(1/2) = 0.71 of the noise."""
    server, _, optics = listening()
    s = launched_quadratures(optics.launched[0])
    optics.received = (np.sqrt(0.5) * s + noise * np.random.default_rng(2).normal(size=s.shape)).astype(np.float32)
    if not lost:
        server.measure()
        return
    with pytest.raises(GateError, match="local oscillator is lost") as caught:
        server.measure()
    assert "laser" in caught.value.remedy


def test_small_shots_are_judged_together() -> None:
    """40 samples have less than half of their variance once in 300 shots; 240 do once in 10^11. Six shots are 240."""
    server, client, optics = listening(1)
    s, rng = launched_quadratures(optics.launched[1]), np.random.default_rng(2)

    def measure(noise: float) -> None:
        optics.received = (np.sqrt(0.5) * s + noise * rng.normal(size=s.shape)).astype(np.float32)
        server.measure()
        client.send(LayerReturned(0, 1))

    for _ in range(2004):  # 334 times six shots
        measure(1.0)
    for _ in range(5):
        measure(0.5)
    with pytest.raises(GateError, match="local oscillator is lost"):
        measure(0.5)


@pytest.mark.parametrize("amplitude", [0.0, -np.sqrt(0.5)])
def test_a_lost_signal_is_a_gate(amplitude: float) -> None:
    """Vacuum, or light with its phase turned by half a wave."""
    server, _, optics = listening()
    s = launched_quadratures(optics.launched[0])
    optics.received = amplitude * s + np.random.default_rng(2).normal(size=s.shape)
    with pytest.raises(GateError, match="nothing of what was sent") as caught:
        server.measure()
    assert caught.value.remedy


def test_a_faint_signal_is_none_of_this_gate() -> None:
    """At few photons one shot cannot tell: nothing is refused."""
    server, _, optics = listening(mean_photons=0.02)
    s = launched_quadratures(optics.launched[0])
    optics.received = np.random.default_rng(2).normal(size=s.shape)
    assert server.measure().n_samples == s.size


def test_swapped_quadratures_are_a_gate() -> None:
    server, _, optics = listening()
    s = launched_quadratures(optics.launched[0])
    optics.received = np.sqrt(0.5) * s[::-1] + np.random.default_rng(2).normal(size=s.shape)
    with pytest.raises(GateError):
        server.measure()


def test_a_sample_that_is_no_number() -> None:
    server, _, optics = listening()
    optics.received = np.full((2, 8, 15), np.nan, dtype=np.float32)
    with pytest.raises(GateError, match="not finite"):
        server.measure()


def test_messages_out_of_order() -> None:
    server, client, _ = parties()
    with pytest.raises(ProtocolError, match="no message where a LayerReady"):
        server.send()
    with pytest.raises(ProtocolError, match="no shot to judge"):
        server.judge(True)
    server.offer(0, 0)
    client.send(LayerReturned(0, 0))
    with pytest.raises(ProtocolError, match="a LayerReturned came where a LayerReady was due"):
        server.send()
    with pytest.raises(ProtocolError, match="no message where a LayerReturned"):
        server.measure()


@pytest.mark.parametrize("wrong", [(0, 1), (1, 0)])
def test_the_client_must_speak_of_the_shot_that_is_due(wrong: tuple[int, int]) -> None:
    server, client, optics = parties()
    server.offer(0, 0)
    client.send(LayerReady(*wrong))
    with pytest.raises(ProtocolError, match=f"image {wrong[0]}, layer {wrong[1]}"):
        server.send()
    assert optics.log == ["load"], "no light for a client that asks for another row"
    server, client, _ = parties()
    server.offer(0, 0)
    client.send(LayerReady(0, 0))
    server.send()
    client.send(LayerReturned(*wrong))
    with pytest.raises(ProtocolError):
        server.measure()


def test_light_is_sent_once_for_an_offer() -> None:
    server, client, optics = listening()
    s = launched_quadratures(optics.launched[0])
    optics.received = (np.sqrt(0.5) * s + np.random.default_rng(2).normal(size=s.shape)).astype(np.float32)
    server.measure()
    server.judge(True)
    with pytest.raises(ProtocolError, match="no shot to judge"):
        server.judge(True)
    client.send(LayerReady(0, 0))
    with pytest.raises(ProtocolError):
        server.send()
    assert optics.log.count(("send", 0)) == 1
