"""Which instruments are connected: who answers at which VISA resource, and which driver knows it.

A driver is the only one who can tell its own instrument: it is opened, checks who answers, and is closed again. That
changes no light. Which drivers are tried at a resource, and at which ports of a host, stands in :data:`CATALOGUE`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pkgutil import resolve_name
from typing import Final

from drivers.visa import VisaLibrary
from labctl import extensions
from labctl.errors import ConfigError, InstrumentReply, InstrumentTimeout, LabctlError, WrongInstrument
from labctl.interfaces import Instrument
from labctl.values import FoundInstrument

_SOCKET: Final = r"TCPIP\d*::.*::{}::SOCKET"
_INSTR: Final = r"(TCPIP|USB|GPIB)\d*::.*::INSTR"
_SERIAL: Final = r"ASRL.*::INSTR"
#: Drivers, and the resources (regular expressions, the whole name, either case) at which they are tried. Those that ask
#: for a name that every SCPI instrument tells come first.
CATALOGUE: Final[Mapping[str, tuple[str, ...]]] = {
    "drivers.santec_tsl570:TSL570": (_SOCKET.format(5000), _INSTR),
    "drivers.keysight_m8190a:M8190A": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_33600a:Trueform": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_infiniivision:InfiniiVision": (_SOCKET.format(5025), _INSTR),
    "drivers.rohdeschwarz_rto6:RTO6": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_n7764a:N7764A": (_SOCKET.format(5025), _INSTR),
    "drivers.tektronix_awg5200:AWG5200": (_SOCKET.format(4000), _INSTR),
    "drivers.tektronix_mso:MSO": (_SOCKET.format(4000), _INSTR),
    "drivers.keysight_n7776c:N7776C": (_SOCKET.format(5025), _INSTR),
    "drivers.keysight_n7744a:N7744A": (_SOCKET.format(5025), _INSTR),
    "drivers.thorlabs_pm100d:PM100D": (_INSTR,),
    "drivers.idphotonics_cobrite:CoBrite": (_SOCKET.format(2000),),
    "drivers.amonics_aedfa:AEDFA": (_SERIAL,),
    "drivers.ozoptics_dd100mc:DD100MC": (_SERIAL,),
    "drivers.nkt_boostik:Boostik": (_SERIAL,),
    "drivers.generalphotonics_psy201:PSY201": (_INSTR,),
    "drivers.thorlabs_mbx:MBX": (_SERIAL,),
    "drivers.thorlabs_osw:OSW": (_SERIAL,),
}
#: Resources asked side by side.
_WORKERS: Final = 16


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


def recognised(library: str, resources: Iterable[str]) -> list[FoundInstrument]:
    """Who is there, resource by resource, asked side by side. Raises ConfigError for a library that does not exist."""
    opened = VisaLibrary(library)
    wanted = list(resources)
    try:
        workers = 1 if opened.simulated else min(_WORKERS, max(len(wanted), 1))
        with ThreadPoolExecutor(max_workers=workers) as pool:
            return list(pool.map(lambda resource: _ask(opened, resource), wanted))
    finally:
        opened.close()


def _ask(library: VisaLibrary, resource: str) -> FoundInstrument:
    problem = "no driver is known for such a resource"
    for name in _candidates(resource):
        try:
            instrument = _make(name, resource, library)
            instrument.open()
        except WrongInstrument as error:
            problem = error.message
            continue
        except (InstrumentTimeout, InstrumentReply) as error:  # it speaks otherwise, or not at all
            problem = error.message
            continue
        except LabctlError as error:
            return FoundInstrument(resource, problem=error.message)
        try:
            return FoundInstrument(resource, name, _kind(type(instrument)), instrument.identity)
        finally:
            instrument.close()
    return FoundInstrument(resource, problem=problem)


def _kind(driver: type[Instrument]) -> str:
    """Name of the abstract class that it implements."""
    return next(base.__name__ for base in driver.__mro__ if base.__module__ == Instrument.__module__)


def _candidates(resource: str) -> list[str]:
    named = [
        driver
        for driver, patterns in CATALOGUE.items()
        if any(re.fullmatch(pattern, resource, re.IGNORECASE) for pattern in patterns)
    ]
    return named + sorted(extensions.registered(extensions.DRIVERS))


def _make(name: str, resource: str, library: VisaLibrary) -> Instrument:
    driver = resolve_name(name) if name in CATALOGUE else extensions.load(name, extensions.DRIVERS)
    if not (isinstance(driver, type) and issubclass(driver, Instrument)):
        raise ConfigError(f"{name!r} is no driver of an instrument", "Name the driver's class.")
    make: Callable[..., Instrument] = driver
    return make(resource, resource, library, library.clock())
