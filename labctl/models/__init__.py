"""Neural networks as the protocol takes them: weight matrices, ReLU between them, no biases."""

from __future__ import annotations

from labctl.models.network import Network, check_fits
from labctl.models.storage import SHIPPED, load_network, round_weights, save_network

__all__ = ["SHIPPED", "Network", "check_fits", "load_network", "round_weights", "save_network"]
