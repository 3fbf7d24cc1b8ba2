"""Figures of the paper (Sulimany et al., PRX 15, 041056), made anew from simulated runs: one module per figure."""
