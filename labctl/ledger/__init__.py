"""Leakage ledgers: what leaked so far, added up over images and runs, held against a budget.

Two accounts in two files, because the parties distrust each other: the server's counts bits about its weights, the
client's counts bits about its data. Neither module knows the other.
"""

from __future__ import annotations
