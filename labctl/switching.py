"""Light by hand: one thing is set at a time, and only in the order in which a run would.

The local oscillator comes before the signal, the amplifier is pumped only while it has input, and what is launched
stays below what the receivers bear. Every answer is asked of the instruments: nothing is remembered.
"""

from __future__ import annotations

from collections.abc import Callable

from labctl import trips
from labctl.bench import Bench
from labctl.errors import InterlockError, LabctlError
from labctl.interfaces import Amplifier, Attenuator, Instrument, Laser
from labctl.interlocks import check_before, check_during, interlocks_of
from labctl.properties import Property, find
from labctl.safety import unconfirmed
from labctl.units import db_to_ratio, ratio_to_db
from labctl.values import Scalar


class Switching:
    """Of an opened bench. ``ready``: called before anything is switched on; raises what speaks against it."""

    def __init__(self, bench: Bench, ready: Callable[[], None]) -> None:
        config = bench.config
        self._bench = bench
        self._ready = ready
        self._laser = bench.part(config.laser.instrument, Laser)
        self._amplifiers = [each for each in bench.instruments.values() if isinstance(each, Amplifier)]
        self._way = [(bench.part(each.instrument, Attenuator), each.channel) for each in config.modulator.attenuators]
        self._interlocks = interlocks_of(config.interlocks, bench.instruments)

    def set(self, instrument: Instrument, name: str, channel: int | None, value: Scalar) -> list[Instrument]:
        """Set a property; the others that were switched off before, since they depend on it.

        Raises LimitError or InterlockError when it is not done; then everything is dark where a condition of the
        bench file does not hold. Raises what the instrument raises.
        """
        each = find(instrument, name)
        each.check(instrument, channel, value)
        if not each.lights:
            self._refuse_under_light(instrument, each, channel, value)
            each.write(instrument, channel, value)
            return []
        if value is not True:
            touched = self._first_off(instrument, channel)
            each.write(instrument, channel, value)
            return touched
        self._refuse_out_of_order(instrument, channel)
        trips.refuse_tripped(self._bench.config)
        self._ready()
        if instrument is not self._laser:
            self._check_interlocks()
        each.write(instrument, channel, value)
        if instrument is self._laser:  # as in a run: the oscillator first, since conditions may be about its light
            self._check_interlocks()
        return []

    def _on_the_way(self, instrument: Instrument, channel: int | None) -> bool:
        return any(each is instrument and number == channel for each, number in self._way)

    def _closed(self) -> list[str]:
        return [f"{each.name}, channel {channel}" for each, channel in self._way if not each.shutter(channel)]

    def _amplified(self) -> list[Amplifier]:
        return [each for each in self._amplifiers if each.emission()]

    def _refuse_out_of_order(self, instrument: Instrument, channel: int | None) -> None:
        laser = self._laser
        if isinstance(instrument, Amplifier):
            if not laser.emission():
                raise InterlockError(
                    f"{instrument.name}: stays off, since {laser.name} does not emit and it would have no input",
                    f"Switch {laser.name} on, and open the shutters.",
                )
            closed = self._closed()
            if closed:
                raise InterlockError(
                    f"{instrument.name}: stays off, since its input is shut ({'; '.join(closed)})", "Open the shutters."
                )
        elif instrument is laser:
            out = [f"{each.name}, channel {number}" for each, number in self._way if each.shutter(number)]
            if out and not laser.emission():
                raise InterlockError(
                    f"{laser.name}: stays off, since the signal would come with the local oscillator"
                    f" ({'; '.join(out)} open)",
                    "Close the shutters; open them when the laser is on.",
                )
        elif self._on_the_way(instrument, channel):
            if not laser.emission():
                raise InterlockError(
                    f"{instrument.name}: channel {channel} stays closed, since {laser.name} does not emit: the local"
                    " oscillator comes before the signal",
                    f"Switch {laser.name} on first.",
                )
            self._check_launch()

    def _first_off(self, instrument: Instrument, channel: int | None) -> list[Instrument]:
        """What would be left without its input, amplifier first."""
        touched: list[Instrument] = []
        if instrument is not self._laser and not self._on_the_way(instrument, channel):
            return touched
        for amplifier in self._amplified():
            amplifier.set_emission(False)
            touched.append(amplifier)
        if instrument is self._laser:
            for attenuator, number in self._way:
                if attenuator.shutter(number):
                    attenuator.set_shutter(number, False)
                    touched.append(attenuator)
        return list(dict.fromkeys(touched))

    def _refuse_under_light(self, instrument: Instrument, each: Property, channel: int | None, value: Scalar) -> None:
        """What comes before the amplifier stays as it is while it is pumped."""
        ahead = instrument is self._laser or self._on_the_way(instrument, channel)
        if not ahead:
            return
        amplified = self._amplified()
        if amplified:
            raise InterlockError(
                f"{instrument.name}: {each.name} is not changed while {amplified[0].name} is pumped",
                f"Switch {amplified[0].name} off first.",
            )
        if not self._closed():
            self._check_launch(instrument, each.name, channel, float(value))

    def _check_launch(
        self, changed: Instrument | None = None, name: str = "", channel: int | None = None, value: float = 0.0
    ) -> None:
        """With modulator and shutters open, no more light than the receivers bear (``calibration.launch_limit``)."""
        config = self._bench.config
        power_w = value if name == "power_w" else self._laser.power()
        loss_db = config.modulator.loss
        for each, number in self._way:
            loss_db += value if each is changed and number == channel else each.attenuation(number)
        launched_w, limit_w = power_w / db_to_ratio(loss_db), config.calibration.launch_limit
        if launched_w > limit_w:
            raise InterlockError(
                f"up to {launched_w * 1e6:.4g} µW would be launched, where the receivers bear {limit_w * 1e6:.4g} µW"
                " (calibration.launch_limit of the bench file)",
                f"Attenuate by at least {ratio_to_db(launched_w / limit_w):.1f} dB more first.",
            )

    def _check_interlocks(self) -> None:
        """Those of the bench file; where one does not hold or cannot be read, everything goes dark."""
        try:
            if self._amplified() or len(self._closed()) < len(self._way):
                check_during(self._interlocks)
            else:
                check_before(self._interlocks)
        except LabctlError as error:
            lit = unconfirmed(self._bench.safe_state())
            self._bench.engage()
            if lit is not None:
                raise lit from error
            raise InterlockError(f"{error}; everything was made dark", error.remedy) from error
