"""Writes the run file while the run goes on.

The file is in HDF5's single-writer-multiple-readers mode: whenever the process is killed, what was flushed can be read.
Rows are gathered and flushed in blocks; the number of rows that count is flushed after them. The end of the run is
written to a copy that then takes the file's place, so that there is no moment at which a kill leaves a broken file.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from labctl.clock import Clock, SystemClock
from labctl.errors import RecordError
from labctl.events import (
    AdversaryResult,
    AlarmRaised,
    DataRecovered,
    EventBus,
    ImageFinished,
    LayerMeasured,
    LightOff,
    RunFinished,
    RunStarted,
)
from labctl.record import attributes, schema
from labctl.record.table import BLOCK, Table

#: Longest time that a finished image waits in memory, as long as images go on being finished.
FLUSH_INTERVAL_S = 1.0
#: How often the operating system is asked to put the file onto the disk.
SYNC_INTERVAL_S = 5.0
#: Free space that is never used for rows, so that the run's end can still be written.
RESERVE_BYTES = 16 * 2**20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Picture = tuple[tuple[float, ...], ...]


class RunRecorder:
    """Writes one run into ``folder``, from the events on a bus.

    The file appears with :class:`RunStarted`, under the name ``YYYYMMDDThhmmssZ-<name>-<seed>.h5`` (UTC). A file that
    is there is never touched: when the name is taken, ``-2``, ``-3``, ... goes before ``.h5``. ``wall_time``: seconds
    since 1970; ``clock``: paces the flushes (real time, not a simulated lab's). All failures are RecordError, raised to
    the publisher of the event.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        seed: int,
        *,
        wall_time: Callable[[], float] = time.time,
        clock: Clock | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise RecordError(f"{name!r} cannot be part of a file name", "Use letters, digits, _ and -, at most 64.")
        self._folder = folder
        self._stem = f"{name}-{seed}"
        self._wall_time = wall_time
        self._clock = clock or SystemClock()
        self._path: Path | None = None
        self._file: h5py.File | None = None
        self._images: Table
        self._layers: list[Table]
        self._overlaps: Table | None = None
        self._flushed_s = self._synced_s = 0.0
        self._alarm: AlarmRaised | None = None
        self._light_off: LightOff | None = None
        self._pictures: list[Picture] = []

    @property
    def path(self) -> Path | None:
        """The file; None before the run has started."""
        return self._path

    def attach(self, bus: EventBus) -> None:
        """Record the run that ``bus`` tells of."""
        bus.subscribe(RunStarted, self._on_started)
        bus.subscribe(LayerMeasured, self._on_layer)
        bus.subscribe(ImageFinished, self._on_image)
        bus.subscribe(AlarmRaised, self._on_alarm)
        bus.subscribe(LightOff, self._on_light_off)
        bus.subscribe(DataRecovered, self._on_recovered)
        bus.subscribe(RunFinished, self._on_finished)

    def close(self) -> None:
        """Release the file as it is: a run without RunFinished keeps the status "running". Safe to call twice."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError, RuntimeError):
                file.close()

    def _on_started(self, event: RunStarted) -> None:
        if self._file is not None or self._path is not None:
            raise RecordError("a recorder writes one run only", "Make a new RunRecorder for each run.")
        self._make_folder()
        self._check_space()
        self._path, self._file = self._create()
        with self._writing() as file:
            _write_head(file, event)
            attributes.put(file[schema.PROVENANCE], self._provenance(event))
            self._images = Table(file.create_group(schema.IMAGES), schema.image_columns(event.classes))
            layers = file.create_group(schema.LAYERS)
            self._layers = [
                Table(layers.create_group(str(number)), schema.LAYER_COLUMNS)
                for number in range(len(event.layer_shapes))
            ]
            if event.run.get("adversary", {}).get("server_recovers_data"):
                self._overlaps = Table(file.create_group(schema.RECOVERY), schema.RECOVERY_COLUMNS)
            file.create_dataset(schema.COMMITTED, data=np.zeros(1 + len(self._layers), "i8"))
            file.swmr_mode = True
            file.flush()
        self._flushed_s = self._synced_s = self._clock.now()

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(
                f"{self._folder}: cannot be made or is no folder ({error.strerror})",
                "Name another output folder.",
            ) from None

    def _create(self) -> tuple[Path, h5py.File]:
        moment = datetime.fromtimestamp(self._wall_time(), UTC)
        stem = f"{moment:%Y%m%dT%H%M%SZ}-{self._stem}"
        number = 1
        while True:
            path = self._folder / (f"{stem}.h5" if number == 1 else f"{stem}-{number}.h5")
            try:
                return path, h5py.File(path, "x", libver="latest", rdcc_nbytes=2**16)
            except FileExistsError:
                number += 1
            except OSError as error:
                raise RecordError(f"{path}: cannot be made ({error})", "Name another output folder.") from None

    def _provenance(self, event: RunStarted) -> dict[str, str | int]:
        return {
            "started": _iso(self._wall_time()),
            "software": event.software,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "h5py": h5py.__version__,
            "hdf5": h5py.version.hdf5_version,
            "platform": platform.platform(),
            "host": platform.node(),
            "process": os.getpid(),
            "operator": str(event.run.get("operator", "")),
        }

    def _on_layer(self, event: LayerMeasured) -> None:
        with self._writing():
            table = self._layers[event.layer]
            self._in_order(table, event.image, f"layer {event.layer}")
            table.add(schema.layer_row(event))

    def _on_image(self, event: ImageFinished) -> None:
        with self._writing():
            self._in_order(self._images, event.image, "images")
            self._images.add(schema.image_row(event))
        full = self._images.rows % BLOCK == 0
        if full or self._clock.now() - self._flushed_s >= FLUSH_INTERVAL_S:
            self._check_space()
            self._flush()

    def _on_recovered(self, event: DataRecovered) -> None:
        with self._writing():
            if self._overlaps is None:
                raise RecordError(
                    f"{self._path}: data were recovered in a run whose server does not look for them",
                    "This is a fault of the program.",
                )
            self._in_order(self._overlaps, event.image, "recovery")
            self._overlaps.add((event.overlap,))
        if event.picture is not None:
            self._pictures.append(event.picture)

    def _on_alarm(self, event: AlarmRaised) -> None:
        self._alarm = self._alarm or event
        self._flush()

    def _on_light_off(self, event: LightOff) -> None:
        self._light_off = event

    def _in_order(self, table: Table, image: int, what: str) -> None:
        if image != table.rows:
            raise RecordError(
                f"{self._path}: {what}: image {image} came where image {table.rows} was due",
                "Every image must be recorded once, in order: this is a fault of the program.",
            )

    def _flush(self) -> None:
        """Rows first, then how many count: a reader never meets a row that is not complete."""
        with self._writing() as file:
            rows = [table.write() for table in (self._images, *self._layers)]
            if self._overlaps is not None:
                self._overlaps.write()
            file.flush()
            file[schema.COMMITTED].id.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(rows, "i8"))
            file.flush()
            self._flushed_s = self._clock.now()
            if self._flushed_s - self._synced_s >= SYNC_INTERVAL_S:
                os.fsync(file.id.get_vfd_handle())
                self._synced_s = self._flushed_s

    def _check_space(self) -> None:
        """Room for the end of the run, which takes a copy of the file, must stay free. Raises RecordError."""
        size = self._path.stat().st_size if self._path is not None else 0
        free = shutil.disk_usage(self._folder).free
        if free < RESERVE_BYTES + size:
            raise RecordError(
                f"{self._folder}: only {free / 2**20:.0f} MiB are free on this disk",
                "Free some space, or name an output folder on another disk.",
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[h5py.File]:
        """The open file; what HDF5 says against it becomes a RecordError, after which nothing more is written."""
        if self._file is None:
            raise RecordError("there is no run file to write to", "Publish RunStarted first.")
        try:
            yield self._file
        except (OSError, RuntimeError, ValueError, TypeError, IndexError) as error:
            self.close()
            raise RecordError(
                f"{self._path}: cannot be written ({error})",
                "Check the disk; what was flushed before can still be read.",
            ) from error

    def _on_finished(self, event: RunFinished) -> None:
        if self._file is None or self._path is None:
            return  # The file was never made, or failed before: that error has been raised already.
        self._flush()
        self.close()
        finishing = self._path.with_suffix(".h5.part")
        try:
            shutil.copyfile(self._path, finishing)
            with h5py.File(finishing, "r+", libver="latest") as file:
                file[schema.PROVENANCE].attrs["finished"] = _iso(self._wall_time())
                _write_end(file, event, self._alarm, self._light_off)
                if event.adversary is not None:
                    _write_adversary(file[schema.RESULT], event.adversary, self._pictures)
                    _link_overlaps(file)
                file.flush()
                os.fsync(file.id.get_vfd_handle())
            os.replace(finishing, self._path)
        except (OSError, RuntimeError) as error:
            raise RecordError(
                f"{self._path}: the end of the run cannot be written ({error})",
                "Check the disk; the file is readable, with the status 'running'.",
            ) from error


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _write_head(file: h5py.File, event: RunStarted) -> None:
    attributes.put(
        file,
        {
            "format": schema.FORMAT,
            "format_version": schema.FORMAT_VERSION,
            "name": event.name,
            "simulated": event.simulated,
            "seed": event.seed,
            "images": event.images,
            "classes": event.classes,
            "clean_accuracy": event.clean_accuracy,
            "status": "running",
        },
    )
    file.attrs["layer_shapes"] = np.array(event.layer_shapes, "i8").reshape(-1, 2)
    config = file.create_group(schema.CONFIG)
    for key, table in (("run", event.run), ("bench", event.bench)):
        config.attrs[key] = attributes.to_json(table)
        attributes.put(config.create_group(key), dict(attributes.flat(table)))
    file.create_group(schema.PROVENANCE)
    instruments = file.create_group(schema.INSTRUMENTS, track_order=True)
    for name, snapshot in event.snapshots.items():
        attributes.put(instruments.create_group(name), snapshot)
    attributes.put(file.create_group(schema.CALIBRATION), event.calibration)


def _write_end(file: h5py.File, event: RunFinished, alarm: AlarmRaised | None, light_off: LightOff | None) -> None:
    file.attrs["status"] = event.status
    result = file.create_group(schema.RESULT)
    attributes.put(
        result,
        {
            "status": event.status,
            "verdict": event.verdict or "",
            "cause": event.cause,
            "images": event.images,
            "warnings": json.dumps(event.warnings),
            "doubtful": event.doubtful,
            "doubtful_from": event.images if event.doubtful else -1,
            **attributes.interval("accuracy", event.accuracy),
        },
    )
    if event.pooled is not None:
        attributes.put(result.create_group("pooled"), attributes.check(event.pooled))
    layers = result.create_group(schema.LAYERS)
    for number, check in enumerate(event.layers):
        attributes.put(layers.create_group(str(number)), attributes.check(check))
    if alarm is not None:
        values = {"image": alarm.image, "excess_snu": alarm.excess, "threshold_snu": alarm.threshold}
        attributes.put(result.create_group("alarm"), values)
    if light_off is not None:
        dark = file.create_group(schema.SAFE_STATE, track_order=True)
        for state in light_off.readback:
            group = dark.create_group(state.instrument)
            attributes.put(group, {"dark": state.dark, "problem": state.problem})
            attributes.put(group.create_group("readings"), state.readings)


def _write_adversary(result: h5py.Group, found: AdversaryResult, pictures: list[Picture]) -> None:
    if found.attack is not None:
        attributes.put(result.create_group(schema.ATTACK), attributes.attack(found.attack))
    if found.recovery is not None:
        group = result.create_group(schema.RECOVERY)
        attributes.put(group, asdict(found.recovery))
        group.create_dataset("pictures", data=np.array(pictures, "f8"))


def _link_overlaps(file: h5py.File) -> None:
    """The overlaps, written as they came, under the result as well."""
    if schema.RECOVERY in file and schema.RECOVERY in file[schema.RESULT]:
        file[schema.RESULT][schema.RECOVERY][schema.OVERLAPS] = file[schema.RECOVERY][schema.OVERLAPS]
