"""Which instruments are connected: who answers at which VISA resource, and which driver knows it.

A driver is the only one who can tell its own instrument: it is opened, checks who answers, and is closed again. That
changes no light. First it only hears what the resource answered to its first question (:mod:`drivers.listening`), so
that no question is put twice. Where each driver belongs, and at which ports of a host, stands in :data:`CATALOGUE`:
resources that nobody named are asked by these drivers only. One that the user names, behind a tunnel or another port,
is tried with every driver that speaks over such a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from drivers.listening import Ear, WantsMore
from drivers.visa import VisaLibrary
from labctl import extensions
from labctl.errors import ConfigError, LabctlError
from labctl.interfaces import Instrument
from labctl.values import FoundInstrument, Presence

_SOCKET: Final = r"TCPIP\d*::.*::{}::SOCKET"
_INSTR: Final = r"(TCPIP|USB|GPIB)\d*::.*::INSTR"
_SERIAL: Final = r"ASRL.*::INSTR"
_ANY_PORT: Final = _SOCKET.format(r"\d+")
#: Drivers, and the resources (regular expressions, the whole name, either case) at which they are tried: those that
#: docs/reference/instruments.md lists. Those whose first question is ``*IDN?`` come first, most usual terminators
#: before others; whoever tells a name is asked nothing else.
CATALOGUE: Final[Mapping[str, tuple[str, ...]]] = {
    "drivers.keysight_m8190a:M8190A": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_33600a:Trueform": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_infiniivision:InfiniiVision": (_SOCKET.format(5025), _INSTR),
    "drivers.rohdeschwarz_rto6:RTO6": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_n7764a:N7764A": (_SOCKET.format(5025), _INSTR),
    "drivers.tektronix_awg5200:AWG5200": (_SOCKET.format(4000), _INSTR),
    "drivers.tektronix_mso:MSO": (_SOCKET.format(4000), _INSTR),
    "drivers.keysight_n7776c:N7776C": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_n7744a:N7744A": (_SOCKET.format(5025), _INSTR),
    "drivers.thorlabs_pm100d:PM100D": (_ANY_PORT, _INSTR),
    "drivers.santec_tsl570:TSL570": (_SOCKET.format(5000), _INSTR),
    "drivers.generalphotonics_psy201:PSY201": (_ANY_PORT, _SERIAL, _INSTR),
    "drivers.thorlabs_mbx:MBX": (_SERIAL,),
    "drivers.idphotonics_cobrite:CoBrite": (_SOCKET.format(2000), _SERIAL),
    "drivers.amonics_aedfa:AEDFA": (_SERIAL,),
    "drivers.nkt_boostik:Boostik": (_SERIAL,),
    "drivers.thorlabs_osw:OSW": (_SERIAL,),
    "drivers.ozoptics_dd100mc:DD100MC": (_SERIAL,),
}
#: Resources asked side by side.
_WORKERS: Final = 16
#: A driver and its options, as a bench file has them.
Entry = tuple[str, Mapping[str, object]]


def visible(library: str) -> list[str]:
    """Resources that the VISA library lists. Sockets are not among them, unless the library knows them."""
    opened = VisaLibrary(library)
    try:
        return opened.resources()
    finally:
        opened.close()


def on_host(host: str) -> list[str]:
    """The sockets of a host at which instruments of the catalogue listen."""
    patterns = [pattern for patterns in CATALOGUE.values() for pattern in patterns]
    ports = sorted({int(found[1]) for each in patterns if (found := re.search(r"::(\d+)::SOCKET", each))})
    return [f"TCPIP0::{host}::{port}::SOCKET" for port in ports]


def recognised(
    library: str, resources: Iterable[str], named: Collection[str] = (), entries: Mapping[str, Entry] | None = None
) -> list[FoundInstrument]:
    """Who is there, resource by resource, asked side by side.

    ``named``: those that the user named. ``entries``: drivers that are expected at resources, and tried there first.
    Raises ConfigError for a library that does not exist.
    """
    opened = VisaLibrary(library)
    wanted = list(resources)

    def ask(resource: str) -> FoundInstrument:
        return _ask(opened, resource, resource in named, (entries or {}).get(resource))

    try:
        workers = 1 if opened.simulated else min(_WORKERS, max(len(wanted), 1))
        with ThreadPoolExecutor(max_workers=workers) as pool:
            return list(pool.map(ask, wanted))
    finally:
        opened.close()


def _ask(library: VisaLibrary, resource: str, named: bool, entry: Entry | None) -> FoundInstrument:
    names = _candidates(resource, named)
    drivers: list[Entry] = [*([] if entry is None else [entry]), *((name, {}) for name in names)]
    if not drivers:
        return FoundInstrument(resource, Presence.NOT_ASKED, problem="no driver is known for such a resource")
    ear = Ear(library, resource)
    for name, options in drivers:
        if ear.lost is None and _may_know(name, options, ear):
            found = _opened(name, options, library, resource)
            if found is not None:
                return found
    return _nobody(ear, len({name for name, _ in drivers}))


def _may_know(name: str, options: Mapping[str, object], ear: Ear) -> bool:
    """Whether this driver does not turn down what the resource answers to its first question."""
    try:
        _make(name, options, ear.resource, ear).open()
    except WantsMore:
        return True
    except ConfigError as error:
        ear.complaints.append(error.message)
        return False
    except LabctlError:
        return False
    return True


def _opened(name: str, options: Mapping[str, object], library: VisaLibrary, resource: str) -> FoundInstrument | None:
    """What this driver finds; None where it is not its instrument. One that it knows and cannot use has a problem."""
    instrument, problem = _make(name, options, resource, library), ""
    try:
        instrument.open()
    except LabctlError as error:
        problem = f"{error.message}. {error.remedy}"
    try:
        identity = instrument.identity
    except LabctlError:
        return None
    finally:
        instrument.close()
    return FoundInstrument(resource, Presence.RECOGNISED, name, _kind(type(instrument)), identity, problem)


def _nobody(ear: Ear, drivers: int) -> FoundInstrument:
    """Why none of so many drivers knows who is there."""
    if ear.answers:
        problem = "; ".join([ear.answers[-1], *ear.complaints, f"none of {drivers} drivers knows it"])
        return FoundInstrument(ear.resource, Presence.UNKNOWN, problem=problem)
    if ear.lost is not None:
        return FoundInstrument(ear.resource, Presence.LOST, problem=ear.lost.message)
    problem = f"no answer to any of {drivers} drivers"
    if ear.left_out:
        problem += f"; questions left out as the time was up: {ear.left_out}"
    return FoundInstrument(ear.resource, Presence.SILENT, problem="; ".join([problem, *ear.complaints]))


def _kind(driver: type[Instrument]) -> str:
    """Name of the abstract class that it implements."""
    return next(base.__name__ for base in driver.__mro__ if base.__module__ == Instrument.__module__)


def _candidates(resource: str, named: bool) -> list[str]:
    """Drivers to try, in order: those for its very port before those for any."""
    fitting = {
        driver: [pattern for pattern in patterns if re.fullmatch(pattern, resource, re.IGNORECASE)]
        for driver, patterns in CATALOGUE.items()
    }
    found = [driver for driver, patterns in fitting.items() if patterns and patterns != [_ANY_PORT]]
    found += [driver for driver, patterns in fitting.items() if patterns == [_ANY_PORT]]
    if named:
        line = _line(resource)
        lines = ("SOCKET", "ASRL") if line == "SOCKET" else (line,)  # a socket may lead to a serial line
        found += [driver for each in lines for driver, patterns in CATALOGUE.items() if each in map(_line, patterns)]
    return list(dict.fromkeys([*found, *sorted(extensions.registered(extensions.DRIVERS))]))


def _line(resource: str) -> str:
    """How bytes travel there: SOCKET, ASRL, or messages with an end. The same of a pattern in the catalogue."""
    text = resource.upper()
    return "ASRL" if text.startswith("ASRL") else "SOCKET" if text.endswith("::SOCKET") else "INSTR"


def _make(name: str, options: Mapping[str, object], resource: str, library: VisaLibrary | Ear) -> Instrument:
    driver = extensions.load(name, extensions.DRIVERS)
    if not (isinstance(driver, type) and issubclass(driver, Instrument)):
        raise ConfigError(f"{name!r} is no driver of an instrument", "Name the driver's class.")
    make: Callable[..., Instrument] = driver
    try:
        return make(resource, resource, library, library.clock(), **options)
    except TypeError as error:  # options of a bench file, which nobody has checked
        raise ConfigError(f"{name}: {error}", "See the driver's documentation for its options.") from error
