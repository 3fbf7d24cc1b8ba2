"""Panels that are not plots: controls, log, instruments, history."""
