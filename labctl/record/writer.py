"""Writes the run file while the run goes on.

The file is in HDF5's single-writer-multiple-readers mode: whenever the process is killed, what was flushed can be read.
Rows are gathered and flushed in blocks; the number of rows that count is flushed after them. The end of the run is
written to a copy that then takes the file's place, so that there is no moment at which a kill leaves a broken file.

:mod:`labctl.record.recorder` runs this in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import h5py

from labctl.clock import Clock, SystemClock
from labctl.errors import RecordError
from labctl.events import (
    AlarmRaised,
    DataRecovered,
    EventBus,
    ImageFinished,
    LayerMeasured,
    LightOff,
    Rechecked,
    RunFinished,
    RunStarted,
)
from labctl.record import disk, layout, schema
from labctl.record.layout import Picture
from labctl.record.names import check_name
from labctl.record.reader import Run
from labctl.record.rebuild import rebuilt, rechecks_until
from labctl.record.run_file import RunFile
from labctl.record.table import Table
from labctl.values import Scalar, Snapshot

#: Longest time that a finished image waits in memory, as long as images go on being finished.
FLUSH_INTERVAL_S = 0.25
#: How often the operating system is asked to put the file onto the disk.
SYNC_INTERVAL_S = 5.0
#: Space that is kept for the end of the run, beside that for the copy to which it is written.
RESERVE_BYTES = 16 * 2**20
#: Free space that rows leave on a disk, so that HDF5 never meets a full one.
MARGIN_BYTES = 2**20


class RunWriter:
    """Writes one run into ``folder``, from the events on a bus.

    The file appears with :class:`RunStarted`, under the name ``YYYYMMDDThhmmssZ-<name>-<seed>.h5`` (UTC). A file that
    is there is never touched: when the name is taken, ``-2``, ``-3``, ... goes before ``.h5``. Where a run is
    ``resumed`` from its file, that many images of it are kept, and the new file takes its place. ``wall_time``: seconds
    since 1970; ``clock``: paces the flushes (real time, not a simulated lab's); ``process``: the program that measures.
    All failures are RecordError, raised to the publisher of the event.
    """

    def __init__(  # noqa: PLR0913  (what a test replaces comes by keyword)
        self,
        folder: Path,
        name: str,
        seed: int,
        *,
        resumed: tuple[Run, int] | None = None,
        wall_time: Callable[[], float] = time.time,
        clock: Clock | None = None,
        process: int | None = None,
    ) -> None:
        check_name(name)
        self._folder = folder
        self._stem = f"{name}-{seed}"
        self._resumed = resumed
        self._wall_time = wall_time
        self._clock = clock or SystemClock()
        self._process = os.getpid() if process is None else process
        self._path: Path | None = None
        self._file: RunFile | None = None
        self._reserve = disk.Reserve(folder)
        self._flushed_s = self._synced_s = 0.0
        self._broken = False
        self._alarm: AlarmRaised | None = None
        self._light_off: LightOff | None = None
        self._noted: dict[str, Scalar] = {}
        self._pictures: list[Picture] = []

    @property
    def path(self) -> Path | None:
        """The file; None before the run has started."""
        return self._path

    @property
    def images(self) -> int:
        """Images recorded so far."""
        return 0 if self._file is None else self._file.images.rows

    def attach(self, bus: EventBus) -> None:
        """Record the run that ``bus`` tells of."""
        bus.subscribe(RunStarted, self.start)
        bus.subscribe(LayerMeasured, lambda event: self.layer(event.layer, event.image, schema.layer_row(event)))
        bus.subscribe(ImageFinished, lambda event: self.image(event.image, schema.image_row(event)))
        bus.subscribe(AlarmRaised, self.alarm)
        bus.subscribe(LightOff, self.light_off)
        bus.subscribe(DataRecovered, self.recovered)
        bus.subscribe(Rechecked, self.rechecked)
        bus.subscribe(RunFinished, self.finish)

    def note(self, provenance: Snapshot) -> None:
        """Before the run has started: what shall stand in its provenance as well."""
        self._noted |= provenance

    def close(self) -> None:
        """Release the file as it is: a run without RunFinished keeps the status "running". Safe to call twice."""
        file, self._file = self._file, None
        self._reserve.free()
        if file is not None:
            file.close()

    def start(self, event: RunStarted) -> None:
        """Make the file."""
        if self._file is not None or self._path is not None:
            raise RecordError("a recorder writes one run only", "Make a new RunRecorder for each run.")
        disk.make_folder(self._folder)
        self._reserve.hold(RESERVE_BYTES)
        disk.check_free(self._folder, MARGIN_BYTES)
        self._path, self._file = self._create(event) if self._resumed is None else self._resume(*self._resumed)
        with self._writing() as file:
            file.commit()
        self._flushed_s = self._synced_s = self._clock.now()

    def _create(self, event: RunStarted) -> tuple[Path, RunFile]:
        started_s = self._wall_time()
        stem = f"{datetime.fromtimestamp(started_s, UTC):%Y%m%dT%H%M%SZ}-{self._stem}"
        values = layout.provenance(event, started_s, self._process) | self._noted
        number = 1
        while True:
            path = self._folder / (f"{stem}.h5" if number == 1 else f"{stem}-{number}.h5")
            part = disk.part_of(path)
            try:
                if path.exists():
                    raise FileExistsError
                file = RunFile(part, event, values)
                file.follow()
                file.sync()
                disk.give_name(part, path)
            except FileExistsError:
                number += 1
            except (OSError, RuntimeError) as error:
                raise RecordError(f"{path}: cannot be made ({error})", "Name another output folder.") from None
            else:
                return path, file

    def _resume(self, run: Run, images: int) -> tuple[Path, RunFile]:
        """A file with the images that are kept, in the place of the one that was left."""
        part = disk.part_of(run.path)
        moment = f"{layout.iso(self._wall_time())} after {images} images"
        before = run.provenance.get("resumed")
        resumed = f"{before}; {moment}" if before else moment
        values = layout.changed(run.provenance, resumed=resumed, **self._noted)
        try:
            part.unlink(missing_ok=True)
            file = RunFile(part, run.started, values)
            rows = [images] * len(run.whole)
            if run.rechecks is not None:
                rows[-1] = rechecks_until(run, images - 1)  # those before the next image come again
            file.fill(run, rows)
            file.follow()
            file.commit()
            file.sync()
            disk.put_in_place(part, run.path)
        except (OSError, RuntimeError) as error:
            raise RecordError(f"{run.path}: cannot be taken up again ({error})", "Check the disk.") from None
        return run.path, file

    def layer(self, layer: int, image: int, row: Sequence[float]) -> None:
        """One row of a layer."""
        with self._writing() as file:
            self._in_order(file.layers[layer], image, f"layer {layer}")
            file.layers[layer].add(row)

    def image(self, image: int, row: Sequence[float]) -> None:
        """One row of the images."""
        with self._writing() as file:
            self._in_order(file.images, image, "images")
            full = file.images.add(row)
        if full or self._clock.now() - self._flushed_s >= FLUSH_INTERVAL_S:
            self.flush()

    def recovered(self, event: DataRecovered) -> None:
        """One row of what a curious server found."""
        with self._writing() as file:
            if file.overlaps is None:
                raise RecordError(
                    f"{self._path}: data were recovered in a run whose server does not look for them",
                    "This is a fault of the program.",
                )
            self._in_order(file.overlaps, event.image, "recovery")
            file.overlaps.add((event.overlap,))
        if event.picture is not None:
            self._pictures.append(event.picture)

    def rechecked(self, event: Rechecked) -> None:
        """One row of what was looked at again; it is put down at once, since what follows may end the run."""
        with self._writing() as file:
            if file.rechecks is None:
                raise RecordError(
                    f"{self._path}: there was a re-check in a run that asked for none",
                    "This is a fault of the program.",
                )
            file.rechecks.add(schema.recheck_row(event))
        self.flush()

    def alarm(self, event: AlarmRaised) -> None:
        """The first counts."""
        self._alarm = self._alarm or event
        self.flush()

    def light_off(self, event: LightOff) -> None:
        """Kept for the end."""
        self._light_off = event

    def _in_order(self, table: Table, image: int, what: str) -> None:
        if image != table.rows:
            raise RecordError(
                f"{self._path}: {what}: image {image} came where image {table.rows} was due",
                "Every image must be recorded once, in order: this is a fault of the program.",
            )

    def flush(self) -> None:
        """What was gathered goes to the file, and counts."""
        self._check_space()
        with self._writing() as file:
            file.commit()
            self._flushed_s = self._clock.now()
            if self._flushed_s - self._synced_s >= SYNC_INTERVAL_S:
                file.sync()
                self._synced_s = self._flushed_s

    def _check_space(self) -> None:
        """Room for the end of the run, which takes a copy of the file, must stay. Raises RecordError."""
        size = self._path.stat().st_size if self._path is not None else 0
        steps = -(-size // RESERVE_BYTES)  # the reserve grows by whole steps, not with every block
        self._reserve.hold((1 + steps) * RESERVE_BYTES)
        disk.check_free(self._folder, MARGIN_BYTES)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[RunFile]:
        """The open file; what HDF5 says against it becomes a RecordError, after which nothing more is written."""
        if self._file is None:
            raise RecordError("there is no run file to write to", "Publish RunStarted first.")
        try:
            yield self._file
        except (OSError, RuntimeError, ValueError, TypeError, IndexError) as error:
            self._broken = True
            self.close()
            raise RecordError(
                f"{self._path}: cannot be written ({error})",
                "Check the disk; what was flushed before can still be read.",
            ) from error

    def finish(self, event: RunFinished) -> None:
        """The end of the run, on a copy of what was written so far; of what was not, nothing can be said any more."""
        if self._path is None or (self._file is None and not self._broken):
            return  # The file was never made: that error has been raised already.
        self._reserve.free()
        if self._file is not None:
            with contextlib.suppress(RecordError), self._writing() as file:
                file.commit()
        self.close()
        part = disk.part_of(self._path)
        try:
            part.unlink(missing_ok=True)
            if self._broken:
                rebuilt(self._path, part)
            else:
                shutil.copyfile(self._path, part)
            with h5py.File(part, "r+", libver="latest") as h5:
                self._end(h5, event)
                h5.flush()
                os.fsync(h5.id.get_vfd_handle())
            disk.put_in_place(part, self._path)
        except (OSError, RuntimeError) as error:
            raise RecordError(
                f"{self._path}: the end of the run cannot be written ({error})",
                "Check the disk; 'labctl recover' makes the file an ordinary one.",
            ) from error

    def _end(self, h5: h5py.File, event: RunFinished) -> None:
        layout.write_provenance(h5, {"finished": layout.iso(self._wall_time())})
        layout.write_end(h5, event, self._alarm, self._light_off)
        if event.adversary is not None:
            layout.write_adversary(h5, event.adversary, self._pictures)
        layout.seal_end(h5)
