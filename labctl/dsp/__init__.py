"""Signal processing of the receiver: from sampled records to symbols in shot-noise units (docs/physics.md, section 4a).

What it needs to know of the bench (delays, volts per SNU, angles) comes from calibration records; what it needs of the
laser's phase comes from the pilots.
"""
