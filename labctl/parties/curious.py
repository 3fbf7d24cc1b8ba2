"""A server that looks for the client's data in the residual noise. It holds what a server holds, and no data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labctl.errors import ProtocolError
from labctl.protocol.recovery import complex_residuals, leading_mode
from labctl.values import Quadrature


class CuriousServer:
    """Hears the first layer of every image, and makes its guess of the mode that the client measured."""

    def __init__(self) -> None:
        self._guess: NDArray[np.complex128] | None = None

    def hear(self, launched: NDArray[np.float32], heard: Sequence[Quadrature]) -> None:
        """One shot of the first layer: shape (2, rows, modes) as launched, in order of return; X and P as received."""
        received = np.stack([each.values() for each in heard])
        self._guess = leading_mode(complex_residuals(launched, received))[::-1]

    def take_guess(self) -> NDArray[np.complex128]:
        """ẑ of the last image, shape (modes,), in order of launch, and forget it. Raises ProtocolError without one."""
        guess, self._guess = self._guess, None
        if guess is None:
            raise ProtocolError("no first layer was heard since the last guess", "Send one first.")
        return guess
