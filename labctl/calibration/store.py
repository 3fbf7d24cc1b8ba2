"""Where results are kept: a folder a bench, a TOML file a result with its curves beside it, nothing ever replaced.

The first line of a TOML file is the SHA-256 of every byte after it, among them that of the curves' file. What does not
agree with it was changed since it was measured, and is no result.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import AfterValidator, Field

from labctl.calibration.result import Curve, Demand, Double, Panel, Quantity, Result
from labctl.config import BenchConfig
from labctl.errors import CalibrationError, ConfigError
from labctl.npz import MAX_ARRAY_BYTES, check_archive, read_array
from labctl.schema import MAX_BYTES, StrictModel, parse_toml, read_toml, validate

FORMAT: Final = "labctl calibration"
VERSION: Final = 2
#: Which bench a folder belongs to.
LABEL: Final = "bench.toml"
AGAIN: Final = "Calibrate again into a new folder."


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("give the time zone")
    return text


class _Quantity(StrictModel):
    name: str
    value: float
    standard_error: float
    unit: str = ""
    degrees: float | None = None


class _Demand(StrictModel):
    text: str
    held: bool
    remedy: str = ""


class _Curve(StrictModel):
    label: str
    key: str
    line: bool
    errors: bool


class _Panel(StrictModel):
    title: str
    x_label: str
    y_label: str
    curves: list[_Curve] = Field(default_factory=list)


class _Entry(StrictModel):
    """One file, as it is written and read again."""

    sha256: str
    format: Literal["labctl calibration"]
    version: Literal[2]
    curves_sha256: str
    procedure: str
    taken_at: Annotated[str, AfterValidator(_moment)]
    outcome: Literal["passed", "failed", "skipped"]
    message: str
    remedy: str
    software: str
    assumed: list[str]
    point: dict[str, float]
    quantities: list[_Quantity] = Field(default_factory=list)
    demands: list[_Demand] = Field(default_factory=list)
    panels: list[_Panel] = Field(default_factory=list)


def working_point(config: BenchConfig) -> dict[str, float]:
    """What a result holds for: another value makes it stale."""
    return {
        "laser_power_w": config.laser.power,
        "wavelength_m": config.laser.wavelength,
        "sample_rate_hz": config.sample_rate,
        "client_full_scale_v": config.client_receiver.full_scale,
        "server_full_scale_v": config.server_receiver.full_scale,
    }


class Store:
    """The results of one bench."""

    def __init__(self, folder: Path, bench: str) -> None:
        """``bench``: its name in the bench file. The folder is made when the first result is kept."""
        self.folder = folder
        self._bench = bench

    def keep(self, result: Result) -> Path:
        """Write one more result; the curves first, then the file that names them. Raises CalibrationError."""
        try:
            self._own()
            number = len(self._files()) + 1
            stem = self.folder / f"{number:05d}-{result.procedure}"
            curves, entry = _written(result)
            _put(stem.with_suffix(".npz"), curves)
            _put(stem.with_suffix(".toml"), entry)
        except OSError as error:
            raise CalibrationError(
                f"{self.folder}: the result of {result.procedure} cannot be kept: {error}", "Name a folder with room."
            ) from error
        return stem.with_suffix(".toml")

    def history(self, procedure: str | None = None) -> list[Result]:
        """All results, oldest first; of one procedure, if named. Raises ConfigError for a file that is none."""
        self._check_label()
        return [_read(path) for path in self._files() if procedure is None or path.stem.partition("-")[2] == procedure]

    def latest(self) -> dict[str, Result]:
        """The last result of each procedure, whatever its outcome."""
        self._check_label()
        newest = {path.stem.partition("-")[2]: path for path in self._files()}
        return {name: _read(path) for name, path in newest.items()}

    def in_force(self, config: BenchConfig, now_s: float) -> dict[str, Result]:
        """The last results that passed and have not gone stale ``now_s`` seconds after 1970."""
        return {
            name: result
            for name, result in self.latest().items()
            if result.passed and stale(result, config, now_s) is None
        }

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("[0-9]*-*.toml"))

    def _own(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        label = self.folder / LABEL
        if not label.exists():
            _put(label, f'format = "{FORMAT}"\nbench = {json.dumps(self._bench)}\n'.encode())
        self._check_label()

    def _check_label(self) -> None:
        label = self.folder / LABEL
        if not self.folder.is_dir():
            return
        if not label.is_file():
            if any(self.folder.iterdir()):
                raise ConfigError(f"{self.folder}: this folder holds no calibrations", "Name a new or an empty folder.")
            return
        name = read_toml(label).get("bench")
        if name != self._bench:
            raise ConfigError(
                f"{self.folder}: these are the calibrations of bench {name!r}, not of {self._bench!r}",
                "Name the folder of this bench.",
            )


def stale(result: Result, config: BenchConfig, now_s: float) -> str | None:
    """Why a result does not count any more; None as long as it does."""
    age_s = now_s - datetime.fromisoformat(result.taken_at).timestamp()
    if age_s > 3600 * config.calibration.valid_hours:
        return f"{age_s / 3600:.1f} hours old, valid for {config.calibration.valid_hours:g}"
    if age_s < -60:
        return f"measured {-age_s:.0f} s from now"
    for key, value in working_point(config).items():
        if result.point.get(key) != value:
            return f"measured at {key} = {result.point.get(key)}, the bench has {value:g}"
    return None


def _put(path: Path, content: bytes) -> None:
    """The whole file or none."""
    with_suffix = path.with_name(f".{path.name}.part")
    with with_suffix.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(with_suffix, path)


def _written(result: Result) -> tuple[bytes, bytes]:
    """The file of the curves, and the one that names them."""
    arrays: dict[str, Any] = {}
    panels = []
    for index, panel in enumerate(result.panels):
        curves = []
        for place, curve in enumerate(panel.curves):
            key = f"p{index}c{place}"
            arrays |= {f"{key}_x": curve.x, f"{key}_y": curve.y}
            if curve.error is not None:
                arrays[f"{key}_e"] = curve.error
            curves.append({"label": curve.label, "key": key, "line": curve.line, "errors": curve.error is not None})
        panels.append({"title": panel.title, "x_label": panel.x_label, "y_label": panel.y_label, "curves": curves})
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    head: dict[str, Any] = {"format": FORMAT, "version": VERSION, "curves_sha256": _sha256(buffer.getvalue())}
    head |= {key: getattr(result, key) for key in ("procedure", "taken_at", "outcome", "message", "remedy", "software")}
    head["assumed"] = list(result.assumed)
    head["point"] = dict(result.point)
    lines = [f"{key} = {_value(value)}" for key, value in head.items()]
    tables: list[tuple[str, Sequence[Mapping[str, Any]]]] = [
        ("quantities", [_told(quantity) for quantity in result.quantities]),
        ("demands", [vars(demand) for demand in result.demands]),
        ("panels", panels),
    ]
    for name, rows in tables:
        for row in rows:
            lines += ["", f"[[{name}]]", *(f"{key} = {_value(value)}" for key, value in row.items())]
    body = ("\n".join(lines) + "\n").encode()
    return buffer.getvalue(), _seal(body) + body


def _told(quantity: Quantity) -> dict[str, Any]:
    told = dict(vars(quantity))
    if np.isinf(quantity.degrees):
        del told["degrees"]
    return told


def _value(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    return repr(int(value)) if isinstance(value, int) else repr(float(value))


def _key(name: str) -> str:
    """As it is, or in quotes where a dot would open a table."""
    return json.dumps(name) if "." in name else name


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _seal(body: bytes) -> bytes:
    """The line before it."""
    return f'sha256 = "{_sha256(body)}"\n'.encode()


def _changed(path: Path) -> ConfigError:
    return ConfigError(
        f"{path}: does not agree with its checksum: it was changed or damaged since it was measured", AGAIN
    )


def _content(path: Path, cap: int) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(cap + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", AGAIN) from None
    if len(content) > cap:
        raise ConfigError(f"{path}: more than {cap} bytes", AGAIN)
    return content


def _entry(path: Path) -> _Entry:
    """Raises ConfigError for one that is not what was written under this name."""
    content = _content(path, MAX_BYTES)
    line, _, body = content.partition(b"\n")
    sealed = line + b"\n" == _seal(body)
    if not sealed and line.startswith(b"sha256"):
        raise _changed(path)
    tables = parse_toml(content, path)
    if tables.get("format") == FORMAT and tables.get("version") == 1:
        raise ConfigError(f"{path}: from before results had checksums", AGAIN)
    entry = validate(_Entry, tables, str(path))
    if not sealed or entry.procedure != path.stem.partition("-")[2]:
        raise _changed(path)
    return entry


def _curves(path: Path, entry: _Entry) -> dict[str, Double]:
    """By key. Raises ConfigError for a file that is not the one that ``entry`` names."""
    content = _content(path, MAX_ARRAY_BYTES)
    if _sha256(content) != entry.curves_sha256:
        raise _changed(path)
    names = [
        f"{curve.key}_{each}"
        for panel in entry.panels
        for curve in panel.curves
        for each in ("xye" if curve.errors else "xy")
    ]
    try:
        stream = BytesIO(content)
        check_archive(stream)
        with zipfile.ZipFile(stream) as archive:
            if sum(archive.getinfo(f"{name}.npy").file_size for name in names) > MAX_ARRAY_BYTES:
                raise ValueError("the curves are too large")
            return {name: np.asarray(read_array(archive, name), np.float64) for name in names}
    except Exception as error:  # zipfile and numpy's header parser raise nearly anything
        raise ConfigError(f"{path}: {error}", AGAIN) from error


def _read(path: Path) -> Result:
    entry = _entry(path)
    arrays = _curves(path.with_suffix(".npz"), entry)
    panels = tuple(
        Panel(
            panel.title,
            panel.x_label,
            panel.y_label,
            tuple(
                Curve(
                    curve.label,
                    arrays[f"{curve.key}_x"],
                    arrays[f"{curve.key}_y"],
                    arrays[f"{curve.key}_e"] if curve.errors else None,
                    curve.line,
                )
                for curve in panel.curves
            ),
        )
        for panel in entry.panels
    )
    return Result(
        entry.procedure,
        entry.taken_at,
        entry.outcome,
        entry.point,
        tuple(
            Quantity(q.name, q.value, q.standard_error, q.unit, float("inf") if q.degrees is None else q.degrees)
            for q in entry.quantities
        ),
        tuple(Demand(d.text, d.held, d.remedy) for d in entry.demands),
        panels,
        tuple(entry.assumed),
        entry.message,
        entry.remedy,
        entry.software,
    )
