"""A run as data: the steps in order, each of which the engine may stop before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labctl.run_tables import RecheckKind


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


@dataclass(frozen=True)
class Recheck:
    """Between two images: whether the bench is still what was calibrated. ``image``: the next one; ``kind``: of what
    is looked at.
    """

    image: int
    kind: RecheckKind


Step = Prepare | LightOn | BeginImage | Layer | FinishImage | Recheck


@dataclass(frozen=True)
class Plan:
    """``images`` images through ``layers`` layers each, from the ``first`` on; light off follows whatever happens.

    ``rechecks``: kinds, each with the number of images from one to the next; all come after the last image.
    """

    images: int
    layers: int
    first: int = 0
    rechecks: tuple[tuple[RecheckKind, int], ...] = ()

    def steps(self) -> Iterator[Step]:
        """All steps in order."""
        yield Prepare()
        yield LightOn()
        for image in range(self.first, self.images):
            yield from self.due(image)
            yield BeginImage(image)
            for layer in range(self.layers):
                yield Layer(image, layer)
            yield FinishImage(image)
        yield from self.due(self.images)

    @property
    def kinds(self) -> tuple[RecheckKind, ...]:
        """Of its re-checks."""
        return tuple(kind for kind, _ in self.rechecks)

    def due(self, image: int) -> list[Recheck]:
        """Re-checks before an image, or after the last one."""
        if not image:
            return []
        return [Recheck(image, kind) for kind, every in self.rechecks if image % every == 0 or image == self.images]

    def count(self, kind: RecheckKind) -> int:
        """Re-checks of a kind in all of a run, from its first image on."""
        return sum(-(-self.images // every) for each, every in self.rechecks if each == kind)

    def __len__(self) -> int:
        before = range(self.first, self.images + 1)
        rechecks = sum(len(self.due(image)) for image in before) if self.rechecks else 0
        return 2 + (self.images - self.first) * (self.layers + 2) + rechecks
