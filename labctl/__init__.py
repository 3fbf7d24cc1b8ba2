"""labctl: quantum-secure deep-learning inference on a photonic bench, real or simulated."""

__version__ = "0.1.0"
