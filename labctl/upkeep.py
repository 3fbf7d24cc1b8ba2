"""Looking after a bench: what answers, in which state it is, and how it gets dark."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from labctl import locks
from labctl.bench import make_instrument, open_bench, open_library
from labctl.config import BenchConfig, InstrumentEntry, load_bench
from labctl.errors import ConfigError, InstrumentBusy, LabctlError
from labctl.interfaces import InstrumentLibrary
from labctl.properties import limits_of
from labctl.safety import go_dark
from labctl.values import Identity, SafeState, Snapshot

Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchReport:
    """What ``labctl bench check`` found out about one instrument. ``limits``: what it can do, by property."""

    name: str
    driver: str
    resource: str
    identity: Identity | None = None
    state: Snapshot = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def check_bench(path: Path, exchange: Path | None = None) -> list[BenchReport]:
    """Open every instrument on its own, side by side on a real bench, and report what it says.

    ``exchange``: a new file for every byte that is said and heard meanwhile (:mod:`drivers.exchange`). None keeps the
    others from being looked at: one that fails, or that another program holds, has that as its problem.
    """
    config = load_bench(path)
    library = open_library(config, path, exchange)
    look = partial(_report, library=library, locked=not config.in_process)
    try:
        if config.in_process:  # one lab, one lock
            return [look(name, entry) for name, entry in config.instruments.items()]
        with ThreadPoolExecutor(max_workers=len(config.instruments)) as pool:
            return list(pool.map(look, config.instruments, config.instruments.values()))
    finally:
        library.close()


def _report(name: str, entry: InstrumentEntry, library: InstrumentLibrary, locked: bool) -> BenchReport:
    failed = partial(BenchReport, name, entry.driver, entry.resource)
    try:
        instrument = make_instrument(name, entry, library)
    except ConfigError as error:
        return failed(problems=(str(error),))
    with ExitStack() as stack:
        try:
            if locked:
                stack.callback(locks.take(name, entry.resource).release)
            stack.callback(instrument.close)
            instrument.open()
            return BenchReport(
                name,
                entry.driver,
                entry.resource,
                instrument.identity,
                instrument.snapshot(),
                limits_of(instrument),
                tuple(instrument.problems()),
            )
        except LabctlError as error:
            return failed(problems=(str(error),))


def snapshot_bench(path: Path) -> dict[str, Snapshot]:
    """Every setting and reading of every instrument, and who it is. Raises what :func:`open_bench` raises."""
    with open_bench(path) as bench:
        return bench.snapshots()


def safe_bench(path: Path, say: Say = lambda text: None) -> tuple[SafeState, ...]:
    """Put a bench into the safe state, as far as its instruments can be reached, whoever holds them.

    Programs that hold them are asked to stop, and ended when they do not within a second; ``say`` is told of each. An
    instrument of one that cannot be ended is spoken to all the same.
    """
    config = load_bench(path)
    _end_others(path, config, say)
    return darken(config, open_library(config, path))


def darken(config: BenchConfig, library: InstrumentLibrary, leave: Container[str] = ()) -> tuple[SafeState, ...]:
    """Safe state of all instruments that can be reached, over connections of their own; ``library`` is closed.

    Their locks are held meanwhile where they can be had. ``leave``: names of those that are left alone.
    """
    with ExitStack() as stack:
        stack.callback(library.close)
        entries = {name: entry for name, entry in config.instruments.items() if name not in leave}
        instruments = [make_instrument(name, entry, library) for name, entry in entries.items()]
        for instrument in instruments:
            stack.callback(instrument.close)
        for name, entry in entries.items():
            with suppress(InstrumentBusy):
                if not config.in_process:
                    stack.callback(locks.take(name, entry.resource).release)
        return go_dark(instruments, opened=False)


def _end_others(path: Path, config: BenchConfig, say: Say) -> None:
    if config.in_process:
        subject = str(path.resolve())
        for owner in locks.attending(subject):
            told = locks.end(owner, partial(_left, subject, owner))
            say(f"{told}; the simulated lab that it held was in it, and is no more")
        return
    for entry in config.instruments.values():
        holder = locks.holder(entry.resource)
        if holder is not None:
            say(locks.end(holder, partial(_free, entry.resource)))


def _left(subject: str, owner: locks.Owner) -> bool:
    return all(each.pid != owner.pid for each in locks.attending(subject))


def _free(resource: str) -> bool:
    return locks.holder(resource) is None
