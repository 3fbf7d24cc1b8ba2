"""Drivers on a simulated bench with something changed, for what only one model has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.contract.bench import ContractBench, Subject
from tests.contract.suppliers import ideal


@contextmanager
def bench_with(folder: Path, instrument: str, **options: Any) -> Iterator[ContractBench]:
    """The ideal bench, where the simulated unit of ``instrument`` has these options; a lab of its own."""
    tables = ideal()
    tables["world"]["units"][instrument].update(options)
    bench = Subject(instrument, "", instrument, tables).bench(folder)
    try:
        yield bench
    finally:
        bench.close()
