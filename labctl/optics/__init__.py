"""Composed devices: from waveform generators, attenuators, amplifiers and digitizers to transmitters and receivers of light."""
