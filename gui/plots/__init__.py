"""Plots of a run: each draws what the model holds, and can say it in words."""
