"""Where a bench's allowance for technical noise holds: the modes and the light that it was measured with.

Longer rows and brighter light carry more of it (docs/physics.md, section 5), so that an honest run there would alarm.
"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.config import LinkRole
from labctl.errors import ConfigError

#: By how much more light than it was measured with the allowance is still taken to hold.
LIGHT_MARGIN = 1.5


def check_allowance(link: LinkRole, modes: Sequence[int], mean_photons: float) -> None:
    """Refuse a network or a working point that the technical noise was not measured for.

    ``modes``: n of each layer; ``mean_photons``: μ at launch. What the file does not tell is not checked. Raises
    ConfigError.
    """
    remedy = "Measure it again: labctl bench technical-noise BENCH --run RUN."
    longest = max(link.technical_modes, default=None)
    if longest is not None and max(modes) > longest:
        raise ConfigError(
            f"bench key 'link.technical_excess' was measured with rows of at most {longest} modes (technical_modes),"
            f" the network has {max(modes)}",
            remedy,
        )
    measured = link.technical_mean_photons
    if measured is not None and mean_photons > LIGHT_MARGIN * measured:
        raise ConfigError(
            f"bench key 'link.technical_excess' was measured with {measured:g} photons per mode"
            f" (technical_mean_photons), and {mean_photons:g} are more than {LIGHT_MARGIN:g} times as many",
            remedy,
        )


def unknown_allowance(link: LinkRole) -> str | None:
    """A line on technical noise whose network and working point the bench's file does not tell; None where it does."""
    excess = link.technical_excess
    if not any(excess if isinstance(excess, list) else [excess]):
        return None
    if link.technical_modes and link.technical_mean_photons is not None:
        return None
    return "note: the bench's file does not tell at which working point its technical noise was measured"
