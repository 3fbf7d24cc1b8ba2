"""What the way makes of known bright symbols: interference between them, and light that leaks through at all times.

Undone, because the bright pilots would echo in the faint data next to them, and the carrier would stand in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from labctl.dsp.frame import Symbols
from labctl.errors import CalibrationError, ProtocolError

#: Symbols of a record that are looked at.
MAX_SYMBOLS: Final = 1 << 15
_LENGTH: Final = 256


@dataclass(frozen=True, eq=False)
class SymbolResponse:
    """received_j = sum over k of h_k sent_{j-k} + ``offset``. ``taps``: h, shape (2 reach + 1,), h_0 in the middle."""

    taps: NDArray[np.complex128]
    offset: complex


@dataclass(frozen=True)
class Equalizer:
    """``taps``: for :class:`~labctl.dsp.matched.FrontEnd`. ``carrier``: what leaks through, behind the equalizer, as
    the amplitude α that would have to be sent to get it.
    """

    taps: tuple[complex, ...] = (1.0,)
    carrier: complex = 0.0


def symbol_response(received: Symbols, sent: NDArray[np.complexfloating], reach: int) -> SymbolResponse:
    """h_k for k = -reach ... reach and the offset, by least squares over at most 32,768 symbols.

    ``received``: behind matched filter and phase recovery, alike in shape with ``sent``.

    Raises ProtocolError for shapes that differ, CalibrationError for symbols too few or too much alike to tell h.
    """
    if received.shape != sent.shape or received.ndim != 1:
        raise ProtocolError(f"received symbols {received.shape} do not fit sent ones {sent.shape}")
    count = min(len(sent), MAX_SYMBOLS)
    taps = 2 * reach + 1
    if count < 20 * taps:
        raise CalibrationError(f"{count} symbols are too few to tell {taps} taps", "Record longer.")
    windows = np.lib.stride_tricks.sliding_window_view(sent[:count].astype(np.complex128), taps)
    scale = max(float(np.sqrt(np.mean(np.abs(sent[:count]) ** 2))), 1e-30)
    known = np.column_stack([windows[:, ::-1], np.full(len(windows), scale)])
    wanted = received[reach : count - reach].astype(np.complex128)
    solution, _, rank, _ = np.linalg.lstsq(known, wanted, rcond=1e-6)
    if rank < taps + 1 or not abs(solution[reach]) > 0:
        raise CalibrationError("the calibration symbols are too much alike", "Send random symbols.")
    return SymbolResponse(np.asarray(solution[:-1], dtype=np.complex128), complex(solution[-1]) * scale)


def calibrate_equalizer(
    received: Symbols, sent: NDArray[np.complexfloating], *, response_reach: int = 6, reach: int = 12
) -> Equalizer:
    """2 reach + 1 taps that undo the interference (zero forcing): their response is h_0/h(f).

    Phase and amplitude of h_0 are left alone; noise is coloured and changed in variance, so calibrate the shot noise
    with the equalizer in place. See :func:`symbol_response` for the arguments, and its errors.

    Raises CalibrationError when the symbols' spectrum has a hole that cannot be filled.
    """
    response = symbol_response(received, sent, response_reach)
    middle = complex(response.taps[response_reach])
    padded = np.zeros(_LENGTH, np.complex128)
    padded[: 2 * response_reach + 1] = response.taps / middle
    spectrum = np.fft.fft(np.roll(padded, -response_reach))
    if not np.abs(spectrum).min() > 0.1:
        raise CalibrationError(
            "the bandwidths leave too little of the symbols' spectrum to equalize",
            "Lower the symbol rate, or the pulse's roll-off.",
        )
    inverse = np.fft.ifft(1 / spectrum)
    carrier = response.offset / middle * complex(1 / spectrum[0])
    return Equalizer(tuple(complex(inverse[k]) for k in range(-reach, reach + 1)), carrier)
