"""The simulated lab that end-to-end runs find."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labctl.shipped import bench_path
from sim_backends.lab import Lab, open_lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    """The ideal bench's lab, kept open so that it can be looked at after a run; well again at the end."""
    opened = open_lab(str(bench_path("ideal")))
    yield opened
    opened.clear_faults()
    opened.close()
