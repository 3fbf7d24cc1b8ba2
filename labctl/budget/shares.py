"""The budget: shares of the client's and of the server's noise, from the twin and by formula.

From the twin: the bench with losses, efficiency and a quantum-limited amplifier alone is the quiet bench. Each source
is switched on in it, one at a time (its share), and switched off in the full bench, one at a time. All trials draw the
same vacuum, so that the differences are known far better than the variances. The shares and the last line, interaction
(what several sources do together), sum to the total; so do the formulas, where the bench has one for each source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labctl.budget.formulas import Amount, by_formula, quantisation
from labctl.budget.sources import EFFICIENCY, LOSSES, NEEDS, SOURCES, Source, Tables, only, without
from labctl.budget.trial import Trial, first_layer, trial
from labctl.errors import ConfigError
from labctl.experiment import Experiment
from labctl.schema import read_toml

Double = NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """Noise variance in SNU of a party's receiver, and its standard error.

    ``formula``: None where there is none. ``off``: by how much the total falls when the source is switched off in the
    full bench; None where it was not.
    """

    value: float
    standard_error: float
    formula: float | None = None
    off: float | None = None
    off_se: float | None = None


@dataclass(frozen=True)
class Line:
    """One source's shares."""

    source: str
    client: Share
    server: Share


@dataclass(frozen=True)
class Budget:
    """``lines`` sum to ``total``, the last one being the interaction.

    ``coupling``: κη of the server's receiver; a share of its variance divided by it is a share of ε.
    """

    rows: int
    images: int
    coupling: float
    lines: tuple[Line, ...]
    total: Line


def noise_budget(experiment: Experiment) -> Budget:
    """Of the first layer of the experiment's network, at its working point, over its images, on its simulated bench.

    Raises ConfigError for a bench of real instruments or fewer than two images, and what goes wrong on the bench.
    """
    if not experiment.bench.in_process:
        raise ConfigError(
            f"{experiment.bench_path}: sources of noise can be switched off on a simulated bench of this process only",
            'Use a bench with visa_library = "@labctl".',
        )
    if experiment.images < 2:
        raise ConfigError(f"a budget of {experiment.images} image", "Take at least two: their scatter is the error.")
    layer, tables = first_layer(experiment), read_toml(experiment.bench_path)
    trials = _Trials(layer, tables)
    parties, receiver = trials.parties(), layer.agreement().receiver
    formulas = by_formula(layer, tables, trials.present, trials.full.hours)
    lines = tuple(
        Line(source, _share(parties["client"], formulas, source, 0), _share(parties["server"], formulas, source, 1))
        for source in parties["client"].on
    )
    total = Line(
        "total", *(_total(parties[party], formulas, which) for which, party in enumerate(("client", "server")))
    )
    return Budget(layer.network.weights[0].shape[0], layer.images, receiver.coupling, lines, total)


@dataclass(frozen=True, eq=False)
class _Party:
    """Image by image: share of each source, what switching off takes away, and the total."""

    on: dict[str, Double]
    off: dict[str, Double]
    total: Double


class _Trials:
    """All the trials of a budget."""

    def __init__(self, layer: Experiment, tables: Tables) -> None:
        self._layer = layer
        self._tables = tables
        self.present = tuple(source for source in SOURCES if without(tables, [source]) != without(tables, []))
        self.full = self._take(tables)

    def _take(self, tables: Tables) -> Trial:
        return trial(self._layer, tables)

    def _only(self, names: set[str]) -> Trial:
        return self._take(only(self._tables, names))

    def parties(self) -> dict[str, _Party]:
        """Shares at client and server."""
        ideal = self._take(without(self._tables, [*SOURCES, LOSSES, EFFICIENCY]))
        lossy = self._take(without(self._tables, [*SOURCES, EFFICIENCY]))
        quiet, steps = self._only(set()), quantisation(self._layer, self._tables)
        alone = {each.name: self._only({each.name, *_company(each)}) for each in self.present}
        off = {each.name: self._take(without(self._tables, [each])) for each in self.present}
        found = {}
        for which, party in enumerate(("client", "server")):
            first, second, base, total = (getattr(each, party) for each in (ideal, lossy, quiet, self.full))
            on = {
                "vacuum": np.ones_like(first),
                "quantisation": np.full_like(first, steps[which]),
                "amplifier and tap": first - 1 - steps[which],
                LOSSES.name: second - first,
                EFFICIENCY.name: base - second,
            }
            for each in self.present:
                needed = NEEDS.get(each.name)
                without_it = getattr(alone[needed], party) if needed in alone else base
                on[each.name] = getattr(alone[each.name], party) - without_it
            on["interaction"] = total - sum(on.values())
            found[party] = _Party(on, {name: total - getattr(each, party) for name, each in off.items()}, total)
        return found


def _company(source: Source) -> set[str]:
    return {NEEDS[source.name]} if source.name in NEEDS else set()


def _share(party: _Party, formulas: Mapping[str, Amount], source: str, which: int) -> Share:
    value, error = _mean(party.on[source])
    formula = formulas.get(source)
    off = _mean(party.off[source]) if source in party.off else (None, None)
    return Share(value, error, None if formula is None else formula[which], *off)


def _total(party: _Party, formulas: Mapping[str, Amount], which: int) -> Share:
    formula = formulas.get("total")
    return Share(*_mean(party.total), None if formula is None else formula[which])


def _mean(values: Double) -> tuple[float, float]:
    """Mean over the images, and its standard error from their scatter."""
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
