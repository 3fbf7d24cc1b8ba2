"""The simulated laboratory: SCPI front ends that look into one optical world."""
