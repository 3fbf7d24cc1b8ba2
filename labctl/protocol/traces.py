"""What a receiver's record must show of its own noise: gates against records that are not of this shot.

A homodyne record carries at least the noise that calibration promises. One sample therefore falls on a given code of
the converter with a probability of at most p = q/sqrt(2π v), whatever light came beside: q is the converter's step
and v the noise's variance, both in shot-noise units. From this follow bounds that hold for any signal:

- that n samples repeat those of the record before: at most p^n;
- that k of m samples lie on the record's highest (or lowest) code: at most C(m, k) p^(k-1), for any such code;
- that the mean square of n samples about their mean (n: degrees of freedom) is x < 1 times the noise's variance: at
  most exp(-n/2 (x - 1 - ln x)), the Chernoff bound of the chi-squared distribution (a signal only makes it larger).

A record that is less probable than :data:`FALSE_ALARM_RATE` by one of them fails. So does one that is larger than the
agreed light can make it: the m rows of a layer carry μ n m photons in all (section 2 of docs/physics.md), so that the
squares of what they bring into one mode add up to at most 4 μ n m SNU, times the receiver's gain, and noise.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from labctl.errors import GateError
from labctl.values import Trace

#: At most this share of good records fails each of the bounds.
FALSE_ALARM_RATE = 1e-9
#: Evidence, as a natural logarithm, at which a record fails.
ENOUGH = -math.log(FALSE_ALARM_RATE)
#: Noise that is demanded, over the calibrated: gain and local oscillator drift.
LEAST_NOISE = 0.8
#: Times the amplitude that the agreed light can make, by which a record must not be larger.
MOST_LIGHT = 2.0
#: Records are looked at together, until they have so many samples.
POOLED_SAMPLES = 1000
#: Samples that are compared with the record before.
COMPARED_SAMPLES = 64

#: The same of a receiver that samples pulses, whose samples depend on each other over some 32 of them; each such group
#: is on the same codes again with a probability of at most 1/2.
SAMPLED_COMPARED, SAMPLED_LOG_PROBABILITY = 4096, -math.log(2) / 32

Codes = npt.NDArray[np.int16]


def converter_step(trace: Trace, bits: int) -> float:
    """Codes between two levels of a converter with so many bits over the trace's range, at least 1."""
    return max(1.0, (trace.high_clip - trace.low_clip) / (1 << bits))


def code_log_probability(step_snu: float, noise_variance: float) -> float:
    """Natural logarithm of the bound p on one sample's probability of one code; at most 0.

    ``step_snu``: in sqrt(SNU); ``noise_variance``: in SNU.
    """
    return min(0.0, math.log(step_snu / math.sqrt(2 * math.pi * noise_variance)))


class Repeats:
    """Whether records come again: the instrument hands out an old one.

    ``name``: of the digitizer; ``compared``: samples from the record's beginning.
    """

    def __init__(self, name: str, compared: int = COMPARED_SAMPLES) -> None:
        self._name = name
        self._compared = compared
        self._last = b""  # its beginning
        self._evidence = 0.0
        self.records = 0  # the last one and those before it that are alike

    def check(self, codes: Codes, log_probability: float) -> None:
        """``log_probability``: of one sample being on one code, from :func:`code_log_probability`.

        Raises GateError when the beginning of the record is again that of the one before.
        """
        start = codes[: self._compared].tobytes()
        alike = min(len(start), len(self._last))
        common = alike // codes.itemsize
        if alike and start[:alike] == self._last[:alike]:
            self._evidence -= common * log_probability
            self.records += 1
        else:
            self._evidence, self.records = 0.0, 1
        self._last = start
        if self._evidence > ENOUGH:
            raise GateError(
                f"{self._name}: the record begins with the same {common} samples as the one before: it is stuck",
                "Look whether the digitizer still acquires, and restart it.",
                shots=self.records,
            )


class NoiseGate:
    """Whether the records of one homodyne receiver carry the noise that they must.

    ``name``: of the digitizer; ``noise_variance``: v in SNU as calibrated; ``light``: most SNU of mean square that the
    light brings, per mode of a row.
    """

    def __init__(self, name: str, noise_variance: float, light: float = math.inf) -> None:
        self._name = name
        self._light = light
        self._floor = LEAST_NOISE * noise_variance
        self._repeats = Repeats(name)
        self._squares = 0.0  # of the records looked at together, SNU
        self._free = 0
        self._records = 0

    def check(self, codes: Codes, step: float, unit_snu: float, modes: int = 1) -> None:
        """One more record. ``codes``: shape (rows,); ``step``: of the converter in codes; ``unit_snu``: of a code in
        sqrt(SNU); ``modes``: of a row.

        Raises GateError; its ``shots`` says how many records, this one included, may be spoilt.
        """
        if self._free >= POOLED_SAMPLES:
            self._squares, self._free, self._records = 0.0, 0, 0
        self._records += 1
        log_probability = code_log_probability(step * unit_snu, self._floor)
        self._repeats.check(codes, log_probability)
        self._check_rails(codes, step, log_probability)
        self._check_variance(codes, unit_snu, step * unit_snu / 2, modes)

    def _check_rails(self, codes: Codes, step: float, log_probability: float) -> None:
        most = most_on_one_code(len(codes), log_probability, math.log(step))
        if most == len(codes):
            return
        ordered = np.sort(codes)
        low, high = int(ordered[0]), int(ordered[-1])
        if int(ordered[-1 - most]) > high - step:
            end, count = "highest", int(np.count_nonzero(codes > high - step))
        elif int(ordered[most]) < low + step:
            end, count = "lowest", int(np.count_nonzero(codes < low + step))
        else:
            return
        if low == high:
            self._fail("the trace is constant, there is no shot noise in it")
        self._fail(f"{count} of {len(codes)} samples are the {end} of the record: the input saturates")

    def _check_variance(self, codes: Codes, unit_snu: float, half_step_snu: float, modes: int) -> None:
        """What the converter may have hidden of the noise, half a step, counts as seen."""
        values = codes.astype(np.float64)
        free = len(values) - 1
        about_mean = float(values @ values) - float(values.sum()) ** 2 / len(values)
        squares = max(0.0, about_mean) * unit_snu**2 + free * half_step_snu**2
        self._squares += squares
        self._free += free
        if squares > self._most(len(codes), modes):
            self._fail(f"samples have a variance of {squares / free:.3g} SNU, which the agreed light cannot give")
        for total, count in ((squares, free), (self._squares, self._free)):  # this record, and with those before it
            if shortfall(total / self._floor, count) > ENOUGH:
                self._fail(
                    f"samples have a variance of {total / count:.3g} SNU, where the noise alone gives"
                    f" {self._floor / LEAST_NOISE:.3g}: the record does not show the light"
                )

    def _most(self, samples: int, modes: int) -> float:
        """Of the sum of squares, SNU: noise exceeds its part with less than the false alarm rate."""
        noise = math.sqrt(self._floor / LEAST_NOISE) * (math.sqrt(samples) + math.sqrt(2 * ENOUGH))
        return (MOST_LIGHT * (math.sqrt(self._light * modes * samples) + noise)) ** 2

    def _fail(self, what: str) -> NoReturn:
        raise GateError(
            f"{self._name}: {what}",
            "Check that the local oscillator reaches the client's receiver, its amplifier and its digitizer's range.",
            shots=max(self._records, self._repeats.records),
        )


def shortfall(squares: float, free: int) -> float:
    """Evidence that ``squares``, a sum of squares over the least variance with ``free`` degrees of freedom, is too
    small; 0 where it is not.
    """
    if squares >= free:
        return 0.0
    ratio = squares / free
    return free / 2 * (ratio - 1 - math.log(ratio)) if ratio > 0 else math.inf


@lru_cache(maxsize=64)
def most_on_one_code(samples: int, log_probability: float, log_windows: float = 0.0) -> int:
    """How many of so many samples may lie on the record's last code: one more has a bound below the false alarm rate.

    ``log_windows``: of the number of places that a step of the converter may have among the codes. ``samples`` itself
    where no number would do.
    """
    mean = samples * math.exp(log_probability)
    for count in range(max(2, math.ceil(mean)), samples + 1):
        ways = math.lgamma(samples + 1) - math.lgamma(count + 1) - math.lgamma(samples - count + 1)
        if -(ways + (count - 1) * log_probability + log_windows) > ENOUGH:
            return count - 1
    return samples
