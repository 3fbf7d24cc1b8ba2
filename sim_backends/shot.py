"""One shot: the burst that follows one trigger, with all its quantum noise, seen by both receivers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from labctl.units import db_to_ratio
from sim_backends import compiled
from sim_backends.attacks import Attack, Mounted, Spoils
from sim_backends.circuit import ClientOptics, Launch
from sim_backends.config import ReceiverPhysics, WorldConfig
from sim_backends.draws import Draws, Stream
from sim_backends.laser_noise import LaserNoise
from sim_backends.physics import (
    Double,
    Float,
    TapMoments,
    TapNoise,
    amplify_and_tap,
    basis_of,
    detect,
    photons_per_bin,
    project,
    received_plane,
    received_quickly,
    round_trip_mean,
    vacuum_plane,
)

#: A dual-quadrature receiver splits each mode in two (section 5 of docs/physics.md).
DUAL_KAPPA = 0.5


@dataclass(frozen=True)
class Sampling:
    """How a shot is drawn. ``buffer``: a plane that the received light may be put into; ``threads``: 1 or 2.

    ``attack``: in force, and what the attacker learns by it. ``laser``: its noise, None for a quiet one. ``overlaps``:
    power fraction of the light that the client's and the server's receiver can see.
    """

    draws: Draws
    buffer: Float
    threads: int = 1
    attack: tuple[Attack, Spoils] | None = None
    laser: LaserNoise | None = None
    wavelength_m: float = 0.0
    bin_rate_hz: float = 0.0
    overlaps: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Channel:
    """Power transmittances of the fibre out and back, and what an attack adds to every mode: ``excess`` at the client,
    ``injected`` at the server's receiver (SNU).
    """

    out: float
    back: float
    excess: float = 0.0
    injected: float = 0.0


class Shot:
    """Rows of bins on their way from server to client and back.

    ``lo_factors``: shot noise's standard deviation at client and server, relative to that at their reference power.
    """

    def __init__(
        self,
        config: WorldConfig,
        launch: Launch,
        client: ClientOptics,
        lo_factors: tuple[float, float],
        sampling: Sampling,
    ) -> None:
        self._client = client
        self._sampling = sampling
        self._receiver = config.server_receiver
        self._method = config.noise
        _, self.rows, self.bins = launch.plane.shape
        self._laser = None
        if sampling.laser is not None and config.waveform is None:  # else it is drawn sample by sample
            self._laser = sampling.laser.draw(sampling.draws.generator(Stream.LASER), self.rows, self.bins)
        channel = Channel(db_to_ratio(-config.channel.loss_out), db_to_ratio(-config.channel.loss_back))
        self._channel, self._launch = self._after_attack(channel, self._noisy(launch))
        self._electronic = (
            _electronic(config.client_receiver, lo_factors[0], sampling),
            _electronic(config.server_receiver, lo_factors[1], sampling),
        )
        self._undriven = slice(min(client.rows, self.rows), self.rows)
        self._mode = client.forward.mode()
        self._collected = np.sqrt(self._channel.out) * project(self._launch.plane, basis_of(self._mode))
        self._collected[self._undriven] = 0.0
        generator = sampling.draws.generator(Stream.TAPPED_MODE)
        self._noise: TapNoise = amplify_and_tap(
            generator, self.rows, client.gain, client.n_sp, client.returned_fraction
        )
        #: The client's X quadrature, one per row, shape (M,), in units of its receiver's shot noise.
        self.measured: Double = self._measure(generator, config.client_receiver.efficiency * sampling.overlaps[0])
        self._white = generator.standard_normal((self.rows, 2))

    def _noisy(self, launch: Launch) -> Launch:
        return launch if self._laser is None else Launch(self._laser.launched(launch.plane))

    def _after_attack(self, channel: Channel, launch: Launch) -> tuple[Channel, Launch]:
        """What is left for the client."""
        if self._sampling.attack is None:
            return channel, launch
        attack, spoils = self._sampling.attack
        own = self._sampling.draws.generator(Stream.ATTACKER)
        mounted = Mounted(attack, spoils, own, self._client.n_sp, channel.out, channel.back)
        plane = mounted.launched(launch.plane)
        attacked = Channel(channel.out * attack.passed, channel.back, mounted.excess, attack.injected)
        return attacked, launch if plane is launch.plane else Launch(plane)

    def _measure(self, generator: np.random.Generator, efficiency: float) -> Double:
        client = self._client
        mean = np.sqrt((1 - client.returned_fraction) * client.gain) * self._collected
        noise = self._noise.measured
        if self._laser is not None:
            mean, noise = self._laser.at_client(mean), self._laser.at_client(noise)
        return detect(generator, mean[:, 0], noise[:, 0], efficiency, self._electronic[0])

    @property
    def client_dark(self) -> float:
        """Standard deviation of the client's record where no light comes, √SNU."""
        return float(np.sqrt(1 + self._electronic[0]))

    @property
    def server_dark(self) -> float:
        """The same of the server's."""
        return float(np.sqrt(1 + self._electronic[1]))

    @cached_property
    def received(self) -> Float:
        """The server's plane (2, M, B) in its receiver's shot-noise units, bins as they arrive: reversed."""
        coupling = DUAL_KAPPA * self._receiver.efficiency * self._sampling.overlaps[1]
        isotropic = 1 + self._electronic[1] + coupling * self._channel.injected
        plane = self._plane(coupling * self._channel.back, isotropic, self._noise.returned, self._white, 1.0)
        return plane if self._laser is None else self._laser.at_server(plane)

    @cached_property
    def returned(self) -> Float:
        """The plane (2, M, B) of the light at the server's receiver, without the vacuum that the receiver adds: means,
        and what noise there is beyond vacuum, as random displacements.
        """
        client, shape = self._client, self._noise.returned.shape
        generator = self._sampling.draws.generator(Stream.RETURNED_EXCESS)
        moments = TapMoments.of(client.gain, client.n_sp, client.returned_fraction)
        excess = moments.returned_excess(self._noise.measured, generator.standard_normal(shape))
        white = generator.standard_normal(shape)
        seen = self._sampling.overlaps[1]
        return self._plane(seen * self._channel.back, seen * self._channel.injected, excess, white, 0.0)

    def _plane(self, power: float, isotropic: float, in_b: Double, white: Double, vacuum: float) -> Float:
        """Means times sqrt(power) with noise: ``in_b`` in the collected mode, of which ``vacuum`` is its vacuum's, and
        ``isotropic`` in all. ``white`` fills up the collected mode's.
        """
        client = self._client
        amplitude = float(np.sqrt(power))
        loop_gain = float(np.sqrt(client.returned_fraction * client.gain))
        alike = client.back is client.forward or client.back.same_as(client.forward)
        back = self._mode if alike else client.back.mode()
        adjoint = alike and client.forward.transmittance == 1
        if adjoint:
            mean = self._launch.returned(amplitude * float(np.sqrt(self._channel.out)))
            offset = (loop_gain - 1) * self._collected
        else:
            mean = round_trip_mean(self._launch.plane, client.forward, client.back, loop_gain)
            mean = mean[:, :, ::-1] * np.float32(amplitude * np.sqrt(self._channel.out))
            offset = np.zeros_like(self._collected)
        norm = float(np.linalg.norm(back))
        others = isotropic + power * self._channel.excess
        shared = amplitude * norm
        in_mode = shared * (offset + in_b)
        in_mode += np.sqrt(isotropic - vacuum * shared**2) * white
        in_mode[self._undriven] = np.sqrt(isotropic) * white[self._undriven]
        unit = back[::-1] / norm if norm > 0 else back
        return self._drawn(mean, basis_of(unit), in_mode, others)

    def _drawn(self, mean: Float, basis: Float, in_mode: Double, others: float) -> Float:
        """The plane in the buffer, its noise by the world's method; ``others``: variance in all modes but one."""
        draws, plane, method = self._sampling.draws, self._sampling.buffer, self._method
        generators = (draws.generator(Stream.RETURNED_X), draws.generator(Stream.RETURNED_P))
        if method == "compiled" and compiled.covers(plane):
            compiled.receive(generators, plane, np.ascontiguousarray(mean), basis, in_mode, others)
            return plane
        if others > 0:
            vacuum_plane(generators, plane, self._sampling.threads, "table" if method == "compiled" else method)
        else:
            plane[:] = 0
        receive = received_plane if method == "normal" else received_quickly
        return receive(plane, mean, basis, in_mode, others)


def _electronic(receiver: ReceiverPhysics, lo_factor: float, sampling: Sampling) -> float:
    """Electronic noise in units of the present shot noise, what is left of the local oscillator's intensity noise too.

    With no local oscillator the caller has no shot noise to measure it in.
    """
    if lo_factor <= 0:
        return 0.0
    noise = receiver.electronic_noise / lo_factor**2
    if sampling.laser is not None and receiver.cmrr is not None and receiver.lo_power is not None:
        photons = photons_per_bin(receiver.lo_power, sampling.wavelength_m, sampling.bin_rate_hz) * lo_factor**2
        noise += db_to_ratio(-receiver.cmrr) * receiver.efficiency * photons * sampling.laser.intensity**2
    return noise
