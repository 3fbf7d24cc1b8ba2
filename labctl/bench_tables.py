"""Tables of bench.toml that most benches leave out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from labctl.schema import Decibels, Positive, Seconds, SignedVolts, StrictModel, Watts
from labctl.units import parse_quantity

#: What the end of a reading's name says about its unit.
UNITS = {"_w": "W", "_m": "m", "_a": "A", "_v": "V", "_hz": "Hz", "_s": "s", "_db": "dB", "_c": "°C"}
#: A number, or a text with the reading's unit.
Limit = float | str


class InterlockEntry(StrictModel):
    """A condition that must hold: an instrument's ``reading`` within ``min`` and ``max``, or ``equals``, or no further
    than ``drift`` from what it was when the light came on.

    ``when``: "before" the signal is let out, "during" the run, or "both". ``every_images``, ``every`` (seconds by the
    bench's clock): how often it is read during the run, whichever comes first.
    """

    instrument: str
    reading: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    min: Limit | None = None
    max: Limit | None = None
    drift: Limit | None = None
    equals: bool | int | float | str | None = None
    when: Literal["before", "during", "both"] = "both"
    every_images: Annotated[int, Field(ge=1)] | None = None
    every: Seconds | None = None

    @model_validator(mode="after")
    def _says_something(self) -> InterlockEntry:
        numbers = [key for key in ("min", "max", "drift") if getattr(self, key) is not None]
        if (self.equals is None) == (not numbers):
            raise ValueError("an interlock needs min, max or drift, or else equals")
        if self.drift is not None and self.when == "before":
            raise ValueError("drift counts from the moment when the light comes on: when = 'before' does not fit it")
        low, high, drift = (self.limit(key) for key in ("min", "max", "drift"))
        if low is not None and high is not None and low > high:
            raise ValueError("min is above max: no reading fits")
        if drift is not None and drift < 0:
            raise ValueError("drift must not be negative")
        return self

    @property
    def unit(self) -> str:
        """Of the reading; "" for a pure number."""
        return next((unit for end, unit in UNITS.items() if self.reading.endswith(end)), "")

    def limit(self, key: str) -> float | None:
        """``min``, ``max`` or ``drift`` in the reading's unit. Raises ValueError for a text in another one."""
        value = getattr(self, key)
        if isinstance(value, str):
            return parse_quantity(value, self.unit)
        if value is not None and self.unit:
            raise ValueError(f"{key}: {self.reading} is in {self.unit}, give a text with a unit")
        return None if value is None else float(value)


class ImbalanceRole(StrictModel):
    """What is not ideal in the modulator, as calibrated; what is sent is predistorted for it.

    ``bias_i``, ``bias_q``: of the arms, off their null. ``extinction_ratio``: of each arm, none for a perfect one.
    ``gain_ratio``: field of the Q arm over that of the I arm. ``angle_error_deg``: of the third electrode, off 90°.
    """

    bias_i: SignedVolts = 0.0
    bias_q: SignedVolts = 0.0
    extinction_ratio: Decibels | None = None
    gain_ratio: Annotated[float, Field(ge=0.5, le=2)] = 1.0
    angle_error_deg: Annotated[float, Field(gt=-45, lt=45)] = 0.0


class DriftEntry(StrictModel):
    """An instrument's ``reading`` that a calibration holds for: it may be off by ``most`` of what it was then.

    ``most``: a text with the reading's unit, a number for one without.
    """

    instrument: str
    reading: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    most: Limit

    @model_validator(mode="after")
    def _is_a_limit(self) -> DriftEntry:
        if self.allowed < 0:
            raise ValueError("most must not be negative")
        return self

    @property
    def allowed(self) -> float:
        """In the reading's unit. Raises ValueError for a text in another one."""
        return self.condition().limit("drift") or 0.0

    def condition(self) -> InterlockEntry:
        """The same as an interlock's entry."""
        return InterlockEntry(instrument=self.instrument, reading=self.reading, drift=self.most)


class SwitchRole(StrictModel):
    """An optical switch before the server's receiver. ``signal``, ``vacuum``: its positions for the fibre, and for no
    light at all.
    """

    instrument: str
    signal: Annotated[int, Field(ge=1)] = 1
    vacuum: Annotated[int, Field(ge=1)] = 2

    @model_validator(mode="after")
    def _two_positions(self) -> SwitchRole:
        if self.signal == self.vacuum:
            raise ValueError("signal and vacuum are the same position")
        return self


class CalibrationRole(StrictModel):
    """How the bench is calibrated (``labctl calibrate``), and whether runs use what was found.

    ``store``: folder of the results; where it is named, a run takes its constants from there and is refused without.
    ``valid_hours``: how long a result counts. ``launch_limit``: power that may be launched while calibrating, so that
    no receiver is damaged. ``power_drift``: by how much of itself the monitor's power may differ from what it was
    while calibrating; ``drift``: other readings, such as temperatures. ``in_force`` and ``references`` (numbers that
    the bench is held to) are filled in for the run file, never read from bench.toml.
    """

    store: str | None = None
    valid_hours: Positive = 24.0
    launch_limit: Watts = 10e-6
    power_drift: Annotated[float, Field(gt=0, lt=1)] | None = None
    drift: list[DriftEntry] = Field(default_factory=list)
    in_force: dict[str, str] = Field(default_factory=dict)
    references: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _nothing_filled_in(self) -> CalibrationRole:
        if self.in_force or self.references:
            raise ValueError("in_force and references are filled in from the store, not read from the file")
        if self.store is None and (self.drift or self.power_drift is not None):
            raise ValueError("drift and power_drift are held against results: they need store")
        return self
