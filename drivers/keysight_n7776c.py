"""Keysight N7776C tunable laser (N7778C and N7779C speak alike).

Manual: Keysight, "N777-C Series Tunable Laser Source, Programming Guide", :SOURce and :LOCK. LAN: TCP port 5025, or
VXI-11; line feed. Slot 0 is the laser. Wavelengths are sent with the suffix NM and answered in metres; powers are in
dBm.

``:LOCK`` is a safety lock with a password, ``1234`` as delivered. A locked laser is not switched on here unless the
bench file gives the password (``lock_password``), which says that this computer may.

What takes time (wavelength, power, emission) is waited for with ``*OPC`` and bit 0 of ``*ESR?``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.link import ScpiLink
from drivers.scpi import Setting, format_real, integer, parse_finite, real, switch
from drivers.visa import VisaLibrary
from labctl.clock import Clock
from labctl.errors import InstrumentReply, InstrumentTimeout, InterlockError, LimitError
from labctl.interfaces import Laser
from labctl.units import dbm_to_watt, watt_to_dbm
from labctl.values import Identity, Range, SafeState, Scalar, Snapshot

WAVELENGTH: Setting[float] = Setting(
    ":SOURce0:WAVelength",
    parse_finite,
    lambda metres: f"{metres * 1e9:.6f}NM",
    "Output wavelength in vacuum",
    "m",
)
POWER: Setting[float] = Setting(
    ":SOURce0:POWer",
    parse_finite,
    lambda dbm: format_real(round(dbm, 4)),
    "Optical power set point",
    "dBm",
    None,
    " DBM",
)
POWER_UNIT = integer(":SOURce0:POWer:UNIT", "Unit of optical power: 0 dBm, 1 W")
EMISSION = switch(":SOURce0:POWer:STATe", "Laser on")
LOCK = switch(":LOCK", "Locked: the laser cannot be switched on")
SWEEP = real(":SOURce0:WAVelength:SWEep", "Sweep: 0 stopped, 1 running, 2 paused")

OPERATION_COMPLETE: Final = 1
#: How often the laser is asked whether it has settled.
POLL_S: Final = 0.05
#: Longer than any tuning takes.
SETTLE_TIMEOUT_S: Final = 60.0


class N7776C(Laser):
    """``lock_password``: unlocks the laser when it is switched on; empty: a locked laser stays locked."""

    def __init__(
        self,
        name: str,
        resource: str,
        library: VisaLibrary,
        clock: Clock,
        *,
        lock_password: str = "",
    ) -> None:
        super().__init__(name)
        self._link = ScpiLink(library.connect(name, resource))
        self._clock = clock
        self._lock_password = lock_password
        self.wavelength_range_m = Range(1480e-9, 1620e-9, "m")
        self.power_range_w = Range(dbm_to_watt(-10.0), dbm_to_watt(13.0), "W")

    def open(self) -> None:
        """Connect, choose dBm (no light is changed by that), and read this unit's own limits."""
        self._link.open(r"KEYSIGHT TECHNOLOGIES|AGILENT TECHNOLOGIES", r"N777[689]C")
        try:
            self._link.set(POWER_UNIT, 0)
            shortest, longest = (self._link.ask(WAVELENGTH, end) for end in ("MIN", "MAX"))
            weakest, strongest = (self._link.ask(POWER, end) for end in ("MIN", "MAX"))
        except BaseException:
            self._link.close()
            raise
        self.wavelength_range_m = Range(shortest, longest, "m")
        self.power_range_w = Range(dbm_to_watt(weakest), dbm_to_watt(strongest), "W")

    def close(self) -> None:
        self._link.close()

    @property
    def identity(self) -> Identity:
        return self._link.identity

    def set_wavelength(self, wavelength_m: float) -> None:
        """Stop a sweep that somebody left running, tune, and wait until the laser has settled."""
        self._within(wavelength_m, self.wavelength_range_m, "wavelength")
        if self._link.get(SWEEP) != 0:
            self._link.set(SWEEP, 0.0)
        self._link.set(WAVELENGTH, wavelength_m)
        self._settle()

    def wavelength(self) -> float:
        return self._link.get(WAVELENGTH)

    def set_power(self, power_w: float) -> None:
        """Set, and wait until the laser has settled."""
        self._within(power_w, self.power_range_w, "power")
        self._link.set(POWER, watt_to_dbm(power_w))
        self._settle()

    def power(self) -> float:
        return dbm_to_watt(self._link.get(POWER))

    def set_emission(self, on: bool) -> None:
        """Unlock where that is allowed, switch, wait, and read back.

        Raises InterlockError when the laser is locked and no password was given, InstrumentReply when it does not end
        up as told.
        """
        if on and self._link.get(LOCK):
            if not self._lock_password:
                raise InterlockError(
                    f"{self.name}: the laser is locked, it cannot be switched on",
                    "Unlock it at the instrument, or give the option lock_password in the bench file.",
                )
            self._link.command(":LOCK 0,", self._lock_password.encode("ascii"))  # bytes: no message shows them
        self._link.set(EMISSION, on)
        self._settle()
        if self.emission() != on:
            raise InstrumentReply(
                self.name,
                f"emission was switched {'on' if on else 'off'}, and the laser says it is not",
                "Look at the laser's interlock, key switch and lock.",
            )

    def emission(self) -> bool:
        return self._link.get(EMISSION)

    def safe_state(self) -> SafeState:
        """Laser off; dark when it is read back so."""
        self._link.set(EMISSION, False)
        on = self._link.get(EMISSION)
        return SafeState(self.name, not on, {"emission": on}, "the laser still emits, or might" if on else "")

    def snapshot(self) -> Snapshot:
        readings: dict[str, Scalar] = {
            "wavelength_m": self.wavelength(),
            "power_w": self.power(),
            "emission": self.emission(),
            "locked": self._link.get(LOCK),
        }
        return readings

    def problems(self) -> Sequence[str]:
        return self._link.problems()

    def _settle(self) -> None:
        """Wait by the bench's clock; ``*OPC?`` would hold the line until the laser has settled."""
        end = self._clock.now() + SETTLE_TIMEOUT_S
        self._link.command("*OPC")
        while not int(self._link.query("*ESR?")) & OPERATION_COMPLETE:
            if self._clock.now() >= end:
                raise InstrumentTimeout(self.name, f"has not settled within {SETTLE_TIMEOUT_S:g} s", command="*OPC")
            self._clock.wait(POLL_S)

    def _within(self, value: float, limits: Range, what: str) -> None:
        if value not in limits:
            raise LimitError(self.name, f"{what} {value:g} {limits.unit} is outside {limits}", "Ask for less or more.")
