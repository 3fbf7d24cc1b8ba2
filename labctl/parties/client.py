"""The client: owns the data, measures one number per row, and returns the rest of the light. It never holds weights."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labctl.errors import GateError, ProtocolError
from labctl.interfaces import HomodyneDetector
from labctl.parties.channel import (
    Endpoint,
    LayerOffer,
    LayerReady,
    LayerReturned,
    LayerSent,
    LayerVerdict,
    Terms,
)
from labctl.protocol.encoding import DataMode, pack_data
from labctl.protocol.inference import Readout, normalised_products, predict_class
from labctl.protocol.layers import Architecture


class Unitary(Protocol):
    """What the client needs of its optics."""

    def project(self, z: NDArray[np.complex128], returned_fraction: float, rows: int) -> None:
        """Collect the mode z of the next rows; return this fraction of its power after amplification."""
        ...


class Client:
    """Infers one image after the other from what its detector gives.

    ``gain_in_use``: the gain its amplifier really has; an honest client uses the agreed one. ``transmittance_in``:
    calibrated, launch to amplifier; ``efficiency``: of its own receiver.
    """

    def __init__(
        self,
        unitary: Unitary,
        detector: HomodyneDetector,
        channel: Endpoint,
        *,
        gain_in_use: float,
        transmittance_in: float,
        efficiency: float,
    ) -> None:
        self._unitary = unitary
        self._detector = detector
        self._channel = channel
        self._gain = gain_in_use
        self._transmittance_in = transmittance_in
        self._efficiency = efficiency
        self._terms: Terms | None = None
        self._readout: Readout | None = None
        self._values: NDArray[np.float64] = np.empty(0)
        self._next_layer = 0
        self._offer: LayerOffer | None = None
        self._vectors: NDArray[np.float64] = np.empty((0, 0))
        self._products: list[NDArray[np.float64]] = []
        self._mode: DataMode | None = None

    def accept_terms(self) -> None:
        """Take the public terms of the run from the channel."""
        self._terms = self._channel.receive(Terms)
        self._readout = Readout(
            gain=self._gain,
            mean_photons=self._terms.mean_photons,
            transmittance_in=self._transmittance_in,
            efficiency=self._efficiency,
        )

    @property
    def _architecture(self) -> Architecture:
        assert self._terms is not None, "accept_terms() first"
        return self._terms.architecture

    def begin(self, image: NDArray[np.float32]) -> None:
        """Take up the next private image, shape (inputs,)."""
        self._values = image.astype(np.float64)
        self._next_layer = 0
        self._offer = self._mode = None

    def make_ready(self) -> None:
        """Set the unitary to the next vector of the present data, and open the ears."""
        if self._offer is None:
            self._offer = self._take_offer()
        mode = pack_data(self._vectors[len(self._products)])
        rows, _ = self._architecture.layers[self._offer.layer].shape
        self._unitary.project(mode.z, 1 / self._gain, rows)
        self._detector.arm(rows, len(mode.z))
        self._mode = mode
        self._channel.send(LayerReady(self._offer.image, self._offer.layer))

    def _take_offer(self) -> LayerOffer:
        """The next layer; the present data are laid out as the vectors that its rows will meet."""
        offer, layers = self._channel.receive(LayerOffer), self._architecture.layers
        if offer.layer != self._next_layer or offer.layer >= len(layers):
            raise ProtocolError(
                f"the server offers layer {offer.layer} of {len(layers)}; due is {self._next_layer}",
                "Start the run again.",
            )
        layer = layers[offer.layer]
        if len(self._values) != layer.inputs:
            raise ProtocolError(
                f"layer {offer.layer} takes {layer.inputs} values, the client has {len(self._values)}",
                "Use data that fit the model.",
            )
        self._vectors, self._products = layer.vectors(self._values[None])[0], []
        return offer

    def measure(self) -> None:
        """Read one number per row; with the activation they are the next layer's data (sections 1 and 5)."""
        sent, offer, mode = self._channel.receive(LayerSent), self._offer, self._mode
        if offer is None or mode is None or (sent.image, sent.layer) != (offer.image, offer.layer):
            raise ProtocolError(
                f"the server speaks of image {sent.image}, layer {sent.layer}; due is {offer}",
                "Start the run again.",
            )
        self._mode = None
        assert self._readout is not None
        samples = self._detector.read()[0].values()[:, 0]
        if len(samples) > 1 and np.ptp(samples) == 0:
            raise GateError(
                "client receiver: the trace is constant, there is no shot noise in it",
                "Check that the laser emits and that the local oscillator reaches the client's receiver.",
            )
        factor = self._architecture.factor(offer.layer, mode.norm)
        self._products.append(factor * normalised_products(samples, self._readout, mode))
        if len(self._products) == len(self._vectors):
            self._values = self._architecture.following(offer.layer, np.stack(self._products))
            self._next_layer += 1
            self._offer = None
        self._channel.send(LayerReturned(sent.image, sent.layer))

    def may_continue(self) -> bool:
        """The server's verdict on the returned light."""
        return self._channel.receive(LayerVerdict).accepted

    def scores(self) -> NDArray[np.float64]:
        """The last layer's outputs for the present image, shape (classes,)."""
        return self._values

    def prediction(self) -> int:
        """The class with the highest score."""
        return predict_class(self._values)
