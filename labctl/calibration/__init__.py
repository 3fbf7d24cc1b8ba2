"""Calibration: what a bench's constants are, measured through its drivers, with errors, criteria and remedies.

A procedure sends light and records what the two receivers see; it never asks a simulated lab for what it hides.
``labctl.calibrate`` runs them in order on an opened bench, :mod:`~labctl.calibration.store` keeps what they found, and
:mod:`~labctl.calibration.force` puts it in the place of what bench.toml declares.
"""
