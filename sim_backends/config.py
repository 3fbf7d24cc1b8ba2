"""Schema of the ``[world]`` table of bench.toml: which simulated unit stands where, and what the optics do.

Everything is ideal by default. Losses are in dB, voltages are referred to the generators' outputs (the driver
amplifiers' gain is part of V_pi), noise variances are in shot-noise units (SNU) at the receiver.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from labctl.errors import ConfigError
from labctl.normals import Method
from labctl.schema import (
    Decibels,
    Fraction,
    GainPoint,
    NonNegativeHertz,
    Seconds,
    SignedVolts,
    SnuVariance,
    StrictModel,
    Volts,
    Watts,
    read_toml,
    validate,
)
from labctl.units import parse_quantity
from sim_backends.compiled import require_numba
from sim_backends.faults import FAULTS
from sim_backends.physics import IqImbalance
from sim_backends.waveform_schema import Delay, WaveformWorld

#: Bins of a local oscillator's delay, whose phases are kept: 64 MB.
MAX_DELAY_BINS = 2**22
#: 2πΔν times a delay in rad²; ten times less leaves no phase between light and oscillator.
MAX_PHASE_VARIANCE = 100.0

Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+:[1-9][0-9]*$")]


class UnitConfig(StrictModel):
    """One simulated instrument: ``model`` is a module of sim_backends, the rest are that model's switches."""

    model_config = ConfigDict(extra="allow", frozen=True)
    model: str

    def options(self) -> dict[str, object]:
        """The model's own switches."""
        return dict(self.model_extra or {})


class Places(StrictModel):
    """Who stands where in the light: "unit" or "unit:channel"."""

    laser: str
    modulator_i: Place
    modulator_q: Place
    attenuators: Annotated[list[Place], Field(min_length=1)]
    forward_coupler: Place
    forward_phase: Place
    return_coupler: Place
    return_phase: Place
    tap: Place
    amplifier: str
    client_receiver: Place
    server_receiver_x: Place
    server_receiver_p: Place
    power_meter: str | None = None
    bias_i: Place | None = None
    bias_q: Place | None = None
    polarisation: str | None = None
    switch: str | None = None

    @model_validator(mode="after")
    def _an_electrode_per_arm(self) -> Places:
        if self.bias_i is not None and self.bias_i == self.bias_q:
            raise ValueError(f"bias_i and bias_q both name {self.bias_i!r}: an electrode turns one arm")
        return self


class LaserPhysics(StrictModel):
    """``linewidth``: Δν of a Wiener phase. ``rin_db_per_hz``: relative intensity noise, white over the band of the
    bins, or of the samples where a bin has several.

    ``power_drift_per_hour``: relative change of the emitted power, from the start of the lab's clock.
    """

    linewidth: NonNegativeHertz = 0.0
    rin_db_per_hz: Annotated[float, Field(lt=0)] | None = None
    power_drift_per_hour: Annotated[float, Field(gt=-1, lt=1)] = 0.0

    @property
    def noisy(self) -> bool:
        """Whether phase or intensity fluctuate."""
        return self.linewidth > 0 or self.rin_db_per_hz is not None


class ModulatorPhysics(StrictModel):
    """IQ modulator at null. ``loss``: from the laser's output to the modulator's, at full transmission of both arms.

    ``bias_i``, ``bias_q``: of the arms, off their null, at the start of the lab's clock, and their drift per hour.
    ``angle_error_deg``: of the third electrode, off 90°. ``gain_ratio``: field of the Q arm over that of the I arm.
    ``extinction_ratio``: of each arm, none for a perfect one.
    """

    v_pi_i: Volts = 0.35
    v_pi_q: Volts = 0.35
    loss: Decibels = 0.0
    bias_i: SignedVolts = 0.0
    bias_q: SignedVolts = 0.0
    bias_drift_i_per_hour: SignedVolts = 0.0
    bias_drift_q_per_hour: SignedVolts = 0.0
    angle_error_deg: Annotated[float, Field(gt=-45, lt=45)] = 0.0
    gain_ratio: Annotated[float, Field(gt=0, le=2)] = 1.0
    extinction_ratio: Decibels | None = None

    @property
    def drifts(self) -> bool:
        """Whether the bias moves with time."""
        return self.bias_drift_i_per_hour != 0 or self.bias_drift_q_per_hour != 0

    def imbalance(self, time_s: float) -> IqImbalance:
        """What is not as it should be at this time of the lab's clock."""
        return self._imbalance(time_s / 3600) if self.drifts else self._at_first

    @cached_property
    def _at_first(self) -> IqImbalance:
        return self._imbalance(0.0)

    def _imbalance(self, hours: float) -> IqImbalance:
        return IqImbalance(
            bias_i_v=self.bias_i + hours * self.bias_drift_i_per_hour,
            bias_q_v=self.bias_q + hours * self.bias_drift_q_per_hour,
            angle_error_rad=math.radians(self.angle_error_deg),
            gain_ratio=self.gain_ratio,
            leak=0.0 if self.extinction_ratio is None else 10 ** (-self.extinction_ratio / 20),
        )


class ChannelPhysics(StrictModel):
    """Fibre out (server to client's amplifier, the unitary's uniform loss included) and back.

    ``phase_drift_deg_per_hour``: of the light against both local oscillators, from the start of the lab's clock.
    """

    loss_out: Decibels = 0.0
    loss_back: Decibels = 0.0
    phase_drift_deg_per_hour: float = 0.0


class UnitaryPhysics(StrictModel):
    """The client's time-bin loop. ``loop_loss``: per round trip. ``loop_phase_error_deg``: per round trip, off 0°."""

    v_pi_forward_coupler: Volts = 0.35
    v_pi_forward_phase: Volts = 0.35
    v_pi_return_coupler: Volts = 0.35
    v_pi_return_phase: Volts = 0.35
    loop_loss: Decibels = 0.0
    loop_phase_error_deg: Annotated[float, Field(gt=-180, lt=180)] = 0.0


class TapPhysics(StrictModel):
    """Mach-Zehnder coupler: returned power fraction cos²(π v / 2 V_pi), and ``fraction_error`` beside it."""

    v_pi: Volts = 0.35
    fraction_error: Annotated[float, Field(gt=-1, lt=1)] = 0.0


class AmplifierPhysics(StrictModel):
    """Phase-insensitive amplifier: gain between the points is linear in the pump current; ``n_sp`` >= 1.

    ``gain_error``: relative, of the gain while it is pumped.
    """

    gain_curve: Annotated[list[GainPoint], Field(min_length=2)]
    n_sp: Annotated[float, Field(ge=1)] = 1.0
    gain_error: Annotated[float, Field(gt=-0.5, lt=0.5)] = 0.0

    @model_validator(mode="after")
    def _rising(self) -> AmplifierPhysics:
        pumps = [point.pump for point in self.gain_curve]
        if any(b <= a for a, b in pairwise(pumps)):
            raise ValueError("the pump currents must rise from point to point")
        return self


class ReceiverPhysics(StrictModel):
    """A homodyne receiver. ``volts_per_snu``: output per sqrt(SNU) with the laser at ``reference_power``.

    ``saturation_power``: laser power P_sat at which the shot noise stops growing: it goes with P/(1 + P/P_sat).
    ``lo_delay``: of the local oscillator's path against the shortest light path, rounded to bins. ``cmrr``: this much
    is taken off the intensity noise that ``lo_power`` on the diodes carries (power of the noise, in dB).
    """

    efficiency: Fraction = 1.0
    electronic_noise: SnuVariance = 0.0
    volts_per_snu: Volts = 0.02
    reference_power: Watts = 0.01
    saturation_power: Watts | None = None
    lo_delay: Delay = 0.0
    cmrr: Decibels | None = None
    lo_power: Watts | None = None

    @model_validator(mode="after")
    def _leak_has_a_source(self) -> ReceiverPhysics:
        if (self.cmrr is None) != (self.lo_power is None):
            raise ValueError("cmrr and lo_power belong together: how much of which power")
        return self

    def lo_factor(self, power_w: float) -> float:
        """Shot noise's standard deviation relative to that at the reference power."""

        def effective(power: float) -> float:
            return power if self.saturation_power is None else power / (1 + power / self.saturation_power)

        return math.sqrt(effective(power_w) / effective(self.reference_power))


class MonitorPhysics(StrictModel):
    """Tap of the laser's output to the power meter (power fraction)."""

    fraction: Fraction = 0.1


class PolarisationPhysics(StrictModel):
    """``axis``: normalised Stokes parameters that the receivers' local oscillators have, behind the fibres."""

    axis: Annotated[list[float], Field(min_length=3, max_length=3)] = Field(default_factory=lambda: [1.0, 0.0, 0.0])

    @model_validator(mode="after")
    def _normalised(self) -> PolarisationPhysics:
        if abs(math.hypot(*self.axis) - 1) > 0.01:
            raise ValueError("axis must be a unit vector: s1^2 + s2^2 + s3^2 = 1")
        return self


class FaultEntry(StrictModel):
    """A fault (:data:`sim_backends.faults.FAULTS`) of ``unit``, from ``at`` of the lab's clock on, to ``until``."""

    unit: str
    fault: Annotated[str, Field(pattern=r"^[A-Za-z]+$")]
    at: Seconds = 0.0
    until: Seconds | None = None

    @model_validator(mode="after")
    def _known_and_forward(self) -> FaultEntry:
        if self.fault.upper() not in FAULTS:
            raise ValueError(f"there is no fault {self.fault!r}; there are {', '.join(sorted(FAULTS))}")
        if self.until is not None and self.until <= self.at:
            raise ValueError("until must come after at")
        return self


class WorldConfig(StrictModel):
    """The whole ``[world]`` table."""

    units: dict[str, UnitConfig]
    places: Places
    laser: LaserPhysics = LaserPhysics()
    modulator: ModulatorPhysics = ModulatorPhysics()
    channel: ChannelPhysics = ChannelPhysics()
    unitary: UnitaryPhysics = UnitaryPhysics()
    tap: TapPhysics = TapPhysics()
    amplifier: AmplifierPhysics
    client_receiver: ReceiverPhysics = ReceiverPhysics()
    server_receiver: ReceiverPhysics = ReceiverPhysics()
    monitor: MonitorPhysics = MonitorPhysics()
    polarisation: PolarisationPhysics = PolarisationPhysics()
    waveform: WaveformWorld | None = None
    noise: Method = "normal"
    faults: list[FaultEntry] = Field(default_factory=list)

    @model_validator(mode="after")
    def _faults_have_a_unit(self) -> WorldConfig:
        for entry in self.faults:
            if entry.unit not in self.units:
                raise ValueError(f"faults: {entry.unit!r} is no unit of [world.units]")
        return self

    @model_validator(mode="after")
    def _nothing_idle(self) -> WorldConfig:
        """What is set must have an effect."""
        for name, receiver in (("client_receiver", self.client_receiver), ("server_receiver", self.server_receiver)):
            if receiver.lo_delay and not self.laser.noisy:
                raise ValueError(f"{name}.lo_delay has no effect with a laser that has no linewidth and no rin")
            turned = 2 * math.pi * self.laser.linewidth * receiver.lo_delay
            if self.waveform is None and turned > MAX_PHASE_VARIANCE:
                raise ValueError(
                    f"laser.linewidth and {name}.lo_delay leave no phase between light and oscillator: 2π x linewidth x"
                    f" delay is {turned:.3g} rad², at most {MAX_PHASE_VARIANCE:g} are simulated"
                )
            if receiver.cmrr is not None and self.laser.rin_db_per_hz is None:
                raise ValueError(f"{name}.cmrr has no effect with a laser that has no rin_db_per_hz")
        if "monitor" in self.model_fields_set and self.places.power_meter is None:
            raise ValueError("monitor.fraction has no effect without places.power_meter")
        if "polarisation" in self.model_fields_set and self.places.polarisation is None:
            raise ValueError("polarisation.axis has no effect without places.polarisation")
        if max(point.gain for point in self.amplifier.gain_curve) == 1:
            for name in ("n_sp", "gain_error"):
                if getattr(self.amplifier, name) != AmplifierPhysics.model_fields[name].default:
                    raise ValueError(f"amplifier.{name} has no effect with a gain_curve that never exceeds 1")
        return self

    @model_validator(mode="after")
    def _one_laser(self) -> WorldConfig:
        """Beside a waveform the server's receiver sees the laser's noise; the client's has its phase locked."""
        if self.waveform is None:
            return self
        if self.waveform.phase.delay and not self.laser.noisy:
            raise ValueError("waveform.phase.delay has no effect with a laser that has no linewidth and no rin")
        if self.laser.linewidth and self.waveform.phase.delay == self.server_receiver.lo_delay:
            raise ValueError("laser.linewidth has no effect where light and oscillator are equally late (phase.delay)")
        if self.client_receiver.lo_delay:
            raise ValueError("client_receiver.lo_delay has no effect with a waveform: the client's phase is locked")
        return self

    @model_validator(mode="after")
    def _places_exist(self) -> WorldConfig:
        for place, who in self.places:
            for name in [who] if isinstance(who, str) else who or []:
                if name.partition(":")[0] not in self.units:
                    raise ValueError(f"places.{place} names {name!r}, which is no unit of [world.units]")
        return self


def load_world(bench_file: Path) -> tuple[WorldConfig, dict[str, str]]:
    """The ``[world]`` of a bench file, and the VISA resource string of each of its units.

    Raises ConfigError when the bench has no world, or a unit has no instrument to stand for.
    """
    tables = read_toml(bench_file)
    if "world" not in tables:
        raise ConfigError(
            f"{bench_file}: there is no [world] table, so there is nothing to simulate",
            "Use a bench with a [world], or set visa_library to '@py' or '@ivi' for real instruments.",
        )
    world = validate(WorldConfig, tables["world"], f"{bench_file}: [world]")
    if (world.waveform is None) != ("waveform" not in tables):
        raise ConfigError(
            f"{bench_file}: [waveform] and [world.waveform] belong together: several samples per bin, or one",
            "Give both tables, or neither.",
        )
    if world.noise == "compiled":
        require_numba(f"{bench_file}: [world]")
    _check_delays(tables, world, bench_file)
    return world, _resources(tables, world, bench_file)


def _check_delays(tables: dict[str, Any], world: WorldConfig, bench_file: Path) -> None:
    """A delay is rounded to bins, which the bench's clock makes; of less than half a bin nothing would be left, and too
    many would fill the memory.
    """
    clock = tables.get("sample_rate")
    if world.waveform is not None or not isinstance(clock, str):
        return
    try:
        bin_rate_hz = parse_quantity(clock, "Sa/s")
    except ValueError:
        return  # the bench's own schema refuses it
    for name, receiver in (("client_receiver", world.client_receiver), ("server_receiver", world.server_receiver)):
        if receiver.lo_delay and round(receiver.lo_delay * bin_rate_hz) == 0:
            raise ConfigError(
                f"{bench_file}: [world]: {name}.lo_delay of {receiver.lo_delay:g} s has no effect:"
                f" it rounds to no bin of {1 / bin_rate_hz:g} s",
                "Give half a bin or more, or leave the key out.",
            )
        if receiver.lo_delay * bin_rate_hz > MAX_DELAY_BINS:
            raise ConfigError(
                f"{bench_file}: [world]: {name}.lo_delay of {receiver.lo_delay:g} s is"
                f" {receiver.lo_delay * bin_rate_hz:.3g} bins, and the phase of each is kept",
                f"Give at most {MAX_DELAY_BINS / bin_rate_hz:.3g} s.",
            )


def _resources(tables: dict[str, Any], world: WorldConfig, bench_file: Path) -> dict[str, str]:
    instruments = tables.get("instruments", {})
    resources: dict[str, str] = {}
    for name in world.units:
        entry = instruments.get(name) if isinstance(instruments, dict) else None
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, str):
            raise ConfigError(
                f"{bench_file}: [world.units.{name}] has no [instruments.{name}] with a resource",
                "Give every simulated unit an instrument of the same name.",
            )
        resources[name] = resource
    return resources
