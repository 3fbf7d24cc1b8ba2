"""The classical channel: typed messages between server and client, and nothing else.

No message has a field for weights, data, or outcomes: the server offers shapes, the client says that it is ready, and
the server says whether to go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from labctl.errors import ProtocolError
from labctl.protocol.layers import Architecture


@dataclass(frozen=True)
class Terms:
    """What both parties agree on before the run: public.

    ``architecture``: layers and what stands between them; ``gain``: G; ``mean_photons``: μ per mode at launch.
    """

    architecture: Architecture
    gain: float
    mean_photons: float


@dataclass(frozen=True)
class LayerOffer:
    """Server to client: the next shot is this layer of this image (both from 0)."""

    image: int
    layer: int


@dataclass(frozen=True)
class LayerReady:
    """Client to server: unitary and receiver are set, send the light."""

    image: int
    layer: int


@dataclass(frozen=True)
class LayerSent:
    """Server to client: the light has been sent."""

    image: int
    layer: int


@dataclass(frozen=True)
class LayerReturned:
    """Client to server: measured what was agreed; the rest is on its way back."""

    image: int
    layer: int


@dataclass(frozen=True)
class LayerVerdict:
    """Server to client: whether the returned light allows going on."""

    image: int
    layer: int
    accepted: bool


Message = Terms | LayerOffer | LayerReady | LayerSent | LayerReturned | LayerVerdict
M = TypeVar("M", Terms, LayerOffer, LayerReady, LayerSent, LayerReturned, LayerVerdict)


class Endpoint:
    """One party's end of the channel."""

    def __init__(self, inbox: deque[Message], outbox: deque[Message]) -> None:
        self._inbox = inbox
        self._outbox = outbox

    def send(self, message: Message) -> None:
        """Put a message on its way."""
        self._outbox.append(message)

    def receive(self, kind: type[M]) -> M:
        """The next message, which must be of this kind. Raises ProtocolError."""
        if not self._inbox:
            raise ProtocolError(f"no message where a {kind.__name__} was due", "Start the run again.")
        message = self._inbox.popleft()
        if not isinstance(message, kind):
            raise ProtocolError(
                f"a {type(message).__name__} came where a {kind.__name__} was due", "Start the run again."
            )
        return message


def in_process_channel() -> tuple[Endpoint, Endpoint]:
    """The two ends (server's, client's) of a channel within one process."""
    to_client: deque[Message] = deque()
    to_server: deque[Message] = deque()
    return Endpoint(to_server, to_client), Endpoint(to_client, to_server)
