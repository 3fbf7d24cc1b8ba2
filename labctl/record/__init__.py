"""The run file: HDF5, written while the run goes on, readable after a crash (docs/reference/run-file.md)."""

from __future__ import annotations

from labctl.record.apart import open_run
from labctl.record.reader import Run
from labctl.record.writer import RunRecorder

__all__ = ["Run", "RunRecorder", "open_run"]
