"""The exact shortcut: a layer's measured numbers and residual sums without drawing every mode.

Beyond the collected mode, returned noise is alike in all directions (docs/physics.md, section 3): however many modes
and rows there are, the sums Σsr and Σr² meet it only through its components along s and along the mean, and through the
rest of its square, which is chi-square distributed. In the collected mode three numbers a row are drawn: the client's
noise y', the returned X given y', and the returned P. The joint distribution of all y' and of the sums is that of
:class:`sim_backends.shot.Shot`, which draws every mode: parts of isotropic Gaussian noise in orthogonal directions are
independent.

There is no trace: what a digitizer would make of single samples cannot be asked for here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic.fields import FieldInfo

from labctl.errors import NotExact
from labctl.schema import StrictModel, read_toml
from labctl.units import db_to_ratio, parse_quantity
from sim_backends.config import WorldConfig, load_world
from sim_backends.physics import Complex, Double, Float, LoopDrive, round_trip_mean
from sim_backends.quick_sums import Factors, image_sums

DUAL_KAPPA: Final = 0.5
#: What the steps of a digitizer may add to a calibrated noise variance, SNU.
STEPS_SNU: Final = 0.002

#: What the shortcut has in its formulas. Any other imperfection that is not at its default is a reason to refuse.
COVERED: Final[dict[str, frozenset[str]]] = {
    "modulator": frozenset({"v_pi_i", "v_pi_q", "loss"}),
    "channel": frozenset({"loss_out", "loss_back"}),
    "unitary": frozenset(
        {"v_pi_forward_coupler", "v_pi_forward_phase", "v_pi_return_coupler", "v_pi_return_phase", "loop_loss"}
    ),
    "tap": frozenset({"v_pi"}),
    "amplifier": frozenset({"gain_curve", "n_sp"}),
    "client_receiver": frozenset({"efficiency", "electronic_noise", "volts_per_snu", "reference_power"}),
    "server_receiver": frozenset({"efficiency", "electronic_noise", "volts_per_snu", "reference_power"}),
    "monitor": frozenset({"fraction"}),
}
#: What makes no difference to any distribution: names, and how the other way draws its numbers.
ALIKE: Final = ("units", "noise")
#: Places of instruments that change the light, of whose settings the shortcut knows nothing.
UNKNOWN_PLACES: Final = ("bias_i", "bias_q", "polarisation", "switch")


def not_covered(config: WorldConfig) -> list[str]:
    """Keys of ``[world]`` whose effect the shortcut does not know, e.g. noise that differs between the modes."""
    found = []
    for table, field in type(config).model_fields.items():
        value = getattr(config, table)
        if table in COVERED:
            keys = type(value).model_fields.items()
            found += [f"{table}.{key}" for key, at in keys if key not in COVERED[table] and _is_set(value, key, at)]
        elif table == "places":
            found += [f"places.{key}" for key in UNKNOWN_PLACES if getattr(value, key) is not None]
        elif table not in ALIKE and _is_set(config, table, field):
            found.append(table)
    return found


def _is_set(model: StrictModel, key: str, field: FieldInfo) -> bool:
    """Whether a key is not at its default."""
    return bool(getattr(model, key) != field.get_default(call_default_factory=True))


def require_exact(config: WorldConfig, *, digitised: bool) -> None:
    """Raise NotExact where the shortcut would not give what drawing every mode gives.

    ``digitised``: whether samples as a digitizer rounds them are wanted.
    """
    if digitised:
        raise NotExact(
            "digitised traces cannot be had without drawing every mode",
            "Ask for mode 'explicit' or 'auto', or do without the digitizers.",
        )
    keys = not_covered(config)
    if keys:
        raise NotExact(
            f"[world] {', '.join(keys)}: the returned noise is not the same in all modes but one",
            "Ask for mode 'explicit' or 'auto', or leave these imperfections out.",
        )


def miscalibrated(world: WorldConfig, bench: Mapping[str, Any]) -> list[str]:
    """Keys of ``[world]`` that the shortcut takes to be as calibrated in the rest of the bench file, and are not."""
    pairs: list[tuple[str, object, object]] = [
        ("modulator.v_pi_i", world.modulator.v_pi_i, _si(bench["modulator"]["in_phase"]["v_pi"], "V")),
        ("modulator.v_pi_q", world.modulator.v_pi_q, _si(bench["modulator"]["quadrature"]["v_pi"], "V")),
        ("modulator.loss", world.modulator.loss, _si(bench["modulator"]["loss"], "dB")),
        ("tap.v_pi", world.tap.v_pi, _si(bench["tap"]["v_pi"], "V")),
    ]
    for way in ("forward_coupler", "forward_phase", "return_coupler", "return_phase"):
        key = f"v_pi_{way}"
        pairs.append((f"unitary.{key}", getattr(world.unitary, key), _si(bench["unitary"][way]["v_pi"], "V")))
    for name, own in (("client_receiver", world.client_receiver), ("server_receiver", world.server_receiver)):
        pairs.append((f"{name}.volts_per_snu", own.volts_per_snu, _si(bench[name]["volts_per_snu"], "V")))
        pairs.append((f"{name}.reference_power", own.reference_power, _si(bench["laser"]["power"], "W")))
    found = [key for key, real, believed in pairs if not _alike(real, believed)]
    sigma0_sq = float(bench["server_receiver"].get("noise_variance", 1.0))
    if abs(1 + world.server_receiver.electronic_noise - sigma0_sq) > STEPS_SNU:
        found.append("server_receiver.electronic_noise")
    believed_gain = [(_si(each["pump"], "A"), float(each["gain"])) for each in bench["amplifier"]["pump_calibration"]]
    real_gain = [(point.pump, point.gain) for point in world.amplifier.gain_curve]
    curves = zip(real_gain, believed_gain, strict=False)
    points = [pair for real, own in curves for pair in zip(real, own, strict=True)]
    if len(real_gain) != len(believed_gain) or not all(_alike(one, other) for one, other in points):
        found.append("amplifier.gain_curve")
    return found


def _si(value: str | float, unit: str) -> float:
    return parse_quantity(value, unit) if isinstance(value, str) else float(value)


def _alike(one: object, other: object) -> bool:
    assert isinstance(one, float | int)
    assert isinstance(other, float | int)
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


@dataclass(frozen=True)
class Measured:
    """One layer for B data vectors.

    ``client``: measured X, shape (B, M), in √SNU of the client's receiver. ``samples``: N of each vector's sums;
    ``ss``: Σs², the same for all; ``sr``, ``rr``: Σsr and Σr² of the returned light, shape (B,), in the server's SNU.
    """

    client: Double
    samples: int
    ss: float
    sr: Double
    rr: Double


@dataclass(frozen=True)
class _Noise:
    """Second moments, SNU. ``measured``: V_y of the client's noise y'. Per vector, shape (B, 1): ``slope`` of the
    returned X on y', ``given`` the variance of the returned X that is left, ``in_mode`` that of the returned P."""

    measured: float
    slope: Double
    given: Double
    in_mode: Double


@dataclass(frozen=True)
class _Overlaps:
    """Means against the directions that matter, for B vectors, all in √SNU.

    ``client``: mean of the measured X, (B, M). ``launched``, ``mean``: X + iP of s and of the mean of r in the mode
    that the return pass fills, (B, M). ``ss``, ``sm``, ``mm``: Σs², Σs·mean, Σmean² in all other modes, (B,).
    """

    client: Double
    launched: Complex
    mean: Complex
    ss: Double
    sm: Double
    mm: Double


class LayerLight:
    """Layers through the optics of one world at one working point of the client, many data vectors at once.

    Drives are taken as exact: what the DACs' steps and wrong half-wave voltages do needs the instruments.
    """

    def __init__(self, config: WorldConfig, gain: float, returned_fraction: float) -> None:
        """``gain``: G; ``returned_fraction``: τ of the tap. Raises NotExact, as :func:`require_exact`."""
        require_exact(config, digitised=False)
        self._config = config
        self._gain = gain
        self._returned = returned_fraction
        self._out = db_to_ratio(-config.channel.loss_out)
        self._back = db_to_ratio(-config.channel.loss_back)
        self._loop = db_to_ratio(-config.unitary.loop_loss)

    @property
    def collects_exactly(self) -> bool:
        """Whether the loop loses nothing, so that a mode asked for is the mode taken."""
        return self._loop == 1

    @property
    def dark_variance(self) -> float:
        """σ0² of the server's receiver, SNU: its variance with the signal port dark."""
        return 1 + self._config.server_receiver.electronic_noise

    def measure(self, launched: Float, drives: list[tuple[Double, Double]], generator: np.random.Generator) -> Measured:
        """Send one layer for each of B data vectors.

        ``launched``: mean quadratures at launch, shape (2, M, n), X then P. ``drives``: for each vector its loop
        settings (θ, φ), both of shape (n,), the return pass being the adjoint of the forward one.
        """
        loops = [LoopDrive(theta, phi, self._loop) for theta, phi in drives]
        modes = np.array([loop.mode() for loop in loops])
        if self.collects_exactly:
            return self.measure_modes(launched, modes, generator)
        overlaps = self._lossy(launched, loops, modes)
        filled = np.linalg.norm(modes, axis=1)
        return self._sample(overlaps, launched, filled, generator)

    def measure_modes(self, launched: Float, modes: Complex, generator: np.random.Generator) -> Measured:
        """The same for a loop without loss, which collects exactly the modes z, shape (B, n), of norm 1."""
        if not self.collects_exactly:
            raise NotExact(
                "[world] unitary.loop_loss: with it the loop's settings must be known, not only the mode",
                "Give the settings to measure().",
            )
        if self._config.noise != "normal":
            return self._quickly(launched, modes, generator)
        overlaps = self._lossless(launched, modes)
        return self._sample(overlaps, launched, np.ones(len(modes)), generator)

    def factors(self) -> Factors:
        """Of a loop without loss."""
        tapped, through, around = self._amplitudes()
        noise = self._noise(np.ones((1, 1)))
        moments = (noise.measured, noise.slope.item(), noise.given.item(), noise.in_mode.item())
        return Factors(tapped, through * around, through, *moments, self.dark_variance)

    def _quickly(self, launched: Float, modes: Complex, generator: np.random.Generator) -> Measured:
        field = launched[0] + 1j * launched[1]
        collected = modes.conj().astype(np.complex64) @ field.T
        x, p = np.ascontiguousarray(collected.real), np.ascontiguousarray(collected.imag)
        total = _squared(launched)
        rest = np.maximum(total - np.vecdot(x, x).astype(np.float64) - np.vecdot(p, p), 0.0)
        others = 2 * launched.shape[1] * (launched.shape[2] - 1)
        found = image_sums(x, p, (rest, others), self.factors(), generator)
        return Measured(
            found.client.astype(np.float64), launched.size, total, np.asarray(found.sr), np.asarray(found.rr)
        )

    # --- means ------------------------------------------------------------------------------------

    def _amplitudes(self) -> tuple[float, float, float]:
        """Mean factors: collected -> client's X; launch -> server's receiver; of the collected mode on its way."""
        config = self._config
        tapped = config.client_receiver.efficiency * (1 - self._returned) * self._gain * self._out
        through = DUAL_KAPPA * config.server_receiver.efficiency * self._out * self._back
        around = self._returned * self._gain
        return float(np.sqrt(tapped)), float(np.sqrt(through)), float(np.sqrt(around))

    def _lossless(self, launched: Float, modes: Complex) -> _Overlaps:
        tapped, through, around = self._amplitudes()
        field = launched[0] + 1j * launched[1]
        # One matrix product for all vectors, in single precision like the light itself.
        collected = (modes.conj().astype(np.complex64) @ field.T).astype(np.complex128)
        elsewhere = np.maximum(_squared(launched) - _square_sum(collected), 0.0)
        return _Overlaps(
            client=tapped * collected.real,
            launched=collected,
            mean=through * around * collected,
            ss=elsewhere,
            sm=through * elsewhere,
            mm=through**2 * elsewhere,
        )

    def _lossy(self, launched: Float, loops: list[LoopDrive], modes: Complex) -> _Overlaps:
        """Means bin by bin; then what of them stands in the filled mode, and the rest."""
        tapped, through, around = self._amplitudes()
        field = (launched[0] + 1j * launched[1]).astype(np.complex128)
        parts = []
        for loop, mode in zip(loops, modes, strict=True):
            plane = round_trip_mean(launched, loop, loop, around).astype(np.float64) * through
            mean = plane[0] + 1j * plane[1]
            norm = np.linalg.norm(mode)
            unit = mode.conj() / norm if norm > 0 else mode.conj()
            in_s, in_mean = field @ unit, mean @ unit
            rest = (
                _inner(field, field) - _inner(in_s, in_s),
                _inner(field, mean) - _inner(in_s, in_mean),
                _inner(mean, mean) - _inner(in_mean, in_mean),
            )
            parts.append((tapped * (field @ mode.conj()).real, in_s, in_mean, *rest))
        columns = [np.array(column) for column in zip(*parts, strict=True)]
        return _Overlaps(*columns)

    # --- noise ------------------------------------------------------------------------------------

    def _noise(self, filled: Double) -> _Noise:
        """``filled``: norm of the modes that the return pass really fills, (B, 1); what it lacks from 1 is vacuum."""
        config = self._config
        excess = 2 * config.amplifier.n_sp * (self._gain - 1)  # behind the amplifier, beyond vacuum
        through, tapped = self._returned, 1 - self._returned
        near, far = config.client_receiver, config.server_receiver
        reaching = DUAL_KAPPA * far.efficiency * self._back * filled**2
        measured = 1 + near.efficiency * tapped * excess + near.electronic_noise
        in_mode = self.dark_variance + reaching * through * excess
        covariance = np.sqrt(near.efficiency * reaching * through * tapped) * excess
        return _Noise(measured, covariance / measured, in_mode - covariance**2 / measured, in_mode)

    def _sample(self, means: _Overlaps, launched: Float, filled: Double, generator: np.random.Generator) -> Measured:
        noise = self._noise(filled[:, np.newaxis])
        drawn = generator.standard_normal((3, *means.client.shape))
        measured = np.sqrt(noise.measured) * drawn[0]
        in_x = noise.slope * measured + np.sqrt(noise.given) * drawn[1]
        in_mode = means.mean + in_x + 1j * np.sqrt(noise.in_mode) * drawn[2]
        others = 2 * launched.shape[1] * (launched.shape[2] - 1)
        with_s, with_mean, square = _elsewhere(means, others, self.dark_variance, generator)
        return Measured(
            client=means.client + measured,
            samples=launched.size,
            ss=_squared(launched),
            sr=_row_inner(means.launched, in_mode) + means.sm + with_s,
            rr=_square_sum(in_mode) + means.mm + 2 * with_mean + square,
        )


def open_light(bench_file: Path, gain: float, returned_fraction: float, *, digitised: bool = False) -> LayerLight:
    """The light of a simulated bench with its client at one working point.

    Raises ConfigError for a bench without [world], and NotExact as :func:`require_exact`.
    """
    world, _ = load_world(bench_file)
    require_exact(world, digitised=digitised)
    keys = miscalibrated(world, read_toml(bench_file))
    if keys:
        raise NotExact(
            f"[world] {', '.join(keys)}: not what the bench's own calibration says, on which the shortcut rests",
            "Ask for mode 'explicit' or 'auto', or calibrate the bench.",
        )
    return LayerLight(world, gain, returned_fraction)


def _elsewhere(
    means: _Overlaps, dimensions: int, variance: float, generator: np.random.Generator
) -> tuple[Double, Double, Double]:
    """Σs·w, Σmean·w and Σw², (B,) each, of white noise w of so many dimensions in the other modes."""
    vectors = len(means.ss)
    if dimensions == 0:
        nothing = np.zeros(vectors)
        return nothing, nothing, nothing
    along, beside = generator.standard_normal((2, vectors))
    rest = generator.chisquare(dimensions - 2, vectors) if dimensions > 2 else np.zeros(vectors)
    sigma, length = np.sqrt(variance), np.sqrt(np.maximum(means.ss, 0.0))
    share = np.divide(means.sm, length, out=np.zeros(vectors), where=length > 0)
    other = np.sqrt(np.maximum(means.mm - share**2, 0.0))
    return (
        sigma * length * along,
        sigma * (share * along + other * beside),
        variance * (along**2 + beside**2 + rest),
    )


def _squared(plane: Float) -> float:
    return float(np.sum(np.square(plane, dtype=np.float64)))


def _inner(left: NDArray[np.complex128], right: NDArray[np.complex128]) -> float:
    return float(np.vdot(left, right).real)


def _row_inner(left: Complex, right: Complex) -> Double:
    return np.asarray(np.sum(left.real * right.real + left.imag * right.imag, axis=1))


def _square_sum(values: Complex) -> Double:
    return np.asarray(np.sum(values.real**2 + values.imag**2, axis=1))
