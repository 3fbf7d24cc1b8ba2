"""labctl: quantum-secure deep-learning inference on a photonic bench, real or simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.version import __version__

if TYPE_CHECKING:
    from labctl.record.apart import open_run

__all__ = ["__version__", "open_run"]


def __getattr__(name: str) -> Any:
    """``open_run`` when it is needed: HDF5 takes its time to load."""
    if name == "open_run":
        from labctl.record.reader import open_run

        return open_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
