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
