"""Composed devices: transmitters and receivers of light made of waveform generators, attenuators and digitizers."""
