"""Noise budgets: every source's share of what client and server measure on a simulated bench."""

from labctl.budget.shares import Budget, Line, noise_budget

__all__ = ["Budget", "Line", "noise_budget"]
