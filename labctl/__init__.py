"""labctl: quantum-secure deep-learning inference on a photonic bench, real or simulated."""

from labctl.version import __version__

__all__ = ["__version__"]
