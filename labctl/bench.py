"""A bench: opens what bench.toml names, knows who plays which part, and brings everything into the safe state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from typing import TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from labctl import extensions, locks
from labctl.clock import Clock
from labctl.config import BenchConfig, InstrumentEntry, load_bench
from labctl.errors import ConfigError, InstrumentError, LabctlError
from labctl.interfaces import (
    Amplifier,
    Attenuator,
    BiasController,
    Digitizer,
    Instrument,
    InstrumentLibrary,
    Laser,
    PowerMeter,
    SimulationControl,
    WaveformGenerator,
)
from labctl.locks import Held
from labctl.safety import go_dark, unconfirmed
from labctl.signals import held_back
from labctl.values import SafeState, Snapshot

#: The driver library of all VISA instruments, found by name: labctl itself imports no pyvisa.
VISA_LIBRARY = "drivers.visa:VisaLibrary"

Kind = TypeVar("Kind", bound=Instrument)


class Bench:
    """The opened instruments of one bench file, by the names they have there."""

    def __init__(
        self, path: Path, config: BenchConfig, library: InstrumentLibrary, instruments: Mapping[str, Instrument]
    ) -> None:
        self.subject = str(path.resolve())
        self.config = config
        self.instruments = instruments
        self._library = library
        self._held: list[Held] = []
        self._engaged = False

    def hold(self) -> None:
        """Keep other programs of this computer out; where the bench is simulated in here, only say that it is.

        Raises InstrumentBusy for an instrument that another program holds.
        """
        if self.config.in_process:
            self._held.append(locks.attend(self.subject))
            return
        for name, entry in self.config.instruments.items():
            self._held.append(locks.take(name, entry.resource))

    @property
    def simulated(self) -> bool:
        """Whether nothing real is behind these drivers."""
        return self._library.simulated

    @property
    def clock(self) -> Clock:
        """The bench's time."""
        return self._library.clock()

    def control(self) -> SimulationControl | None:
        """The simulated lab's control instrument; None on a real bench."""
        return self._library.control()

    def part(self, name: str, kind: type[Kind]) -> Kind:
        """The instrument called ``name``, which must be of this kind. Raises ConfigError."""
        instrument = self.instruments[name]
        if not isinstance(instrument, kind):
            raise ConfigError(
                f"instrument {name!r} ({type(instrument).__name__}) cannot play the part of {kind.__name__}",
                "Mend the parts in bench.toml.",
            )
        return instrument

    def check_parts(self) -> None:
        """Every part is played by an instrument of its kind. Raises ConfigError."""
        config, loop = self.config, self.config.unitary
        senders = (config.modulator.in_phase, config.modulator.quadrature)
        drives = (
            *senders,
            loop.forward_coupler,
            loop.forward_phase,
            loop.return_coupler,
            loop.return_phase,
            config.tap,
        )
        parts: list[tuple[str, type[Instrument]]] = [
            (config.laser.instrument, Laser),
            (config.amplifier.instrument, Amplifier),
            (config.client_receiver.digitizer, Digitizer),
            (config.server_receiver.digitizer, Digitizer),
            *((drive.instrument, WaveformGenerator) for drive in drives),
            *((each.instrument, Attenuator) for each in config.modulator.attenuators),
            *((name, BiasController) for name in config.modulator.bias),
        ]
        if config.monitor is not None:
            parts.append((config.monitor.instrument, PowerMeter))
        for name, kind in parts:
            self.part(name, kind)

    def engage(self) -> None:
        """From now on there may be light: the bench is not closed before the safe state."""
        self._engaged = True

    def safe_state(self, beat: Callable[[], None] = lambda: None) -> tuple[SafeState, ...]:
        """Everything dark in order, each read back (:func:`labctl.safety.go_dark`); ``beat`` is called meanwhile."""
        states = go_dark(self.instruments.values(), opened=True, beat=beat)
        self._engaged = False
        return states

    def snapshots(self) -> dict[str, Snapshot]:
        """All settings and readings, and who each instrument is."""
        found: dict[str, Snapshot] = {}
        for name, instrument in self.instruments.items():
            identity = instrument.identity
            who = {
                "vendor": identity.vendor,
                "model": identity.model,
                "serial": identity.serial,
                "firmware": identity.firmware,
            }
            found[name] = {**who, **instrument.snapshot()}
        return found

    def close(self) -> None:
        """Release all connections, last opened first; before that the safe state, if :meth:`engage` still waits for it.

        Raises UnsafeState when it was not confirmed then.
        """
        failure = unconfirmed(self.safe_state()) if self._engaged else None
        for instrument in reversed(list(self.instruments.values())):
            instrument.close()
        self._library.close()
        for held in self._held:
            held.release()
        if failure is not None:
            raise failure


def open_library(config: BenchConfig, path: Path, exchange: Path | None = None) -> InstrumentLibrary:
    """The VISA library of a bench file; all that goes through it is written to ``exchange``. Raises ConfigError."""
    make: Callable[..., InstrumentLibrary] = resolve_name(VISA_LIBRARY)
    name = f"{path.resolve()}@labctl" if config.in_process else config.visa_library
    more: dict[str, object] = {} if config.simulated_control is None else {"control": config.simulated_control}
    return make(name, **more) if exchange is None else make(name, exchange=exchange, **more)


def make_instrument(name: str, entry: InstrumentEntry, library: InstrumentLibrary) -> Instrument:
    """The driver of one entry, not opened. Raises ConfigError."""
    try:
        driver = extensions.load(entry.driver, extensions.DRIVERS)
    except ConfigError as error:
        raise ConfigError(
            f"instruments.{name}: there is no driver {entry.driver!r}: {error}",
            f"Mend 'driver' in bench.toml, e.g. \"drivers.santec_tsl570:TSL570\". {error.remedy}",
        ) from None
    if not (isinstance(driver, type) and issubclass(driver, Instrument)):
        raise ConfigError(
            f"instruments.{name}: {entry.driver!r} is no driver of an instrument", "Name the driver's class."
        )
    make: Callable[..., Instrument] = driver
    arguments = (name, entry.resource, library, library.clock())
    try:
        signature(make).bind(*arguments, **entry.options)
    except TypeError as error:
        raise ConfigError(
            f"instruments.{name}.options: {error}", "See the driver's documentation for its options."
        ) from None
    _check_options(f"instruments.{name}.options", driver, entry.options)
    return make(*arguments, **entry.options)


def _check_options(where: str, driver: type[Instrument], options: Mapping[str, object]) -> None:
    """Options have the types that the driver's constructor names. Raises ConfigError."""
    hints = get_type_hints(driver.__init__)
    for key, value in options.items():
        try:
            TypeAdapter(hints.get(key, object)).validate_python(value, strict=True)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise ConfigError(
                f"{where}.{key}: {reason} (it is {value!r})", "See the driver's documentation for its options."
            ) from None


def _attempt(action: Callable[[], None], name: str) -> LabctlError | None:
    try:
        action()
    except LabctlError as error:
        return error
    return None


@contextmanager
def open_bench(path: Path, config: BenchConfig | None = None, exchange: Path | None = None) -> Iterator[Bench]:
    """All instruments of a bench file, opened side by side on a real bench; closed again at the end.

    ``exchange``: a new file for all that goes over their lines. Raises ConfigError for a wrong file; InstrumentError
    that names every instrument that failed to open.
    """
    config = config or load_bench(path)
    library = open_library(config, path, exchange)
    try:
        instruments = {name: make_instrument(name, entry, library) for name, entry in config.instruments.items()}
        bench = Bench(path, config, library, instruments)
        bench.check_parts()
    except BaseException:
        library.close()
        raise
    try:
        bench.hold()
        with held_back():
            failures = _open_all(bench)
        if failures:
            raise _joined(failures)
        yield bench
    finally:
        bench.close()


def _open_all(bench: Bench) -> dict[str, LabctlError]:
    """Open every instrument, side by side on a real bench; what failed, by name."""
    workers = 1 if bench.simulated else len(bench.instruments)
    with ThreadPoolExecutor(max_workers=workers) as pool:
        results = {name: pool.submit(_attempt, instrument.open, name) for name, instrument in bench.instruments.items()}
    return {name: error for name, result in results.items() if (error := result.result()) is not None}


def _joined(failures: Mapping[str, LabctlError]) -> LabctlError:
    if len(failures) == 1:
        return next(iter(failures.values()))
    text = "; ".join(str(error) for error in failures.values())
    return InstrumentError(
        ", ".join(failures), f"could not be opened: {text}", "Check power and cables of each, then try again."
    )
