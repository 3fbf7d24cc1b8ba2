"""Tables of RUN.toml that most runs leave out: who deviates from what was agreed, and the accounts of what leaked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from labctl.schema import StrictModel
from labctl.values import Convention

#: Ranges of an attack's strength: above the first number or at it, at most the second.
STRENGTHS: dict[str, tuple[float, float]] = {
    "greedy": (1.0, 1000.0),
    "all-modes": (1.0, 1000.0),
    "resend": (0.0, 1.0),
    "tap": (0.0, 0.999999),
    "injection": (0.0, 1e6),
}
#: Attacks whose strength is a gain that the client's amplifier is set to; it must be above 1.
GAIN_ATTACKS = ("greedy", "all-modes")


#: What may have drifted, in the order in which it is looked at.
RecheckKind = Literal["shot-noise", "bias", "phase"]
KINDS: tuple[RecheckKind, ...] = ("shot-noise", "bias", "phase")
#: Numbers that a re-check of each kind looks at.
NUMBERS: dict[RecheckKind, int] = {"shot-noise": 1, "bias": 2, "phase": 2}
Often = Annotated[int, Field(ge=1)] | None


class RecheckConfig(StrictModel):
    """What is measured again while the run goes on, every so many images and after the last one.

    ``shot_noise_limit``: of the variance without signal, relative to the calibrated; ``bias_limit``: of each arm, in
    V_pi off its null; ``phase_limit``: of the light at both receivers, rad. ``false_alarm_rate``: the probability that
    the re-checks of a whole run stop one whose bench is within all limits.
    """

    shot_noise_every_images: Often = None
    bias_every_images: Often = None
    phase_every_images: Often = None
    shot_noise_limit: Annotated[float, Field(gt=0, lt=1)] = 0.01
    bias_limit: Annotated[float, Field(gt=0, lt=1)] = 0.01
    phase_limit: Annotated[float, Field(gt=0, lt=3)] = 0.05
    false_alarm_rate: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3

    @model_validator(mode="after")
    def _looks_at_something(self) -> RecheckConfig:
        if not self.every:
            raise ValueError("recheck needs shot_noise_every_images, bias_every_images or phase_every_images")
        return self

    @property
    def every(self) -> dict[RecheckKind, int]:
        """Images from one re-check to the next, by kind."""
        found: dict[RecheckKind, int | None] = {
            "shot-noise": self.shot_noise_every_images,
            "bias": self.bias_every_images,
            "phase": self.phase_every_images,
        }
        return {kind: images for kind, images in found.items() if images is not None}

    def limit(self, kind: RecheckKind) -> float:
        """Of a kind, in its unit."""
        return {"shot-noise": self.shot_noise_limit, "bias": self.bias_limit, "phase": self.phase_limit}[kind]


class AdversaryConfig(StrictModel):
    """How a party deviates from what was agreed.

    ``client_gain``: the gain that the client really uses, the same as ``attack`` "greedy" of that ``strength``.
    ``server_recovers_data``: the server looks for the data in the residuals of the first layer.
    """

    client_gain: Annotated[float, Field(gt=1, le=1000)] | None = None
    attack: Literal["greedy", "all-modes", "resend", "substitution", "tap", "injection"] | None = None
    strength: float | None = None
    server_recovers_data: bool = False

    @model_validator(mode="after")
    def _one_attack(self) -> AdversaryConfig:
        if self.attack is None:
            if self.strength is not None:
                raise ValueError("strength belongs to an attack: name one with attack")
            return self
        if self.client_gain is not None:
            raise ValueError("client_gain is the attack 'greedy': give either client_gain or attack")
        if self.attack == "substitution":
            if self.strength is not None:
                raise ValueError("substitution takes no strength: the bench's link tells what is lost")
            return self
        low, high = STRENGTHS[self.attack]
        above = self.attack in GAIN_ATTACKS
        if self.strength is None or not low <= self.strength <= high or (above and self.strength == low):
            span = f"above {low:g}, at most {high:g}" if above else f"from {low:g} to {high:g}"
            raise ValueError(f"{self.attack} needs a strength {span}")
        return self

    @property
    def kind(self) -> str | None:
        """The attack by name, however it was given."""
        return "greedy" if self.client_gain is not None else self.attack

    @property
    def on_the_light(self) -> bool:
        """Whether somebody attacks with equipment that no bench file names; a greedy client uses its own."""
        return self.attack is not None and self.attack != "greedy"

    def gain_in_use(self, agreed: float) -> float:
        """The gain of the client's amplifier where ``agreed`` is the agreed one."""
        if self.client_gain is not None:
            return self.client_gain
        return self.strength if self.attack in GAIN_ATTACKS and self.strength is not None else agreed


class WeightsLedgerConfig(StrictModel):
    """The server's account: ``file``, and how many bits of each weight may leak in all, in all runs together."""

    file: Annotated[str, Field(min_length=1)]
    bits_per_weight_budget: Annotated[float, Field(gt=0)]


class DataLedgerConfig(StrictModel):
    """The client's account: ``file``, and how many bits of each symbol of a data row may leak in all.

    ``convention``: the published bound that the budget is held against.
    """

    file: Annotated[str, Field(min_length=1)]
    bits_per_symbol_budget: Annotated[float, Field(gt=0)]
    convention: Convention = "journal"


class LedgerConfig(StrictModel):
    """Leakage ledgers, one a party, since the parties distrust each other."""

    weights: WeightsLedgerConfig | None = None
    data: DataLedgerConfig | None = None

    @model_validator(mode="after")
    def _apart(self) -> LedgerConfig:
        if self.weights and self.data and Path(self.weights.file).resolve() == Path(self.data.file).resolve():
            raise ValueError("weights.file and data.file must differ: each party keeps its own account")
        return self
