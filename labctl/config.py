"""bench.toml and RUN.toml as strict schemas: what is wrong is said before any instrument is touched, with key and
remedy.

A bench says which instruments there are, what part each plays, and the calibration constants in force. A run says what
to do with them. Paths in a file are relative to that file.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, PlainValidator, model_validator

from labctl.bench_tables import CalibrationRole, ImbalanceRole, InterlockEntry, SwitchRole
from labctl.errors import ConfigError
from labctl.paths import resolve_paths
from labctl.run_tables import AdversaryConfig, LedgerConfig, RecheckConfig
from labctl.schema import (
    Amperes,
    Decibels,
    Fraction,
    GainPoint,
    Metres,
    Positive,
    SampleRate,
    Seconds,
    SnuVariance,
    StrictModel,
    Volts,
    Watts,
    read_toml,
    validate,
)

Count = Annotated[int, Field(ge=1)]
InstrumentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


def _per_layer(value: object) -> float | list[float]:
    def checked(each: object) -> float:
        if isinstance(each, bool) or not isinstance(each, (int, float)) or not 0 <= each < math.inf:
            raise ValueError("give a number of at least 0, or a list with one for each layer")
        return float(each)

    if isinstance(value, list) and value:
        return [checked(each) for each in value]
    return checked(value)


SnuPerLayer = Annotated[float | list[float], PlainValidator(_per_layer)]


class InstrumentEntry(StrictModel):
    """``driver``: "module:Class", or the name under which an installed package registers it; ``resource``: a VISA
    resource string; ``options``: the driver's own.
    """

    driver: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$|^[A-Za-z][\w-]*$")]
    resource: Annotated[str, Field(min_length=1)]
    options: dict[str, str | int | float | bool | list[int]] = Field(default_factory=dict)


class ChannelRef(StrictModel):
    """A channel (from 1) of an instrument."""

    instrument: str
    channel: Count = 1


class DriveRef(ChannelRef):
    """A generator channel that drives a modulator of half-wave voltage ``v_pi``, referred to the generator's output.

    ``amplitude``: the channel's full scale, peak to peak; it must reach V_pi on both sides.
    """

    v_pi: Volts
    amplitude: Volts


class LaserRole(StrictModel):
    """Signal and local oscillator."""

    instrument: str
    wavelength: Metres
    power: Watts


class ModulatorRole(StrictModel):
    """The server's transmitter. ``loss``: laser to launch with the attenuators at 0 dB and both arms fully open.

    ``bias``: controllers that hold its arms, locked at null before light is sent, and watched while it is.
    """

    in_phase: DriveRef
    quadrature: DriveRef
    attenuators: Annotated[list[ChannelRef], Field(min_length=1)]
    loss: Decibels
    imbalance: ImbalanceRole | None = None
    bias: list[str] = Field(default_factory=list)


class UnitaryRole(StrictModel):
    """The client's time-bin loop: coupler and phase modulator of the forward pass, and of the return pass."""

    forward_coupler: DriveRef
    forward_phase: DriveRef
    return_coupler: DriveRef
    return_phase: DriveRef


class AmplifierRole(StrictModel):
    """The client's amplifier with its pump -> gain calibration; ``n_sp`` as calibrated (1: quantum limited)."""

    instrument: str
    pump_calibration: Annotated[list[GainPoint], Field(min_length=2)]
    n_sp: Annotated[float, Field(ge=1)] = 1.0

    @model_validator(mode="after")
    def _rising(self) -> AmplifierRole:
        for name in ("pump", "gain"):
            values = [getattr(point, name) for point in self.pump_calibration]
            if any(b <= a for a, b in pairwise(values)):
                raise ValueError(f"the {name} must rise from point to point of pump_calibration")
        return self


class LinkRole(StrictModel):
    """Calibrated losses: launch to amplifier (fibre out and unitary), amplifier to the server's receiver.

    ``technical_excess``: excess noise of the apparatus, SNU at the server's receiver, beyond the honest client's, and
    its standard error; of the working point at which ``labctl bench technical-noise`` measured it. One number for all
    layers of the network, or a list with one for each. ``technical_modes``: modes n of the layers that it was measured
    with, and ``technical_mean_photons`` the light; where they are left out, nothing is checked against them.
    """

    loss_out: Decibels = 0.0
    loss_back: Decibels = 0.0
    technical_excess: SnuPerLayer = 0.0
    technical_excess_se: SnuPerLayer = 0.0
    technical_modes: list[Count] = Field(default_factory=list)
    technical_mean_photons: Positive | None = None


class ReceiverRole(StrictModel):
    """A homodyne receiver behind a digitizer, with its calibration.

    ``channels``: one for a homodyne, two (X, P) for a dual-quadrature receiver. ``full_scale``: the digitizer's range,
    peak to peak. ``volts_per_snu``: output for one sqrt(SNU). ``noise_variance``: σ0², the variance in the dark signal
    port, in SNU: 1, electronic noise and quantisation. ``calibration_samples``: N0, how many samples σ0² and the unit
    were measured with. ``efficiency_se``: standard error of ``efficiency``.
    """

    digitizer: str
    channels: Annotated[list[Count], Field(min_length=1, max_length=2)]
    full_scale: Volts
    volts_per_snu: Volts
    efficiency: Fraction = 1.0
    efficiency_se: Annotated[float, Field(ge=0, lt=1)] = 0.0
    electronic_noise: SnuVariance = 0.0
    noise_variance: Annotated[float, Field(gt=0)] = 1.0
    calibration_samples: Annotated[int, Field(ge=2)]


class MonitorRole(StrictModel):
    """A power meter on a tap of the laser: ``fraction`` of its power, held within ``tolerance`` of it."""

    instrument: str
    fraction: Fraction
    tolerance: Fraction = 0.05


class WaveformRole(StrictModel):
    """A bin is a pulse of several samples at the sender's generator and the server's digitizer.

    ``roll_off``, ``span_symbols``: of the root raised cosine. ``pilot_period`` K: every K-th bin is a pilot, of
    ``pilot_photons`` at launch. ``calibration_symbols``: of the records that the shot noise is measured with.
    """

    samples_per_symbol: Annotated[int, Field(ge=2, le=64)]
    pulse: Literal["root_raised_cosine", "rectangular"] = "root_raised_cosine"
    roll_off: Fraction = 0.4
    span_symbols: Annotated[int, Field(ge=8, le=256)] = 32
    pilot_period: Annotated[int, Field(ge=4, le=1024)] = 16
    pilot_photons: Annotated[float, Field(gt=0, le=1e6)] = 1000.0
    calibration_symbols: Annotated[int, Field(ge=10_000)] = 500_000


class BenchConfig(StrictModel):
    """bench.toml. ``world``: the simulated lab's own table, passed on unread.

    ``simulated_control``: resource string of the control instrument of a lab that ``labctl sim serve`` has put on the
    network, where all instruments of the bench are. ``watchdog``: the longest that a run may give no sign of life.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    visa_library: Annotated[str, Field(pattern=r"^@?\w*$|^.+@\w+$|^/.+$")]
    simulated_control: Annotated[str, Field(pattern=r"^(?i:TCPIP\d*::)[^:]+::\d+::(?i:SOCKET)$")] | None = None
    calibrated: str = ""
    calibrated_at: AwareDatetime | None = None
    calibration_valid_hours: Annotated[float, Field(gt=0)] | None = None
    watchdog: Annotated[Seconds, Field(gt=0)] = 120.0
    sample_rate: SampleRate
    instruments: Annotated[dict[InstrumentName, InstrumentEntry], Field(min_length=1)]
    laser: LaserRole
    modulator: ModulatorRole
    unitary: UnitaryRole
    tap: DriveRef
    amplifier: AmplifierRole
    link: LinkRole = LinkRole()
    client_receiver: ReceiverRole
    server_receiver: ReceiverRole
    monitor: MonitorRole | None = None
    waveform: WaveformRole | None = None
    interlocks: list[InterlockEntry] = Field(default_factory=list)
    switch: SwitchRole | None = None
    calibration: CalibrationRole = CalibrationRole()
    world: dict[str, Any] | None = None

    @property
    def samples_per_bin(self) -> int:
        """At the sender's generator and the server's digitizer."""
        return 1 if self.waveform is None else self.waveform.samples_per_symbol

    @property
    def bin_rate(self) -> float:
        """Bins per second, and samples per second of the client's generators."""
        return self.sample_rate / self.samples_per_bin

    @property
    def simulated(self) -> bool:
        """Whether nothing real is behind the resources: the VISA library is the simulated lab's, or a served lab."""
        return self.in_process or self.simulated_control is not None

    @property
    def in_process(self) -> bool:
        """Whether the simulated lab is in the program's own process, so that its [world] can be had otherwise."""
        return self.visa_library == "@labctl"

    def with_technical(self, excess: float, standard_error: float) -> BenchConfig:
        """The same bench with another technical noise, SNU, for any network and light."""
        technical = {
            "technical_excess": excess,
            "technical_excess_se": standard_error,
            "technical_modes": [],
            "technical_mean_photons": None,
        }
        return self.model_copy(update={"link": self.link.model_copy(update=technical)})

    @model_validator(mode="after")
    def _calibration_is_dated(self) -> BenchConfig:
        if self.calibration_valid_hours is not None and self.calibrated_at is None:
            raise ValueError("calibration_valid_hours needs calibrated_at: valid since when")
        return self

    @model_validator(mode="after")
    def _one_simulated_lab(self) -> BenchConfig:
        """A bench counts as simulated only where every instrument is where the simulated lab is."""
        if self.simulated_control is None:
            return self
        if self.visa_library == "@labctl":
            raise ValueError('simulated_control is for a served lab; "@labctl" is one in this process')
        host = self.simulated_control.split("::")[1]
        for name, entry in self.instruments.items():
            found = re.match(r"(?i:TCPIP\d*::|ASRLsocket://)([^:]+):", entry.resource)
            if found is None or found[1] != host:
                raise ValueError(f"instruments.{name} is not at {host}, where simulated_control says the lab is")
        return self

    @model_validator(mode="after")
    def _instruments_exist(self) -> BenchConfig:
        named = [*_references(self, ""), *(("modulator.bias", name) for name in self.modulator.bias)]
        for key, name in named:
            if name not in self.instruments:
                raise ValueError(f"{key} names {name!r}, which is not in [instruments]")
        if len(self.client_receiver.channels) != 1:
            raise ValueError("client_receiver.channels: the client measures one quadrature, name one channel")
        if self.client_receiver.efficiency_se:
            raise ValueError("client_receiver.efficiency_se has no effect: nothing is estimated with that receiver")
        if len(self.server_receiver.channels) != 2:
            raise ValueError("server_receiver.channels: name the X and the P channel of the dual receiver")
        return self


def _references(model: StrictModel, prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in model:
        at = f"{prefix}{key}"
        if key in ("instrument", "digitizer") and isinstance(value, str):
            found.append((at, value))
        elif isinstance(value, InstrumentEntry):
            continue
        elif isinstance(value, StrictModel):
            found += _references(value, f"{at}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, StrictModel):
                    found += _references(item, f"{at}[{index}].")
    return found


class RunConfig(StrictModel):
    """RUN.toml: what to infer, at which working point, and how to judge it.

    ``gain``: agreed amplifier gain G; ``mean_photons``: μ per mode at launch; ``confidence``: two-sided, of every
    interval; ``false_alarm_rate``: of the residual-noise check over the whole run; ``pause_limit_s``: a run that is
    paused for so long ends.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    dataset: str
    data_dir: str | None = None
    model: str
    bench: str = "ideal"
    gain: Annotated[float, Field(gt=1, le=1000)]
    mean_photons: Annotated[float, Field(gt=0, le=1e6)]
    images: Count | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3
    on_alarm: Literal["stop", "continue"] = "stop"
    pause_limit_s: Positive | None = None
    operator: str = ""
    note: str = ""
    adversary: AdversaryConfig = AdversaryConfig()
    ledger: LedgerConfig = LedgerConfig()
    recheck: RecheckConfig | None = None

    def honest(self) -> RunConfig:
        """The same run with nobody deviating and no account kept."""
        return self.model_copy(update={"adversary": AdversaryConfig(), "ledger": LedgerConfig(), "recheck": None})


def load_bench(path: Path) -> BenchConfig:
    """Read and check a bench file. Raises ConfigError."""
    return validate(BenchConfig, read_toml(path), str(path))


def load_run(path: Path, overrides: dict[str, Any], *, anywhere: bool = False) -> RunConfig:
    """Read and check a run file; ``overrides`` (from the command line) go first. Raises ConfigError.

    Without a ``name`` the run is called by its file's stem. Paths are made relative to the file's folder, and must not
    lead out of it unless ``anywhere``: what lies elsewhere is named by a person. ``dataset``, ``model`` and ``bench``
    may also be names of shipped things.
    """
    tables = {"name": re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem)[:64], **read_toml(path)}
    resolve_paths(tables, path, overrides, anywhere=anywhere)
    tables.update({key: value for key, value in overrides.items() if value is not None})
    return validate(RunConfig, tables, str(path))


def check_together(run: RunConfig, bench: BenchConfig, where: str = "the run") -> None:
    """What only run and bench together can tell. Raises ConfigError that names ``where`` the run was described."""
    if run.on_alarm == "continue" and not bench.simulated:
        raise ConfigError(
            f"{where}: key 'on_alarm': 'continue' is only allowed where everything is simulated",
            "Set on_alarm to 'stop': after an alarm no further layer may be sent.",
        )
    if run.ledger.weights is not None and bench.waveform is not None:
        raise ConfigError(
            f"{where}: key 'ledger.weights': a bench with [waveform] calibrates its receiver anew for each run, and the"
            " account knows only constants of the bench file",
            "Take the account off the run, or use a bench without [waveform].",
        )
    if run.recheck is not None and bench.waveform is not None:
        raise ConfigError(
            f"{where}: key 'recheck': a bench with [waveform] measures its shot noise, delays and phases in each run",
            "Take the table off the run, or use a bench without [waveform].",
        )
    if run.adversary.on_the_light and not bench.simulated:
        raise ConfigError(
            f"{where}: key 'adversary.attack': {run.adversary.attack!r} is only allowed where everything is simulated",
            "Name a simulated bench, or leave the attack out.",
        )
    used = "adversary.client_gain" if run.adversary.client_gain is not None else "adversary.strength"
    for key, gain in (("gain", run.gain), (used, run.adversary.gain_in_use(run.gain))):
        pump_for_gain(bench.amplifier, gain, f"{where}: key {key!r}")


def pump_for_gain(amplifier: AmplifierRole, gain: float, where: str = "key 'gain'") -> Amperes:
    """Pump current (A) for a power gain, by linear interpolation of the calibration. Raises ConfigError outside it."""
    gains = [point.gain for point in amplifier.pump_calibration]
    pumps = [point.pump for point in amplifier.pump_calibration]
    if not gains[0] <= gain <= gains[-1]:
        raise ConfigError(
            f"{where}: a gain of {gain:g} is outside the amplifier's calibration ({gains[0]:g} to {gains[-1]:g})",
            "Choose a gain inside it, or calibrate the amplifier further.",
        )
    for (low, high), (below, above) in zip(pairwise(gains), pairwise(pumps), strict=True):
        if gain <= high:
            return below + (above - below) * (gain - low) / (high - low)
    return pumps[-1]
