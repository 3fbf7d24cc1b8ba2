"""The server: owns the weights, sends them as light, and checks what comes back. It never holds data or outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.errors import GateError, ProtocolError
from labctl.interfaces import HomodyneDetector, Modulator
from labctl.parties.channel import (
    Endpoint,
    LayerOffer,
    LayerReady,
    LayerReturned,
    LayerSent,
    LayerVerdict,
    Terms,
)
from labctl.protocol.encoding import launched_quadratures, pack_rows
from labctl.protocol.estimation import Receiver, ResidualSums, residual_sums
from labctl.protocol.layers import Architecture
from labctl.protocol.returned import PhaseRows
from labctl.values import Quadrature

#: Residual noise below this fraction of the calibrated dark variance: the receiver has lost its local oscillator.
LOST_SHOT_NOISE = 0.5
#: Real samples from which on lost light is judged; shots of fewer are put together. So many samples of noise have less
#: than half of its variance with a probability of 10^-11; 50 samples, a convolution's shot, do once in 600 times.
JUDGED_SAMPLES = 240
#: A signal that stands out of its estimate's noise by less than 5 standard deviations is lost (or out of phase), if it
#: would stand out by 25 without loss, so that even 4 % of it would be seen.
LOST_SIGNAL_SIGMA, JUDGED_SIGMA = 5.0, 25.0


@dataclass(frozen=True)
class Sent:
    """One layer as launched: 2 Re α and 2 Im α, shape (2, rows, modes), SNU, in order of return; Σs² of each; and the
    rows whose phase is looked at.
    """

    quadratures: NDArray[np.float32]
    squared: tuple[float, ...]
    phase: PhaseRows


class Model(Protocol):
    """What the server needs of its network: one array (rows, weights of a row) per layer, and what may be told."""

    @property
    def weights(self) -> Sequence[NDArray[np.float32]]:
        """Secret."""
        ...

    @property
    def architecture(self) -> Architecture:
        """Public."""
        ...


class Listener(Protocol):
    """Somebody on the server's side who wants to know more."""

    def hear(self, launched: NDArray[np.float32], heard: Sequence[Quadrature]) -> None:
        """What was launched, shape (2, rows, modes) in order of return, and what came back."""
        ...


class Server:
    """Sends the layers and turns the returned light into sums for the residual-noise check.

    ``curious``: is told the returned light of the first layer; None on an honest server.
    ``model``: its own; only the architecture is told. Everything it measures is of the returned light.
    """

    def __init__(
        self,
        model: Model,
        modulator: Modulator,
        detector: HomodyneDetector,
        receiver: Receiver,
        channel: Endpoint,
        curious: Listener | None = None,
    ) -> None:
        self._weights = tuple(model.weights)
        self._architecture = model.architecture
        self._modulator = modulator
        self._detector = detector
        self._receiver = receiver
        self._channel = channel
        self._curious = curious
        self._sent: list[Sent] = []
        self._due: tuple[int, int] | None = None
        self._unjudged = ResidualSums()
        self._last: tuple[Sent, Sequence[Quadrature], ResidualSums] | None = None

    def prepare(self, gain: float, mean_photons: float) -> None:
        """Encode and load all layers (section 2), and state the terms."""
        launched = self._modulator.load([pack_rows(w, mean_photons) for w in self._weights])
        self._sent = [_sent(amplitudes) for amplitudes in launched]
        self._channel.send(Terms(self._architecture, gain, mean_photons))

    def calibrated(self, receiver: Receiver) -> None:
        """What its receiver was found to be, before any layer is sent."""
        self._receiver = receiver

    def offer(self, image: int, layer: int) -> None:
        """Announce the next shot."""
        self._due = (image, layer)
        self._channel.send(LayerOffer(image, layer))

    def send(self) -> None:
        """When the client is ready: open the ears, and send the light."""
        ready = self._channel.receive(LayerReady)
        layer = self._check(ready.image, ready.layer)
        self._detector.arm(*self._sent[layer].quadratures.shape[1:])
        self._modulator.send(layer)
        self._channel.send(LayerSent(ready.image, layer))

    def measure(self) -> ResidualSums:
        """The sums of section 5 over the returned light. Raises GateError when shot noise or signal are lost."""
        returned = self._channel.receive(LayerReturned)
        sent = self._sent[self._check(returned.image, returned.layer)]
        sums, heard = ResidualSums(), self._detector.read()
        for s, squared, r in zip(sent.quadratures, sent.squared, heard, strict=True):
            sums += residual_sums(s, r.samples, received_unit=r.unit_snu, launched_squared=squared)
        sums = replace(sums, turned=sent.phase.turned(heard), stretches=sent.phase.count)
        self._unjudged += sums
        if self._unjudged.n_samples >= JUDGED_SAMPLES:
            judged, self._unjudged = self._unjudged, ResidualSums()
            self._refuse_lost_light(judged)
        self._last = (sent, heard, sums)
        if self._curious is not None and returned.layer == 0:
            self._curious.hear(sent.quadratures, heard)
        return sums

    def residual(self, most: int) -> NDArray[np.float32]:
        """Of the last shot, what came back beyond its share of what was launched: shape (2, N), sqrt(SNU).

        The first N <= ``most`` of each quadrature, in order of arrival, guard bins left out.
        """
        if self._last is None:
            return np.empty((2, 0), np.float32)
        sent, heard, sums = self._last
        share = np.float32(sums.sr / sums.ss)
        return np.stack(
            [
                np.multiply(r.samples.reshape(-1)[:most], np.float32(r.unit_snu), dtype=np.float32)
                - share * s.reshape(-1)[:most]
                for s, r in zip(sent.quadratures, heard, strict=True)
            ]
        )

    def _refuse_lost_light(self, sums: ResidualSums) -> None:
        residual = (sums.rr - sums.sr**2 / sums.ss) / sums.n_samples
        if residual < LOST_SHOT_NOISE * self._receiver.sigma0_sq:
            raise GateError(
                f"server receiver: the residual variance is {residual:.3g} SNU where the dark port alone gives"
                f" {self._receiver.sigma0_sq:.3g}: the local oscillator is lost",
                "Check that the laser emits and that light reaches the server's receiver.",
            )
        lossless = math.sqrt(self._receiver.coupling * sums.ss)
        found = sums.sr / math.sqrt(residual * sums.ss)
        if lossless > JUDGED_SIGMA and found < LOST_SIGNAL_SIGMA:
            turned = sums.turned / sums.stretches if sums.stretches else 0.0
            passed = max(sums.sr / sums.ss, 0.0) ** 2 / self._receiver.coupling
            raise GateError(
                "server receiver: what comes back has nothing of what was sent, or has the wrong phase: its amplitude"
                f" is {found:.2g} standard deviations of the noise, {LOST_SIGNAL_SIGMA:g} are needed and a lossless"
                f" way gives {lossless:.0f}, for a transmittance of about {passed:.2g}; the noise is {residual:.3g}"
                f" SNU, and {turned:.3g} SNU across the phase, where the dark port alone gives"
                f" {self._receiver.sigma0_sq:.3g}",
                "Check the way back to the server, its phase reference, and that its channels are not swapped: noise"
                " far above the dark port's is light without its phase, as little as there is no light.",
            )

    def judge(self, accepted: bool) -> None:
        """Tell the client whether to go on."""
        if self._due is None:
            raise ProtocolError("there is no shot to judge", "Start the run again.")
        self._channel.send(LayerVerdict(*self._due, accepted))
        self._due = None

    def _check(self, image: int, layer: int) -> int:
        if (image, layer) != self._due:
            raise ProtocolError(
                f"the client speaks of image {image}, layer {layer}; due is {self._due}", "Start the run again."
            )
        return layer


def _sent(amplitudes: NDArray[np.complex64]) -> Sent:
    quadratures = np.ascontiguousarray(launched_quadratures(amplitudes)[:, :, ::-1], dtype=np.float32)
    squared = tuple(float(np.sum(np.square(each, dtype=np.float64))) for each in quadratures)
    return Sent(quadratures, squared, PhaseRows.of(quadratures))
