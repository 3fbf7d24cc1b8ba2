"""NKT Photonics Koheras BOOSTIK HPA fibre amplifier.

Manual: NKT Photonics, "Koheras BOOSTIK HPA User's Manual", revision 06, section 4.3.2, as public drivers use it (qmi,
``nkt_photonics.boostik``). Serial line, 9600 baud, 8N1; commands and replies end with CR LF. There is no ``*IDN?`` and
no error queue: a command that sets is answered with the value in force, which is the old one where it was refused.

* ``ACC`` pump current, A; ``AMC`` measured pump current, A
* ``CDO`` emission, 0 or 1; ``CDI`` a line about the unit
* ``CMP 1`` input power, mW; ``AMT 1`` temperature of the booster's diode and ``CMA`` around it, degrees Celsius

No command is known for the limits of the current (give ``current_max_a`` from the unit's test sheet), nor one for the
interlock loop: an open one shows by emission that does not come on, or has gone off.

To check on a unit: what ``CDI`` says, the decimals of ``ACC``, and how soon after ``CDO 1`` the answer is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from drivers.connection import LineSettings
from drivers.link import told_identity
from drivers.scpi import format_real, parse_finite, parse_switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import ConfigError, InstrumentRefused, InstrumentReply, LimitError, WrongInstrument
from labctl.interfaces import Amplifier
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

T = TypeVar("T")

INFORMATION: Final = "CDI"
CURRENT_A: Final = "ACC"
SENSED_CURRENT_A: Final = "AMC"
EMISSION: Final = "CDO"
INPUT_MW: Final = "CMP 1"
BOOSTER_TEMPERATURE_C: Final = "AMT 1"
AMBIENT_TEMPERATURE_C: Final = "CMA"

#: How far what is read back may be from what was set: half of a last digit of 1 mA, and a little.
STEP_A: Final = 0.6e-3
POLL_S: Final = 0.1
SETTLE_TIMEOUT_S: Final = 10.0


class Boostik(Amplifier):
    """``current_max_a``: largest pump current. ``information``: a text that the answer to ``CDI`` must contain, such as
    the serial number; empty: whatever it says.
    """

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        current_max_a: float = 1.0,
        information: str = "",
    ) -> None:
        super().__init__(name)
        if current_max_a <= 0:
            raise ConfigError(f"{name}: current_max_a = {current_max_a:g}", "Give the largest pump current, amperes.")
        line = LineSettings(write_terminator=b"\r\n", timeout_s=1.0, baud_rate=9600)
        self._line = library.connect(name, resource, line)
        self._clock = clock
        self._information = information
        self._identity: Identity | None = None
        self.pump_range_a = Range(0.0, current_max_a, "A")

    # ---- life ---------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect, and check that who answers gives its pump current and emission as this amplifier does."""
        self._line.open()
        try:
            information = self._line.identify(INFORMATION).strip()
            self._recognise(information)
            self._identity = Identity("NKT Photonics", "Koheras BOOSTIK", information)
        except BaseException:
            self._line.close()
            raise

    def _recognise(self, information: str) -> None:
        try:
            self._number(CURRENT_A)
            self.emission()
            known = bool(information) and self._information.casefold() in information.casefold()
        except InstrumentReply:
            known = False
        if not known:
            raise WrongInstrument(
                self.name,
                f"{information[:80]!r} answers at {self._line.resource}, which is not the BOOSTIK expected",
                "Correct the resource, the driver or the option information of this instrument in the bench file.",
                command=INFORMATION,
            )

    def close(self) -> None:
        self._line.close()

    @property
    def identity(self) -> Identity:
        return told_identity(self.name, self._identity)

    # ---- pump ---------------------------------------------------------------------------------

    def set_pump(self, current_a: float) -> None:
        """Raises InstrumentRefused when another current stays in force."""
        if current_a not in self.pump_range_a:
            raise LimitError(
                self.name,
                f"a pump current of {current_a:g} A is outside {self.pump_range_a}",
                "Choose a gain that the amplifier's pump calibration covers, or mend the option current_max_a.",
            )
        text = f"{CURRENT_A} {format_real(current_a)}"
        in_force_a = self._parsed(text, parse_finite)
        if abs(in_force_a - current_a) > STEP_A:
            raise self._disobeyed(text, f"{current_a:g} A", f"{in_force_a:g} A")

    def pump(self) -> float:
        return self._number(CURRENT_A)

    def set_emission(self, on: bool) -> None:
        """Switch, and return when the amplifier says that it has.

        Raises InstrumentRefused when it does not: an open interlock loop, a key switch or a missing seed looks so.
        """
        if not self._switched(on):
            raise self._disobeyed(EMISSION, "on" if on else "off", "off" if on else "on")

    def emission(self) -> bool:
        return self._parsed(EMISSION, parse_switch)

    def interlock_open(self) -> bool:
        """Always False: this amplifier cannot tell (see the module's description)."""
        return False

    def _switched(self, on: bool) -> bool:
        """Tell, and wait for it to be so."""
        end = self._clock.now() + SETTLE_TIMEOUT_S
        now_on = self._parsed(f"{EMISSION} {int(on)}", parse_switch)
        while now_on != on and self._clock.now() < end:
            self._clock.wait(POLL_S)
            now_on = self.emission()
        return now_on == on

    # ---- reports ------------------------------------------------------------------------------

    def safe_state(self) -> SafeState:
        """Emission off; dark when it is read back so."""
        self._switched(False)
        on = self.emission()
        return SafeState(self.name, not on, {"emission": on}, "the pump is not off" if on else "")

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "pump_a": self.pump(),
            "sensed_pump_a": self._number(SENSED_CURRENT_A),
            "emission": self.emission(),
            "input_power_w": self._number(INPUT_MW) * 1e-3,
            "booster_temperature_c": self._number(BOOSTER_TEMPERATURE_C),
            "ambient_temperature_c": self._number(AMBIENT_TEMPERATURE_C),
        }
        return readings

    def problems(self) -> Sequence[str]:
        """Nothing: this amplifier has no alarms that can be read."""
        self.emission()  # at least it must answer
        return []

    # ---- line ---------------------------------------------------------------------------------

    def _number(self, command: str) -> float:
        return self._parsed(command, parse_finite)

    def _parsed(self, text: str, parse: Callable[[str], T]) -> T:
        reply = self._line.query(text)
        try:
            return parse(reply)
        except ValueError as error:
            raise InstrumentReply(self.name, str(error), command=text) from error

    def _disobeyed(self, command: str, wanted: str, got: str) -> InstrumentRefused:
        return InstrumentRefused(
            self.name,
            f"was told {wanted} and {got} is in force",
            "Look at the amplifier's interlock loop, key switch, seed and limits.",
            command=command,
        )
