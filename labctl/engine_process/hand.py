"""A bench held open for operation by hand: in a process of its own, dark again whenever nobody holds it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace

from labctl import properties
from labctl.bench import Bench, open_bench
from labctl.config import load_bench
from labctl.engine import RunControl
from labctl.engine_process.messages import (
    ConnectRequest,
    DisconnectRequest,
    HandReport,
    HandRequest,
    InstrumentReport,
    ReadPropertiesRequest,
    SetPropertyRequest,
)
from labctl.errors import ConfigError, LabctlError, ProtocolError, RunAborted, WatchdogError
from labctl.events import LightOff
from labctl.interfaces import Instrument, PowerMeter
from labctl.safety import unconfirmed
from labctl.shipped import bench_path
from labctl.switching import Switching
from labctl.watchdog import Watchdog


class Hand:
    """Holds one bench at a time, under the locks of its instruments and, where it is real, with a watchdog beside."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._bench: Bench | None = None
        self._switching: Switching | None = None
        self._watchdog: Watchdog | None = None

    @property
    def held(self) -> bool:
        """Whether a bench is connected."""
        return self._bench is not None

    def perform(self, request: HandRequest, control: RunControl) -> object:
        """Do it, and give the answer. Raises LabctlError."""
        if isinstance(request, DisconnectRequest):
            return self._disconnect()
        if control.reason is not None:
            raise RunAborted(f"not done: {control.reason}", "Connect again when the bench is in order.")
        if isinstance(request, ConnectRequest):
            return self._connect(request)
        if isinstance(request, SetPropertyRequest):
            return self._set(request)
        assert isinstance(request, ReadPropertiesRequest)
        bench = self._connected()
        return _report(bench, bench.instruments.values())

    def beat(self) -> None:
        """A sign of life for the watchdog; without one nothing stays lit."""
        if self._watchdog is not None and self._bench is not None:
            try:
                self._watchdog.beat()
            except WatchdogError:
                self._bench.safe_state()
                self._bench.engage()

    def close(self) -> None:
        """Dark, and let go, since nobody is there any more; safe to call twice.

        A watchdog is left alone where an emitter has not confirmed: with this process gone it goes on trying.
        """
        if self._bench is not None:
            self._let_go(dismiss=unconfirmed(self._bench.safe_state(self.beat)) is None)

    def _connected(self) -> Bench:
        if self._bench is None:
            raise ProtocolError("no bench is connected", "Press Connect.")
        return self._bench

    def _connect(self, request: ConnectRequest) -> HandReport:
        if self._bench is not None:
            raise ProtocolError(f"bench {self._bench.config.name} is connected already", "Press Disconnect first.")
        path = bench_path(request.bench)
        config = load_bench(path)
        watchdog = None if config.in_process else Watchdog(path, config)  # there the light would end with this process
        try:
            with ExitStack() as stack:
                bench = stack.enter_context(open_bench(path, config))
                bench.engage()
                switching = Switching(bench, self._ready)
                report = _report(bench, bench.instruments.values())
                self._stack = stack.pop_all()
        except BaseException:
            if watchdog is not None:
                watchdog.dismiss()
            raise
        self._bench, self._switching, self._watchdog = bench, switching, watchdog
        return report

    def _ready(self) -> None:
        """Light needs somebody who would switch it off."""
        if self._watchdog is not None:
            self._watchdog.ready()
            self._watchdog.beat()

    def _disconnect(self) -> LightOff:
        """Dark, read back, then let go."""
        states = () if self._bench is None else self._bench.safe_state(self.beat)
        self._let_go(dismiss=True)
        return LightOff(states)

    def _let_go(self, *, dismiss: bool) -> None:
        watchdog = self._watchdog
        self._bench, self._switching, self._watchdog = None, None, None
        with suppress(LabctlError):
            self._stack.close()
        if watchdog is not None and dismiss:
            watchdog.dismiss()

    def _set(self, request: SetPropertyRequest) -> HandReport:
        bench = self._connected()
        assert self._switching is not None
        instrument = bench.instruments.get(request.instrument)
        if instrument is None:
            raise ConfigError(f"there is no instrument {request.instrument!r}", f"Choose of {list(bench.instruments)}.")
        touched = self._switching.set(instrument, request.name, request.channel, request.value)
        meters = [each for each in bench.instruments.values() if isinstance(each, PowerMeter)]
        report = _report(bench, dict.fromkeys([*touched, instrument, *meters]))
        return replace(report, switched_off=tuple(each.name for each in touched))


def _report(bench: Bench, instruments: Iterable[Instrument]) -> HandReport:
    return HandReport(bench.config.model_dump(mode="json"), tuple(_asked(each) for each in instruments))


def _asked(instrument: Instrument) -> InstrumentReport:
    """One that does not answer has that as its problem, and keeps none of the others from being asked."""
    identity = str(instrument.identity)
    try:
        states = properties.states_of(instrument)
        return InstrumentReport(instrument.name, identity, states, "; ".join(instrument.problems()))
    except LabctlError as error:
        return InstrumentReport(instrument.name, identity, (), str(error), error.remedy)
