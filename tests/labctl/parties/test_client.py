"""The client: from the trace alone to prediction, and its side of the conversation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from labctl.parties.client import Client
from labctl.protocol.layers import Architecture, Convolution, Dense
from labctl.values import Quadrature

DENSE = Architecture((Dense(8, 6), Dense(6, 3)))
GAIN, PHOTONS, T_IN, ETA = 2.0, 4.0, 0.9, 0.8
SCALE = np.sqrt(ETA * (GAIN - 1) * 2 * PHOTONS * T_IN)


class Optics:
    """A unitary and a detector that hold nothing but what the test lays there."""

    def __init__(self, *traces: Any) -> None:
        self.traces = [np.asarray(trace, dtype=np.float32) for trace in traces]
        self.projected: list[tuple[np.ndarray, float, int]] = []
        self.log: list[Any] = []

    def project(self, z: np.ndarray, returned_fraction: float, rows: int) -> None:
        self.log.append("project")
        self.projected.append((z.copy(), returned_fraction, rows))

    def arm(self, rows: int, modes: int) -> None:
        self.log.append(("arm", rows, modes))

    def read(self) -> list[Quadrature]:
        return [Quadrature(self.traces.pop(0).reshape(-1, 1), 1.0)]


def parties(*traces: Any, gain: float = GAIN, architecture: Architecture = DENSE) -> tuple[Client, Endpoint, Optics]:
    """A client that has accepted the terms, the server's end of its channel, and its optics."""
    server, end = in_process_channel()
    optics = Optics(*traces)
    client = Client(optics, optics, end, gain_in_use=gain, transmittance_in=T_IN, efficiency=ETA)  # type: ignore[arg-type]
    server.send(Terms(architecture, GAIN, PHOTONS))
    client.accept_terms()
    return client, server, optics


def shot(client: Client, server: Endpoint, layer: int) -> None:
    server.send(LayerOffer(0, layer))
    client.make_ready()
    assert server.receive(LayerReady) == LayerReady(0, layer)
    server.send(LayerSent(0, layer))
    client.measure()
    assert server.receive(LayerReturned) == LayerReturned(0, layer)
    server.send(LayerVerdict(0, layer, True))
    assert client.may_continue()


IMAGE = np.arange(1, 9, dtype=np.float32)
HIDDEN = np.array([3.0, -1.0, 2.0, 0.5, -4.0, 1.0])
OUTPUT = np.array([-0.5, 2.5, 1.0])


def test_two_layers() -> None:
    client, server, optics = parties(HIDDEN, OUTPUT)
    client.begin(IMAGE)
    shot(client, server, 0)
    shot(client, server, 1)
    np.testing.assert_allclose(client.scores(), OUTPUT / SCALE, rtol=1e-6)
    assert client.prediction() == 1
    (z0, tau0, rows0), (z1, tau1, rows1) = optics.projected
    unit = IMAGE / np.linalg.norm(IMAGE)
    np.testing.assert_allclose(z0, unit[::2] + 1j * unit[1::2], rtol=1e-6)
    active = np.maximum(HIDDEN, 0) / np.linalg.norm(np.maximum(HIDDEN, 0))
    np.testing.assert_allclose(z1, active[::2] + 1j * active[1::2], rtol=1e-6)
    assert (tau0, tau1, rows0, rows1) == (1 / GAIN, 1 / GAIN, 6, 3)
    assert optics.log == ["project", ("arm", 6, 4), "project", ("arm", 3, 3)]


@given(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3).filter(lambda values: len(set(values)) > 1))
def test_the_prediction_follows_the_trace_alone(trace: list[float]) -> None:
    """Whatever image it has and whatever the server may have sent: another trace, another prediction."""
    for image in (IMAGE, IMAGE[::-1].copy()):
        client, server, _ = parties(HIDDEN, trace)
        client.begin(image)
        shot(client, server, 0)
        shot(client, server, 1)
        np.testing.assert_allclose(client.scores(), np.float64(trace) / SCALE, rtol=1e-6)
        assert client.prediction() == int(np.argmax(trace))


def test_a_convolution_is_measured_patch_by_patch() -> None:
    """Each patch's products are multiplied by its length: one scale for all, and nothing from a dark patch."""
    layers = Architecture((Convolution(1, 3, 4, 2, 2, pool=1), Dense(12, 3)))
    image = np.array([[0, 0, 1, 2], [0, 0, 3, 4], [5, 6, 7, 8]], np.float32)
    traces = np.random.default_rng(1).standard_normal((6, 2))
    client, server, optics = parties(*traces, OUTPUT, architecture=layers)
    client.begin(image.ravel())
    server.send(LayerOffer(0, 0))
    patches = np.lib.stride_tricks.sliding_window_view(image, (2, 2)).reshape(6, 4)
    for patch in patches:
        client.make_ready()
        assert server.receive(LayerReady) == LayerReady(0, 0)
        server.send(LayerSent(0, 0))
        client.measure()
        assert server.receive(LayerReturned) == LayerReturned(0, 0)
        z = optics.projected[-1][0]
        unit = patch / np.linalg.norm(patch) if patch.any() else np.array([1, 0, 0, 0])
        np.testing.assert_allclose(z, unit[::2] + 1j * unit[1::2], rtol=1e-6)
    lengths = np.linalg.norm(patches, axis=1, keepdims=True)
    hidden = np.maximum(lengths * traces / SCALE, 0).T.ravel()
    shot(client, server, 1)
    np.testing.assert_allclose(optics.projected[-1][0], _unit_modes(hidden), rtol=1e-6)
    assert client.prediction() == 1


def _unit_modes(values: np.ndarray) -> np.ndarray:
    unit = values / np.linalg.norm(values)
    return np.asarray(unit[::2] + 1j * unit[1::2])


def test_a_patch_is_measured_once_and_a_layer_ends_with_its_patches() -> None:
    layers = Architecture((Convolution(1, 2, 3, 2, 2), Dense(4, 3)))
    client, server, _ = parties([1.0, 2.0], [3.0, -1.0], architecture=layers)
    client.begin(np.arange(6, dtype=np.float32))
    server.send(LayerOffer(0, 0))
    client.make_ready()
    server.send(LayerSent(0, 0))
    client.measure()
    server.send(LayerSent(0, 0))
    with pytest.raises(ProtocolError, match="layer 0"):
        client.measure()  # it has not made ready for the second patch
    client.make_ready()
    server.send(LayerSent(0, 0))
    client.measure()
    with pytest.raises(ProtocolError, match="no message where a LayerOffer was due"):
        client.make_ready()


def test_biases_and_other_activations_take_the_public_scale() -> None:
    layers = Architecture((Dense(8, 6), Dense(6, 3, bias=True)), "tanh", scales=(0.5, 2.0))
    client, server, optics = parties(HIDDEN, OUTPUT, architecture=layers)
    client.begin(IMAGE)
    shot(client, server, 0)
    shot(client, server, 1)
    hidden = np.tanh(HIDDEN / SCALE * np.linalg.norm(IMAGE) * 0.5)
    vector = np.concatenate([hidden, [1.0, 0.0]])  # the 1 that the bias meets, and the padding
    np.testing.assert_allclose(optics.projected[1][0], _unit_modes(vector), rtol=1e-6)
    np.testing.assert_allclose(client.scores(), OUTPUT / SCALE * np.linalg.norm(vector) * 2.0, rtol=1e-6)


def test_swapped_traces_swap_the_predictions() -> None:
    outcomes = []
    for trace in (OUTPUT, OUTPUT[::-1]):
        client, server, _ = parties(HIDDEN, trace)
        client.begin(IMAGE)
        shot(client, server, 0)
        shot(client, server, 1)
        outcomes.append((client.prediction(), client.scores()))
    assert [each[0] for each in outcomes] == [1, 1]
    np.testing.assert_array_equal(outcomes[0][1], outcomes[1][1][::-1])


def test_dead_activations_give_zeros_and_the_fixed_mode() -> None:
    client, server, optics = parties(-np.abs(HIDDEN), OUTPUT)
    client.begin(IMAGE)
    shot(client, server, 0)
    shot(client, server, 1)
    np.testing.assert_array_equal(optics.projected[1][0], [1, 0, 0])
    np.testing.assert_array_equal(client.scores(), np.zeros(3))
    assert client.prediction() == 0


def test_a_greedy_client_uses_its_own_gain() -> None:
    client, server, optics = parties(HIDDEN, gain=5.0)
    client.begin(IMAGE)
    shot(client, server, 0)
    assert optics.projected[0][1] == 1 / 5.0


def test_a_constant_trace_has_no_shot_noise() -> None:
    for value in (0.0, 1.5):
        client, server, _ = parties(np.full(6, value))
        client.begin(IMAGE)
        server.send(LayerOffer(0, 0))
        client.make_ready()
        server.send(LayerSent(0, 0))
        with pytest.raises(GateError, match="client receiver: the trace is constant"):
            client.measure()
        server.receive(LayerReady)
        with pytest.raises(ProtocolError):
            server.receive(LayerReturned)


def test_a_sample_that_is_no_number() -> None:
    client, server, _ = parties([1, 2, np.nan, 4, 5, 6])
    client.begin(IMAGE)
    server.send(LayerOffer(0, 0))
    client.make_ready()
    server.send(LayerSent(0, 0))
    with pytest.raises(GateError, match="not finite"):
        client.measure()


def test_data_that_do_not_fit() -> None:
    client, server, optics = parties()
    client.begin(IMAGE[:-1])
    server.send(LayerOffer(0, 0))
    with pytest.raises(ProtocolError, match="layer 0 takes 8 values, the client has 7"):
        client.make_ready()
    assert not optics.log


def test_messages_out_of_order() -> None:
    client, server, _ = parties(HIDDEN)
    client.begin(IMAGE)
    with pytest.raises(ProtocolError, match="no message where a LayerOffer was due"):
        client.make_ready()
    server.send(LayerSent(0, 0))
    with pytest.raises(ProtocolError, match="a LayerSent came where a LayerOffer was due"):
        client.make_ready()
    server.send(LayerOffer(0, 0))
    client.make_ready()
    with pytest.raises(ProtocolError, match="no message where a LayerSent was due"):
        client.measure()
    server.send(LayerVerdict(0, 0, True))
    with pytest.raises(ProtocolError, match="a LayerVerdict came where a LayerSent was due"):
        client.measure()
    with pytest.raises(ProtocolError):
        client.may_continue()


def test_light_of_another_shot_is_not_measured() -> None:
    """The server's word must be about the shot that the client made ready for."""
    for wrong in (LayerSent(0, 1), LayerSent(1, 0)):
        client, server, _ = parties(HIDDEN)
        client.begin(IMAGE)
        server.send(LayerOffer(0, 0))
        client.make_ready()
        server.send(wrong)
        with pytest.raises(ProtocolError, match="layer"):
            client.measure()


def test_a_layer_that_was_not_agreed() -> None:
    for wrong in (2, 1, -1, -2):
        client, server, optics = parties()
        client.begin(IMAGE)
        server.send(LayerOffer(0, wrong))
        with pytest.raises(ProtocolError, match=f"offers layer {wrong} of 2; due is 0"):
            client.make_ready()
        assert not optics.log


def test_a_layer_is_measured_once_an_image() -> None:
    """Layers of equal shape: the same data would pass through more rows than agreed."""
    client, server, _ = parties(HIDDEN, OUTPUT)
    client.begin(IMAGE)
    shot(client, server, 0)
    server.send(LayerOffer(0, 0))
    with pytest.raises(ProtocolError, match="due is 1"):
        client.make_ready()
    shot(client, server, 1)
    server.send(LayerOffer(0, 2))
    with pytest.raises(ProtocolError, match="due is 2"):
        client.make_ready()
    client.begin(IMAGE)
    server.send(LayerOffer(1, 0))
    client.make_ready()


def test_a_verdict_ends_it() -> None:
    client, server, _ = parties()
    server.send(LayerVerdict(0, 0, False))
    assert not client.may_continue()


def test_terms_come_first() -> None:
    server, end = in_process_channel()
    optics = Optics()
    client = Client(optics, optics, end, gain_in_use=2.0, transmittance_in=1.0, efficiency=1.0)  # type: ignore[arg-type]
    server.send(LayerOffer(0, 0))
    with pytest.raises(ProtocolError, match="Terms"):
        client.accept_terms()
