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
from labctl.protocol.inference import Readout, next_data, normalised_products, predict_class


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
        self._due: LayerOffer | None = None
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

    def begin(self, image: NDArray[np.float32]) -> None:
        """Take up the next private image, shape (inputs,)."""
        self._values = image.astype(np.float64)
        self._next_layer = 0

    def make_ready(self) -> None:
        """Set the unitary to the present data, and open the ears."""
        offer = self._channel.receive(LayerOffer)
        assert self._terms is not None, "accept_terms() first"
        if offer.layer != self._next_layer or offer.layer >= len(self._terms.layer_shapes):
            raise ProtocolError(
                f"the server offers layer {offer.layer} of {len(self._terms.layer_shapes)}; due is {self._next_layer}",
                "Start the run again.",
            )
        rows, inputs = self._terms.layer_shapes[offer.layer]
        if len(self._values) != inputs:
            raise ProtocolError(
                f"layer {offer.layer} takes {inputs} values, the client has {len(self._values)}",
                "Use data that fit the model.",
            )
        self._mode = pack_data(self._values)
        self._unitary.project(self._mode.z, 1 / self._gain, rows)
        self._detector.arm(rows, len(self._mode.z))
        self._due = offer
        self._channel.send(LayerReady(offer.image, offer.layer))

    def measure(self) -> None:
        """Read one number per row; with the activation it is the next layer's data (sections 1 and 5)."""
        sent = self._channel.receive(LayerSent)
        if self._due is None or (sent.image, sent.layer) != (self._due.image, self._due.layer):
            raise ProtocolError(
                f"the server speaks of image {sent.image}, layer {sent.layer}; due is {self._due}",
                "Start the run again.",
            )
        self._due = None
        assert self._mode is not None, "make_ready() first"
        assert self._readout is not None
        assert self._terms is not None
        samples = self._detector.read()[0].values()[:, 0]
        if len(samples) > 1 and np.ptp(samples) == 0:
            raise GateError(
                "client receiver: the trace is constant, there is no shot noise in it",
                "Check that the laser emits and that the local oscillator reaches the client's receiver.",
            )
        products = normalised_products(samples, self._readout, self._mode)
        last = sent.layer == len(self._terms.layer_shapes) - 1
        self._values = products if last else next_data(products)
        self._next_layer += 1
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
