"""The server's residual-noise check: estimates per layer, the sequential test, and the bounds on leakage."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from labctl.events import Interval, Leakage, NoiseCheck
from labctl.protocol.estimation import Estimate, Receiver, ResidualSums, estimate, pool, weighted_mean
from labctl.protocol.gates import check_transmittance
from labctl.protocol.leakage import Layer, LayerLeakage, layer_leakage
from labctl.protocol.parameters import Limits, TechnicalNoise, common_error, limits
from labctl.protocol.returned import (
    JUDGED_SAMPLES,
    LayerPhase,
    PhaseTerms,
    Seen,
    check_alarm,
    check_phase,
    differs,
    off_calibration,
    phase_excess,
    simultaneous_half_width,
)
from labctl.protocol.verification import LayerNull, SequentialTest, Verdict, VerificationPlan

NAME = "server receiver"
NO_TECHNICAL_NOISE = TechnicalNoise()


@dataclass(frozen=True)
class Agreement:
    """What the check holds the returned light against.

    ``technical``: calibrated noise of the bench in each layer, allowed beside the honest client's; the leakage counts
    it as the adversary's all the same. None at all unless given.

    ``layers``: working point of each layer; ``expected``: honest excess noise of each, SNU; ``samples``: real samples
    of one shot of each; ``confidence``: two-sided, of all intervals.

    ``transmittance``: calibrated, launch to receiver; None where nobody knows. ``trial``: light of an internal trial,
    that is meant to fit no calibration, and whose transmittance and phase are not gated.
    """

    receiver: Receiver
    layers: tuple[Layer, ...]
    expected: tuple[float, ...]
    samples: tuple[int, ...]
    images: int
    false_alarm_rate: float
    confidence: float
    technical: tuple[TechnicalNoise, ...] = ()
    transmittance: float | None = None
    trial: bool = False

    @property
    def technical_by_layer(self) -> tuple[TechnicalNoise, ...]:
        """One for each layer."""
        return self.technical or (NO_TECHNICAL_NOISE,) * len(self.layers)

    @property
    def allowed(self) -> tuple[float, ...]:
        """Excess of each layer that is no reason for an alarm, SNU: honest and technical."""
        return tuple(each + own.excess for each, own in zip(self.expected, self.technical_by_layer, strict=True))

    def plan(self) -> VerificationPlan:
        """The looks of the sequential test. Raises ConfigError for a check that cannot be made."""
        nulls = tuple(
            LayerNull(samples, layer.modes, expected, own.excess)
            for samples, layer, expected, own in zip(
                self.samples, self.layers, self.expected, self.technical_by_layer, strict=True
            )
        )
        scale = math.hypot(self.receiver.efficiency_se / self.receiver.efficiency, self.receiver.unit_relative_se)
        shared = math.hypot(common_error(self.technical_by_layer, self.samples), scale * max(self.allowed))
        return VerificationPlan(nulls, self.receiver, self.images, self.false_alarm_rate, shared)


@dataclass(frozen=True)
class VerifierState:
    """What the check has seen: sums of each layer, and the last verdict."""

    sums: tuple[ResidualSums, ...]
    verdict: Verdict | None


class Verifier:
    """Takes the sums of one layer after the other."""

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self._test = SequentialTest(agreement.plan())
        self._sums = [ResidualSums() for _ in agreement.layers]
        self.verdict: Verdict | None = None

    def calibrated(self, receiver: Receiver) -> None:
        """What the server's receiver was found to be, before the first shot. Raises ConfigError as ``plan`` does."""
        self._agreement = replace(self._agreement, receiver=receiver)
        self._test = SequentialTest(self._agreement.plan())

    @property
    def receiver(self) -> Receiver:
        """As calibrated."""
        return self._agreement.receiver

    def add(self, layer: int, sums: ResidualSums) -> tuple[Estimate, Verdict]:
        """One more shot: its own estimate, and the test after it.

        Raises GateError for sums that give no number, and where the phase reference is lost.
        """
        single = estimate(sums, self._agreement.receiver)
        together = self._sums[layer] + sums
        if not self._agreement.trial:
            self._check_phase(layer, together, Seen(sums, single))
        self._sums[layer] = together
        verdict = self._test.update(single)
        if verdict.alarm_look == verdict.look and not self._agreement.trial:
            self._check_alarm()
        self.verdict = verdict
        return single, verdict

    def _check_alarm(self) -> None:
        """Before it is raised. Only of layers whose phase was looked at, which is all or none."""
        agreed = self._agreement
        found = [
            (index, sums, estimate(sums, agreed.receiver)) for index, sums in enumerate(self._sums) if sums.stretches
        ]
        parts = [
            LayerPhase(
                sums.n_samples,
                each.excess,
                phase_excess(sums, each, agreed.receiver, agreed.layers[index].modes),
                *self._due(index),
            )
            for index, sums, each in found
        ]
        if parts:
            check_alarm(NAME, parts)

    def _check_phase(self, layer: int, sums: ResidualSums, shot: Seen) -> None:
        agreed = self._agreement
        looks = agreed.images * len(agreed.layers)
        terms = PhaseTerms(agreed.layers[layer].modes, *self._due(layer), looks)
        check_phase(NAME, Seen(sums, estimate(sums, agreed.receiver)), shot, agreed.receiver, terms)

    def check_transmittance(self) -> None:
        """Of every layer, over everything so far. Raises GateError where more light comes back than was sent."""
        agreed = self._agreement
        if agreed.trial:
            return
        for sums, samples in zip(self._sums, agreed.samples, strict=True):
            if sums.n_samples >= JUDGED_SAMPLES:
                found = estimate(sums, agreed.receiver)
                shots = sums.n_samples // samples
                half = simultaneous_half_width(found, agreed.receiver, shots, len(agreed.layers))
                check_transmittance(NAME, found.transmittance, half)

    def warnings(self) -> tuple[str, ...]:
        """What is no reason to stop, but should be known: transmittances that are not the calibrated one."""
        agreed = self._agreement
        if agreed.transmittance is None or agreed.trial:
            return ()
        found = [(i, estimate(sums, agreed.receiver)) for i, sums in enumerate(self._sums) if sums.n_samples]
        return tuple(
            off_calibration(f"layer {index}", each, agreed.transmittance)
            for index, each in found
            if differs(each, agreed.receiver, agreed.transmittance, len(found))
        )

    def state(self) -> VerifierState:
        """What was seen up to now."""
        return VerifierState(tuple(self._sums), self.verdict)

    def forget_since(self, state: VerifierState) -> None:
        """Of a run that has ended: :meth:`checks` tell of what had been seen at ``state``, and no more."""
        self._sums, self.verdict = list(state.sums), state.verdict

    def checks(self) -> tuple[NoiseCheck, tuple[NoiseCheck, ...]]:
        """Pooled and per layer, of everything so far; layers that had no light yet are left out."""
        seen = [index for index, sums in enumerate(self._sums) if sums.n_samples]
        found = [self._measured(estimate(self._sums[index], self._agreement.receiver)) for index in seen]
        leakages = [
            _leakage(layer_leakage(self._agreement.layers[index], *each))
            for index, each in zip(seen, found, strict=True)
        ]
        per_layer = tuple(
            _check(each, self._due(index), leak) for index, each, leak in zip(seen, found, leakages, strict=True)
        )
        samples = [each.samples for each, _ in found]
        expected, technical = (
            weighted_mean(each, samples) for each in zip(*(self._due(index) for index in seen), strict=True)
        )
        pooled = self._measured(pool(each for each, _ in found))
        threshold = self.verdict.threshold if self.verdict else None
        return _check(pooled, (expected, technical), _worst(leakages), threshold), per_layer

    def _due(self, layer: int) -> tuple[float, float]:
        """Honest and technical excess of a layer, SNU."""
        return self._agreement.expected[layer], self._agreement.technical_by_layer[layer].excess

    def _measured(self, found: Estimate) -> tuple[Estimate, Limits]:
        """With the intervals of T and ε, the receiver's calibration included."""
        return found, limits(found, self._agreement.receiver, self._agreement.confidence)


def _check(
    measured: tuple[Estimate, Limits], due: tuple[float, float], leakage: Leakage, threshold: float | None = None
) -> NoiseCheck:
    found, reach = measured
    return NoiseCheck(
        excess=Interval(found.excess, *reach.excess),
        expected=due[0],
        technical=due[1],
        samples=found.samples,
        transmittance=Interval(found.transmittance, *reach.transmittance),
        leakage=leakage,
        threshold=threshold,
    )


def _leakage(found: LayerLeakage) -> Leakage:
    return Leakage(
        found.weights_bits_per_mode,
        found.weights_bits_per_weight,
        found.data_bits_v1,
        found.data_bits_journal,
    )


def _worst(layers: list[Leakage]) -> Leakage:
    """Each bound's maximum over the layers."""
    return Leakage(
        max(each.weights_bits_per_mode for each in layers),
        max(each.weights_bits_per_weight for each in layers),
        max(each.data_bits_v1 for each in layers),
        max(each.data_bits_journal for each in layers),
    )
