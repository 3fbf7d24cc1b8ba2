from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import ProtocolError
from labctl.parties.curious import CuriousServer
from labctl.protocol.recovery import overlap
from labctl.values import Quadrature


def test_guess_in_order_of_launch() -> None:
    """Strong noise in one mode, heard in reversed bin order: with 500 rows the overlap is above 0.99."""
    rng = np.random.default_rng(1)
    mode = np.array([0.8, 0.6j, 0.0, 0.0])
    sent = rng.standard_normal((2, 500, 4)).astype(np.float32)
    in_mode = 3 * (rng.standard_normal(500) + 1j * rng.standard_normal(500))
    noise = np.outer(in_mode, mode[::-1])
    heard = [
        Quadrature((0.7 * s + r).astype(np.float32), 1.0) for s, r in zip(sent, (noise.real, noise.imag), strict=True)
    ]
    curious = CuriousServer()
    curious.hear(sent, heard)
    assert overlap(curious.take_guess(), mode) > 0.99
    assert list(vars(curious).values()) == [None]  # nothing of an image is kept once it was compared
    with pytest.raises(ProtocolError, match="no first layer"):
        curious.take_guess()
