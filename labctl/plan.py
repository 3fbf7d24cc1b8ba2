"""A run as data: the steps in order, each of which the engine may stop before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Prepare:
    """Waveforms, working points and clocks; no light yet."""


@dataclass(frozen=True)
class LightOn:
    """Pump, laser, shutters; then the interlocks are read for the first time."""


@dataclass(frozen=True)
class BeginImage:
    """Interlocks, then the client takes up its next image."""

    image: int


@dataclass(frozen=True)
class Layer:
    """One shot: one layer of one image through the light, measured and judged. The checkpoint stands before it."""

    image: int
    layer: int


@dataclass(frozen=True)
class FinishImage:
    """The client's prediction is taken down."""

    image: int


Step = Prepare | LightOn | BeginImage | Layer | FinishImage


@dataclass(frozen=True)
class Plan:
    """``images`` images through ``layers`` layers each, from the ``first`` on; light off follows whatever happens."""

    images: int
    layers: int
    first: int = 0

    def steps(self) -> Iterator[Step]:
        """All steps in order."""
        yield Prepare()
        yield LightOn()
        for image in range(self.first, self.images):
            yield BeginImage(image)
            for layer in range(self.layers):
                yield Layer(image, layer)
            yield FinishImage(image)

    def __len__(self) -> int:
        return 2 + (self.images - self.first) * (self.layers + 2)
