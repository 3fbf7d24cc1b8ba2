"""General Photonics (now Luna) PSY-201 polarisation synthesizer and analyser.

After the "PSY-201 User Guide" (GP-UM-PSY-201-11) as far as it is public, and public drivers. USB, GPIB, RS-232 or
Ethernet (the resource string decides); CR LF both ways. Wavelengths in nm, states as normalised Stokes parameters. A
command has no reply: ``*OPC?`` is asked until it answers 1, then what was set is read back (the state as the built-in
analyser measures it, within ``tolerance``). To be checked on a unit: what ``*IDN?`` says (the model is looked for in
it), whether there is an error queue (none is read), whether ``:CONTrol:SCRamble:...:STATe?`` is answered (without,
scrambling is switched off blindly), how fine the wavelength is, the baud rate (9600 here), and the port on a network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from drivers.connection import LineSettings
from drivers.link import told_identity
from drivers.scpi import parse_finite, parse_switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import (
    ConfigError,
    InstrumentRefused,
    InstrumentReply,
    InstrumentTimeout,
    LimitError,
    WrongInstrument,
)
from labctl.interfaces import PolarisationController
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

NAME = "*IDN?"
DONE = "*OPC?"
WAVELENGTH_NM = ":CONF:WLEN"
STATE = ":CONT:SOP"
MEASURED_STATE = ":MEAS:SOP?"
MEASURED_DOP = ":MEAS:DOP?"
SCRAMBLING = ":CONT:SCR:{}:STAT"
SCRAMBLERS: Final = ("DISC", "TRI", "TORN")
POLL_S: Final = 0.05
#: What s1^2 + s2^2 + s3^2 may be off 1.
NORM_TOLERANCE: Final = 0.01
#: A unit may know whole nanometres only.
WAVELENGTH_STEP_NM: Final = 1.0


class PSY201(PolarisationController):
    """``tolerance``: what a measured Stokes parameter may be off; None: the state that comes out is not judged (without
    light nothing can be measured). ``settle_timeout_s``: for a state to be found, by the bench's clock.
    """

    wavelength_range_m = Range(1480e-9, 1620e-9, "m")

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        tolerance: float | None = 0.1,
        settle_timeout_s: float = 10.0,
    ) -> None:
        super().__init__(name)
        if settle_timeout_s <= 0 or (tolerance is not None and tolerance <= 0):
            raise ConfigError(
                f"{name}: tolerance = {tolerance}, settle_timeout_s = {settle_timeout_s:g}", "Both must be positive."
            )
        line = LineSettings(write_terminator=b"\r\n", timeout_s=2.0, baud_rate=9600)
        self._line = library.connect(name, resource, line)
        self._clock = clock
        self._tolerance = tolerance
        self._settle_timeout_s = settle_timeout_s
        self._tells_scrambling: bool | None = None
        self._identity: Identity | None = None

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and check who answers."""
        self._line.open()
        try:
            reply = self._line.identify(NAME)
            if "PSY-201" not in reply.upper():
                raise WrongInstrument(
                    self.name,
                    f"{reply[:80]!r} answers at {self._line.resource}, which is no PSY-201",
                    "Correct the resource or the driver of this instrument in the bench file.",
                    command=NAME,
                )
        except BaseException:
            self._line.close()
            raise
        fields = [field.strip() for field in reply.split(",")]
        self._identity = Identity(*fields) if len(fields) == 4 else Identity("General Photonics", reply.strip(), "")

    def close(self) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        return told_identity(self.name, self._identity)

    # ---- polarisation -------------------------------------------------------------------------

    def set_wavelength(self, wavelength_m: float) -> None:
        if wavelength_m not in self.wavelength_range_m:
            raise LimitError(
                self.name,
                f"{wavelength_m:g} m is outside {self.wavelength_range_m}",
                "Use a controller for the laser's wavelength.",
            )
        wanted_nm = wavelength_m * 1e9
        self._tell(WAVELENGTH_NM, f"{wanted_nm:.2f}")
        got_nm = self._number(WAVELENGTH_NM + "?")
        if abs(got_nm - wanted_nm) > WAVELENGTH_STEP_NM:
            raise self._disobeyed(WAVELENGTH_NM, f"{wanted_nm:.2f} nm", f"{got_nm:g} nm")

    def set_stokes(self, s1: float, s2: float, s3: float) -> None:
        """Ends scrambling. Raises InstrumentRefused when the state that comes out is another one."""
        norm = math.hypot(s1, s2, s3)
        if not abs(norm**2 - 1) <= NORM_TOLERANCE:
            raise LimitError(
                self.name,
                f"({s1:g}, {s2:g}, {s3:g}) is no state of fully polarised light: s1^2 + s2^2 + s3^2 must be 1",
                "Divide by the root of that sum.",
            )
        wanted = tuple(value / norm for value in (s1, s2, s3))
        self._stop_scrambling()
        self._tell(STATE, ",".join(f"{value:.3f}" for value in wanted))
        if self._tolerance is None:
            return
        got = self.stokes()
        if max(abs(a - b) for a, b in zip(got, wanted, strict=True)) > self._tolerance:
            raise self._disobeyed(STATE, _shown(wanted), _shown(got))

    def stokes(self) -> tuple[float, float, float]:
        reply = self._line.query(MEASURED_STATE)
        try:
            s1, s2, s3 = (parse_finite(part) for part in reply.split(","))
        except ValueError as error:
            raise InstrumentReply(self.name, f"{reply[:80]!r}: {error}", command=MEASURED_STATE) from error
        return s1, s2, s3

    def degree_of_polarisation(self) -> float:
        dop = self._number(MEASURED_DOP)
        if not 0 <= dop <= 1 + NORM_TOLERANCE:
            raise InstrumentReply(self.name, f"a degree of polarisation of {dop:g}", command=MEASURED_DOP)
        return min(dop, 1.0)

    def _scrambling(self, scrambler: str) -> bool | None:
        """None: the unit does not tell."""
        if self._tells_scrambling is False:
            return None
        query = SCRAMBLING.format(scrambler) + "?"
        try:
            reply = self._line.query(query)
        except InstrumentTimeout:
            if self._tells_scrambling:  # it did answer before: that is no missing query
                raise
            self._tells_scrambling = False
            return None
        self._tells_scrambling = True
        try:
            return parse_switch(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=query) from error

    def _stop_scrambling(self) -> None:
        """Those that scramble, or may do so for all that is known."""
        for scrambler in SCRAMBLERS:
            if self._scrambling(scrambler) is not False:
                self._tell(SCRAMBLING.format(scrambler), "0")
                if self._scrambling(scrambler):
                    raise self._disobeyed(SCRAMBLING.format(scrambler), "0", "1")

    # ---- reports ------------------------------------------------------------------------------

    def safe_state(self) -> SafeState:
        """Scrambling off."""
        self._stop_scrambling()
        return SafeState(self.name, True, {f"scrambling_{each}": bool(self._scrambling(each)) for each in SCRAMBLERS})

    def snapshot(self) -> Snapshot:
        measured = self.stokes()
        readings: dict[str, Scalar] = {"wavelength_m": self._number(WAVELENGTH_NM + "?") * 1e-9}
        readings.update({f"stokes_{n}": value for n, value in enumerate(measured, start=1)})
        readings["degree_of_polarisation"] = self.degree_of_polarisation()
        for scrambler in SCRAMBLERS:
            scrambling = self._scrambling(scrambler)
            if scrambling is not None:
                readings[f"scrambling_{scrambler}"] = scrambling
        return readings

    def problems(self) -> Sequence[str]:
        """It tells none but that it is still looking for a state."""
        return [] if self._done() else ["it has not found the state of polarisation that it was told"]

    # ---- line ---------------------------------------------------------------------------------

    def _tell(self, header: str, value: str) -> None:
        """Send a command and wait until it is done."""
        command = f"{header} {value}"
        self._line.write(command)
        end = self._clock.now() + self._settle_timeout_s
        while not self._done():
            if self._clock.now() >= end:
                raise InstrumentTimeout(
                    self.name,
                    f"is not done after {self._settle_timeout_s:g} s",
                    "See that light of enough power goes in.",
                    command=command,
                )
            self._clock.wait(POLL_S)

    def _done(self) -> bool:
        reply = self._line.query(DONE)
        try:
            return parse_switch(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=DONE) from error

    def _number(self, query: str) -> float:
        reply = self._line.query(query)
        try:
            return parse_finite(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=query) from error

    def _disobeyed(self, header: str, wanted: str, got: str) -> InstrumentRefused:
        return InstrumentRefused(
            self.name, f"was told {wanted} and reads back {got}", "See that light goes in.", command=header
        )


def _shown(stokes: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:+.3f}" for value in stokes) + ")"
