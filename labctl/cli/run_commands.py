"""``labctl demo`` and ``labctl run``."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labctl.cli import exits
from labctl.cli.report import print_json, say, say_error
from labctl.cli.signals import stopping_in_order
from labctl.errors import ConfigError

if TYPE_CHECKING:
    from labctl.events import EventBus
    from labctl.experiment import Experiment, Forecast
    from labctl.logs import Notes
    from labctl.profiling import Profile
    from labctl.resume import Resumption
    from labctl.session import Outcome

#: Where run files go by default, in the working directory.
RUNS = Path("runs")

Images = Annotated[int | None, typer.Option(min=1, help="How many images of the test set to infer.")]
Seed = Annotated[
    int | None, typer.Option(min=0, max=2**63 - 1, help="All randomness of a simulated run follows from it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")]


@dataclass(frozen=True)
class Choice:
    """What was asked for on the command line; None: as the run file says."""

    run: str
    bench: str | None = None
    data: Path | None = None
    images: int | None = None
    seed: int | None = None
    out: Path = RUNS
    anywhere: bool = False
    log_level: str = "info"
    exchange: Path | None = None
    profile: bool = False


def demo(images: Images = None, seed: Seed = None, json: Json = False) -> int:
    """Infer the handwritten digits that travel with labctl, on the simulated bench."""
    return execute(Choice("digits", images=images, seed=seed), json=json)


def run(  # noqa: PLR0913 - typer reads the options from the signature
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="RUN.toml, or a shipped run: digits, mnist.")
    ] = None,
    bench: Annotated[str | None, typer.Option(help="BENCH.toml, or a shipped bench: ideal, telecom, waveform.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    images: Images = None,
    seed: Seed = None,
    out: Annotated[Path, typer.Option(help="Folder for the run file.")] = RUNS,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN.h5", help="Go on with the run of this file, which says all that there is to say."),
    ] = None,
    anywhere: Annotated[
        bool, typer.Option("--anywhere", help="The run file may name files outside its own folder.")
    ] = False,
    log_level: Annotated[
        str, typer.Option(help="Of the log beside the run file: debug, info, warning, error.")
    ] = "info",
    exchange: Annotated[
        Path | None, typer.Option(help="A new file for all that instruments are told and answer.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Tell in the end which modules the time of an image went to.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and tell what the run will take; open no instrument.")
    ] = False,
    json: Json = False,
) -> int:
    """Execute a run: infer images layer by layer, check the returned light, write the run file."""
    if resume is not None:
        _refuse_beside_resume(run, bench, data, images, seed, None if out == RUNS else out, anywhere or None)
        return take_up(resume, _notes(log_level, exchange), profile=profile, dry_run=dry_run, json=json)
    if run is None:
        raise ConfigError("neither RUN nor --resume is given", "Name a run: labctl run digits.")
    choice = Choice(run, bench, data, images, seed, out, anywhere, log_level, exchange, profile)
    return forecast(choice, json=json) if dry_run else execute(choice, json=json)


def _refuse_beside_resume(*given: object) -> None:
    if any(each is not None for each in given):
        raise ConfigError(
            "--resume goes with --log-level, --exchange, --profile, --dry-run and --json alone: the file says which"
            " run it is, and nothing can be changed",
            "Leave out RUN and the other options.",
        )


def take_up(file: Path, notes: Notes, *, profile: bool, dry_run: bool, json: bool) -> int:
    """A run that goes on where its file ends."""
    from labctl.resume import load_resumption

    experiment, resumed = load_resumption(file.absolute())
    say(f"{resumed.images} of {experiment.images} images are done")
    if dry_run:
        return tell(experiment, resumed, json=json)
    return carry_out(experiment, file.parent, notes, resumed, profile=profile, json=json)


def forecast(choice: Choice, *, json: bool) -> int:
    """Tell what a run will take."""
    return tell(_load(choice), None, json=json)


def tell(experiment: Experiment, resumed: Resumption | None, *, json: bool) -> int:
    """What a whole run takes, and whether its ledgers allow what remains of it."""
    from labctl.events import EventBus
    from labctl.ledger.run import RunLedgers

    RunLedgers(experiment, EventBus(), resumed=resumed).check()
    found: Forecast = experiment.forecast()
    if json:
        print_json(asdict(found))
    else:
        for line in found.lines():
            print(line)
    return exits.ACCEPTED


def execute(choice: Choice, *, json: bool) -> int:
    """The run itself: progress on standard error, the result on standard output. Returns the exit status."""
    notes = _notes(choice.log_level, choice.exchange)
    return carry_out(_load(choice), choice.out.absolute(), notes, None, profile=choice.profile, json=json)


def carry_out(
    experiment: Experiment, out: Path, notes: Notes, resumed: Resumption | None, *, profile: bool, json: bool
) -> int:
    """With everything loaded and checked."""
    from labctl.cli.progress import RunProgress
    from labctl.clock import SystemClock
    from labctl.engine import RunControl
    from labctl.events import EventBus
    from labctl.session import run_experiment

    bus, control = EventBus(), RunControl()
    with stopping_in_order(control.abort) as request, RunProgress(SystemClock()) as progress, ExitStack() as stack:
        progress.attach(bus)
        costs = stack.enter_context(_profiled(bus)) if profile else None
        outcome = run_experiment(experiment, bus, control, out, notes=notes, resumed=resumed)
    report(outcome, costs, json=json)
    return exit_status(outcome, request.number)


def _profiled(bus: EventBus) -> AbstractContextManager[Profile]:
    from labctl.profiling import profiled

    return profiled(bus)


def _load(choice: Choice) -> Experiment:
    from labctl.experiment import load_experiment

    return load_experiment(
        choice.run,
        bench=choice.bench,
        data=choice.data,
        images=choice.images,
        seed=choice.seed,
        anywhere=choice.anywhere,
    )


def _notes(log_level: str, exchange: Path | None) -> Notes:
    from labctl.logs import LEVELS, Notes

    level = next((each for each in LEVELS if each == log_level), None)
    if level is None:
        raise ConfigError(f"--log-level {log_level!r} is no level", f"Give one of: {', '.join(LEVELS)}.")
    return Notes(level, exchange)


def report(outcome: Outcome, costs: Profile | None, *, json: bool) -> None:
    """Result, or what went wrong, or, for a run that was aborted in order, both."""
    from labctl.cli.result import show_profile, show_result
    from labctl.summary import failure, summary

    error, started, finished = outcome.error, outcome.started, outcome.finished
    shown = started is not None and finished.status != "failed"
    if json:
        values = {} if error is None else failure(error, outcome.run_file)
        if started is not None and shown:
            values |= summary(finished, started, outcome.run_file)
        if costs is not None:
            values["profile"] = costs.as_json()
        print_json(values)
    elif started is not None and shown:
        show_result(started, finished, outcome.run_file)
    if costs is not None and not json:
        show_profile(costs)
    if error is not None:
        say_error(error)
        if finished.doubtful:
            say(f"images in doubt: {finished.doubtful}, from image {finished.images + 1} on; they count in no result")
        if not shown and outcome.run_file is not None:
            say(f"what was recorded: {outcome.run_file}")


def exit_status(outcome: Outcome, signal_number: int | None) -> int:
    """By the light if it may still be on, by the error, by the signal if that ended the run, or by the verdict."""
    from labctl.errors import RunAborted

    if outcome.lit:
        return exits.UNSAFE
    if isinstance(outcome.error, RunAborted) and signal_number is not None:
        return exits.SIGNALLED + signal_number
    if outcome.error is not None:
        return exits.status_of(outcome.error)
    return exits.ACCEPTED if outcome.verdict == "accepted" else exits.ALARM
