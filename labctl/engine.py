"""The engine: executes a plan step by step, publishes events, and always ends in the safe state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from labctl.adversary import Referee
from labctl.assembly import Assembly
from labctl.bench import Bench
from labctl.control import RunControl
from labctl.description import description, layer_measured
from labctl.doubt import DOUBT, Standing, Standings
from labctl.errors import GateError, LabctlError, RunAborted
from labctl.events import (
    AdversaryResult,
    AlarmRaised,
    EventBus,
    ImageFinished,
    ImagesDoubtful,
    Interval,
    LightOff,
    NoiseCheck,
    ReceiverSamples,
    RunStarted,
    StateChanged,
)
from labctl.experiment import Experiment
from labctl.limits import Rounds
from labctl.plan import BeginImage, FinishImage, Layer, LightOn, Plan, Prepare, Recheck, Step
from labctl.protocol.estimation import ResidualSums
from labctl.protocol.intervals import clopper_pearson
from labctl.recheck import KEY, refuse
from labctl.resume import Resumption
from labctl.run_tables import KINDS
from labctl.signals import held_back

__all__ = ["Ask", "Attendant", "Engine", "RunControl"]

#: Told the next image and layer; raises what ends the run before that shot.
Ask = Callable[[int, int], None]
#: Samples of each quadrature in one look at the server's receiver.
LOOK_SAMPLES = 4096


class Attendant(Protocol):
    """Somebody outside this process who switches the light off when it no longer hears from the engine."""

    def ready(self) -> None:
        """Return when he is at his post. Raises WatchdogError."""
        ...

    def beat(self) -> None:
        """The engine is well. Raises WatchdogError when nobody hears it."""
        ...


class Alarm(Exception):
    """The check rejected, and the run's policy is to stop."""


class Engine:
    """Executes one plan on one opened bench."""

    def __init__(  # noqa: PLR0913 - what a run is made of, the last three only where there are such
        self,
        experiment: Experiment,
        bench: Bench,
        bus: EventBus,
        control: RunControl,
        before_shot: Ask | None = None,
        attendant: Attendant | None = None,
        resumed: Resumption | None = None,
    ) -> None:
        self._experiment = experiment
        self._bench = bench
        self._bus = bus
        self._control = control
        self._before_shot = before_shot
        self._attendant = attendant
        self._resumed = resumed
        self._assembly = Assembly.build(experiment, bench)
        self._correct = 0
        self._rounds = Rounds(self._assembly.watch)
        self._standings = Standings(sum(layer.transmissions for layer in experiment.network.layers))
        self._shots = 0  # of the present image
        self._plan = Plan(0, 0)
        self._referee = Referee(experiment, self._assembly.control)
        self._alarm_image: int | None = None
        self._started_s = 0.0
        self._lit = False
        self._now_s = 0.0  # by the bench's clock, when the last image was finished
        self.images = 0
        self.started: RunStarted | None = None
        self.accuracy: Interval | None = None
        self.doubtful: ImagesDoubtful | None = None
        self._actions: dict[type, Callable[[Any], None]] = {
            Prepare: self._prepare,
            LightOn: self._light_on,
            BeginImage: self._begin,
            Layer: self._layer,
            FinishImage: self._finish,
            Recheck: self._recheck,
        }

    @property
    def alarmed(self) -> bool:
        """Whether the alarm was raised."""
        return self._alarm_image is not None

    @property
    def measured(self) -> bool:
        """Whether any returned light was measured."""
        return self._assembly.verifier.verdict is not None

    def checks(self) -> tuple[NoiseCheck, tuple[NoiseCheck, ...]]:
        """The residual-noise check of everything so far: pooled and per layer."""
        return self._assembly.verifier.checks()

    def warnings(self) -> tuple[str, ...]:
        """What is no reason to stop, but should be known."""
        return self._assembly.verifier.warnings()

    def adversary(self) -> AdversaryResult | None:
        """What the dishonest got, as far as it is known; None where everybody was honest."""
        return self._referee.result(self._alarm_image)

    def execute(self, plan: Plan) -> None:
        """All steps, with a checkpoint before each. Returns early on an alarm; raises what went wrong.

        Whatever happens, the bench is put into the safe state and read back before this returns.
        """
        self._plan = plan
        try:
            self._execute(plan)
        except RunAborted:
            self._referee.ask_attacker()
            raise
        self._referee.ask_attacker()

    def _execute(self, plan: Plan) -> None:
        try:
            self._bench.engage()
            for step in plan.steps():
                self._control.checkpoint(self._paused, self._beat, self._held)
                self._actions[type(step)](step)
            if self.images:
                self._assembly.watch.check()  # the light was as it should be to the end
        except Alarm:
            return
        except DOUBT as error:
            cause = self._cause(error) if isinstance(error, GateError) else error
            self._drop_doubtful(error, str(cause))
            if cause is error:
                raise
            raise cause from error
        finally:
            self._go_dark()

    def _go_dark(self) -> None:
        """Nothing comes before the safe state, neither a subscriber's failure nor a signal."""
        with held_back():
            try:
                self._state("stopping")
            finally:
                dark = LightOff(self._bench.safe_state(self._beat))
            self._bus.publish(dark)
            if self.doubtful is not None:
                self._bus.publish(self.doubtful)
            self._state("stopped")

    def _beat(self) -> None:
        if self._attendant is not None:
            self._attendant.beat()

    def _cause(self, error: GateError) -> LabctlError:
        """A gate tells that the light is wrong; an interlock may tell why, once the light is on."""
        if not self._lit:
            return error
        try:
            self._assembly.watch.check()
        except LabctlError as cause:
            return cause
        return error

    def _in_order(self) -> None:
        """Everything was checked just now: what was done up to here counts."""
        self._standings.passed(Standing(self.images, self._correct, self._assembly.verifier.state()))

    def _drop_doubtful(self, error: LabctlError, reason: str) -> None:
        """Images since the bench was last found in order, the unfinished one included, count no more."""
        sure = self._standings.last_sure(error, self.images, self._shots)
        if sure is None:
            return
        if sure.images < self.images:
            self.doubtful = ImagesDoubtful(sure.images, self.images - sure.images, reason)
        self.images, self._correct = sure.images, sure.correct
        self._assembly.verifier.forget_since(sure.verifier)
        self.accuracy = self._accuracy() if self.images else None

    def _rechecked(self, kind: str, images: int, correct: int) -> None:
        """What was done so far is not in doubt for what drifts of this kind."""
        self._standings.rechecked(kind, Standing(images, correct, self._assembly.verifier.state()))

    def _recheck(self, step: Recheck) -> None:
        assembly = self._assembly
        assert assembly.rechecks is not None
        if assembly.control is not None:
            assembly.control.set_draw_key(step.image, KINDS.index(step.kind), KEY)
        level = assembly.rechecks.level(self._plan)
        found = assembly.rechecks.perform(step.kind, step.image, level, self._started_s)
        for each in found:
            self._bus.publish(each)
        for each in found:
            if not each.passed:
                raise refuse(each, step.kind)
        self._in_order()
        self._rechecked(step.kind, self.images, self._correct)

    def _accuracy(self) -> Interval:
        low, high = clopper_pearson(self._correct, self.images, self._experiment.run.confidence)
        return Interval(self._correct / self.images, low, high)

    def _paused(self, paused: bool) -> None:
        self._rounds.ask_all()
        self._state("paused" if paused else "running")

    def _held(self, held_s: float) -> None:
        """The light stays on while a run is paused: interlocks are read as before images, and a pause has an end."""
        limit_s = self._experiment.run.pause_limit_s
        if limit_s is not None and held_s >= limit_s:
            raise RunAborted(
                f"aborted: paused for {limit_s:g} s, as long as the run allows (pause_limit_s)",
                "Go on at the next image with 'labctl run --resume RUN.h5'.",
            )
        if self._lit:
            self._rounds.before_image(self._now_s + held_s)

    def _state(self, state: str) -> None:
        self._bus.publish(StateChanged(state))

    def _prepare(self, step: Step) -> None:
        self._state("preparing")
        self._assembly.prepare()

    def _light_on(self, step: Step) -> None:
        if self._attendant is not None:
            self._attendant.ready()
        self._assembly.light_on()
        self._lit = True
        self._assembly.watch.check()
        self._started_s = self._now_s = self._bench.clock.now()
        experiment = self._experiment
        for kind in self._plan.kinds:
            self._rechecked(kind, 0, 0)
        self.started = description(experiment, self._bench, self._assembly, self._started_s, self._resumed)
        self._in_order()  # nothing done yet, that of an earlier part of the run included
        alarm = self._take_up()
        self._in_order()
        self._bus.publish(self.started)
        if alarm is not None:
            self._bus.publish(alarm)
        self._state("running")

    def _take_up(self) -> AlarmRaised | None:
        """Everything as it was after the last image that is done; the alarm, if there was one."""
        resumed, control = self._resumed, self._assembly.control
        if resumed is None or not resumed.images:
            return None
        alarm = resumed.replay(self._assembly.verifier, self._passed_before)
        self._alarm_image = None if alarm is None else alarm.image
        self.images, self._correct, self.accuracy = resumed.images, resumed.correct, resumed.accuracy
        if control is None:
            self._started_s = self._now_s - resumed.time_s
        else:
            resumed.relive(control, self._rounds, self._now_s)
            self._now_s = self._bench.clock.now()
        return alarm

    def _passed_before(self, images: int, correct: int) -> None:
        """So many images were done, and re-checks followed that passed."""
        assert self._resumed is not None
        if images < self._resumed.images:
            for step in self._plan.due(images):
                self._rechecked(step.kind, images, correct)

    def _begin(self, step: BeginImage) -> None:
        if self._rounds.before_image(self._now_s):
            self._in_order()
        self._shots = 0
        self._assembly.client.begin(self._experiment.dataset.images[step.image])

    def _layer(self, step: Layer) -> None:
        if self._before_shot is not None:
            self._before_shot(step.image, step.layer)
        assembly = self._assembly
        if assembly.control is not None:
            assembly.control.set_draw_key(step.image, step.layer)
        assembly.server.offer(step.image, step.layer)
        sums = ResidualSums()
        for _ in range(self._experiment.network.layers[step.layer].transmissions):
            assembly.client.make_ready()
            assembly.server.send()
            assembly.client.measure()
            sums += assembly.server.measure()
            self._shots += 1
        if assembly.curious is not None and step.layer == 0:
            self._bus.publish(self._referee.compare(step.image, assembly.curious.take_guess()))
        if self._control.take_look():
            self._bus.publish(self._heard(step))
        single, verdict = assembly.verifier.add(step.layer, sums)
        self._bus.publish(layer_measured(step.image, step.layer, sums, single))
        stop = verdict.alarm and self._experiment.run.on_alarm == "stop"
        if verdict.alarm and not self.alarmed:
            self._alarm_image = step.image
            self._bus.publish(AlarmRaised(step.image, verdict.excess, verdict.threshold))
        assembly.server.judge(not stop)
        if not assembly.client.may_continue():
            raise Alarm

    def _heard(self, step: Layer) -> ReceiverSamples:
        bench = self._experiment.bench
        residual = self._assembly.server.residual(LOOK_SAMPLES)
        return ReceiverSamples(
            step.image, step.layer, residual, bench.bin_rate, self._assembly.verifier.receiver.sigma0_sq
        )

    def _finish(self, step: FinishImage) -> None:
        assembly, dataset = self._assembly, self._experiment.dataset
        label, prediction = int(dataset.labels[step.image]), assembly.client.prediction()
        self._correct += label == prediction
        self.images += 1
        self.accuracy = self._accuracy()
        assembly.verifier.check_transmittance()
        pooled, layers = assembly.verifier.checks()
        verdict = assembly.verifier.verdict
        assert verdict is not None
        self._now_s = self._bench.clock.now()
        self._bus.publish(
            ImageFinished(
                image=step.image,
                index=step.image,
                label=label,
                prediction=prediction,
                scores=tuple(assembly.client.scores().tolist()),
                correct=self._correct,
                accuracy=self.accuracy,
                pooled=pooled,
                layers=layers,
                statistic=verdict.statistic,
                boundary=verdict.boundary,
                time_s=self._now_s - self._started_s,
                clock_s=self._now_s,
            )
        )
