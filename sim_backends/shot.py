"""One shot: the burst that follows one trigger, with all its quantum noise, seen by both receivers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from labctl.units import db_to_ratio
from sim_backends.attacks import Attack, Mounted, Spoils
from sim_backends.circuit import ClientOptics, Launch
from sim_backends.config import ReceiverPhysics, WorldConfig
from sim_backends.draws import Draws, Stream
from sim_backends.physics import (
    Double,
    Float,
    TapNoise,
    amplify_and_tap,
    basis_of,
    detect,
    project,
    received_plane,
    round_trip_mean,
    vacuum_plane,
)

#: A dual-quadrature receiver splits each mode in two (section 5 of docs/physics.md).
DUAL_KAPPA = 0.5


@dataclass(frozen=True)
class Sampling:
    """How a shot is drawn. ``buffer``: a plane that the received light may be put into; ``threads``: 1 or 2.

    ``attack``: in force, and what the attacker learns by it.
    """

    draws: Draws
    buffer: Float
    threads: int = 1
    attack: tuple[Attack, Spoils] | None = None


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
        self._config = config
        self._client = client
        self._sampling = sampling
        generator = sampling.draws.generator(Stream.TAPPED_MODE)
        _, self.rows, self.bins = launch.plane.shape
        out, self._back = db_to_ratio(-config.channel.loss_out), db_to_ratio(-config.channel.loss_back)
        #: What an attack adds to every mode: at the client, and at the server's receiver (SNU).
        self._excess, self._injected = 0.0, 0.0
        if sampling.attack is not None:
            attack, spoils = sampling.attack
            own = sampling.draws.generator(Stream.ATTACKER)
            mounted = Mounted(attack, spoils, own, client.n_sp, out, self._back)
            plane = mounted.launched(launch.plane)
            launch = launch if plane is launch.plane else Launch(plane)
            out *= attack.passed
            self._excess, self._injected = mounted.excess, attack.injected
        self._launch = launch
        self._out = np.sqrt(out)
        self._electronic = (
            _electronic(config.client_receiver, lo_factors[0]),
            _electronic(config.server_receiver, lo_factors[1]),
        )
        self._undriven = slice(min(client.rows, self.rows), self.rows)
        self._mode = client.forward.mode()
        self._collected = self._out * project(launch.plane, basis_of(self._mode))
        self._collected[self._undriven] = 0.0
        self._noise: TapNoise = amplify_and_tap(
            generator, self.rows, client.gain, client.n_sp, client.returned_fraction
        )
        amplitude = np.sqrt((1 - client.returned_fraction) * client.gain)
        receiver = config.client_receiver
        #: The client's X quadrature, one per row, shape (M,), in units of its receiver's shot noise.
        self.measured: Double = detect(
            generator,
            amplitude * self._collected[:, 0],
            self._noise.measured[:, 0],
            receiver.efficiency,
            self._electronic[0],
        )
        self._white = generator.standard_normal((self.rows, 2))

    @cached_property
    def received(self) -> Float:
        """The server's plane (2, M, B) in its receiver's shot-noise units, bins as they arrive: reversed."""
        client = self._client
        receiver = self._config.server_receiver
        power = DUAL_KAPPA * receiver.efficiency * self._back
        amplitude = float(np.sqrt(power))
        loop_gain = float(np.sqrt(client.returned_fraction * client.gain))
        alike = client.back is client.forward or client.back.same_as(client.forward)
        back = self._mode if alike else client.back.mode()
        adjoint = alike and client.forward.transmittance == 1
        if adjoint:
            mean = self._launch.returned(amplitude * self._out)
            offset = (loop_gain - 1) * self._collected
        else:
            mean = round_trip_mean(self._launch.plane, client.forward, client.back, loop_gain)
            mean = mean[:, :, ::-1] * np.float32(amplitude * self._out)
            offset = np.zeros_like(self._collected)
        norm = float(np.linalg.norm(back))
        isotropic = 1 + self._electronic[1] + DUAL_KAPPA * receiver.efficiency * self._injected
        others = isotropic + power * self._excess
        shared = amplitude * norm
        in_mode = shared * (offset + self._noise.returned)
        in_mode += np.sqrt(isotropic - shared**2) * self._white
        in_mode[self._undriven] = np.sqrt(isotropic) * self._white[self._undriven]
        unit = back[::-1] / norm if norm > 0 else back
        draws, plane = self._sampling.draws, self._sampling.buffer
        generators = (draws.generator(Stream.RETURNED_X), draws.generator(Stream.RETURNED_P))
        vacuum_plane(generators, plane, self._sampling.threads)
        return received_plane(plane, mean, basis_of(unit), in_mode, others)


def _electronic(receiver: ReceiverPhysics, lo_factor: float) -> float:
    """Electronic noise in units of the present shot noise; with no local oscillator the caller has none to speak of."""
    return receiver.electronic_noise / lo_factor**2 if lo_factor > 0 else 0.0
