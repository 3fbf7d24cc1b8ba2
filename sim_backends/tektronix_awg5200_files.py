"""Mass storage of a simulated Tektronix AWG5200 or AWG70000: files that clients send, and what is read from them.

``.wfmx``: an XML head whose first element tells in ``offset`` how long it is, then float32, then a byte of markers per
sample where ``MarkersIncluded`` says so. ``.seqx``: a zip archive of ``Sequences/*.sml`` and ``Waveforms/*.wfmx``. Both
as QCoDeS's driver writes them.
"""

from __future__ import annotations

import io
import ntpath
import re
import zipfile
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np

from sim_backends.status import ScpiError
from sim_backends.tektronix_awg5200_memory import Sequence, Waveform

WAITS = {"None": "OFF", "TrigA": "ATR", "TrigB": "BTR", "Internal": "ITR"}
GOTOS = {"Next": "NEXT", "First": "FIRS", "Last": "LAST", "End": "END"}


class MassStorage:
    """Files by their full paths, without regard to case."""

    def __init__(self) -> None:
        self.folder = "C:\\Users\\OEM\\Documents"
        self._files: dict[str, tuple[str, bytes]] = {}

    def _key(self, path: str) -> str:
        return ntpath.normpath(ntpath.join(self._full(self.folder), self._full(path))).lower()

    @staticmethod
    def _full(path: str) -> str:
        return "C:" + path if path.startswith(("\\", "/")) else path

    def write(self, path: str, start: int, data: bytes) -> None:
        """A new file, or more of one from byte ``start`` on."""
        before = self._files.get(self._key(path), (path, b""))[1][:start] if start else b""
        self._files[self._key(path)] = (ntpath.basename(path), before + data)

    def read(self, path: str) -> bytes:
        """Raises ScpiError -256."""
        if self._key(path) not in self._files:
            raise ScpiError(-256)
        return self._files[self._key(path)][1]

    def delete(self, path: str) -> None:
        """Raises ScpiError -256."""
        if self._files.pop(self._key(path), None) is None:
            raise ScpiError(-256)

    def catalogue(self) -> Iterator[tuple[str, int]]:
        """Names and sizes of the files in the present folder."""
        folder = self._key(".")
        for key, (name, data) in self._files.items():
            if ntpath.dirname(key) == folder:
                yield name, len(data)


def waveform_of(path: str, data: bytes) -> Waveform:
    """The waveform in a .wfmx file. Raises ScpiError."""
    match = re.match(rb'<DataFile[^>]*offset="(\d+)"', data)
    if match is None:
        raise ScpiError(-230, "no waveform file")
    head, body = data[: int(match[1])].decode("utf-8"), data[int(match[1]) :]
    length = int(_tagged(head, "NumberSamples"))
    if len(body) < 4 * length:
        raise ScpiError(-230, f"{length} samples are announced, {len(body) // 4} are there")
    waveform = Waveform(ntpath.splitext(ntpath.basename(path))[0], np.frombuffer(body, "<f4", length).copy())
    if _tagged(head, "MarkersIncluded") == "true" and len(body) >= 5 * length:
        waveform.write_markers(0, np.frombuffer(body, np.uint8, length, 4 * length))
    return waveform


def _tagged(head: str, tag: str) -> str:
    match = re.search(rf"<{tag}>([^<]*)</{tag}>", head)
    if match is None:
        raise ScpiError(-230, f"no {tag}")
    return match[1].strip()


def assets_of(data: bytes) -> tuple[list[Waveform], list[Sequence]]:
    """Waveforms and sequences in a .seqx file. Raises ScpiError."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        raise ScpiError(-230, "no sequence file") from None
    names = archive.namelist()
    waveforms = [waveform_of(name, archive.read(name)) for name in names if name.lower().endswith(".wfmx")]
    return waveforms, [_sequence_of(archive.read(name)) for name in names if name.lower().endswith(".sml")]


def _sequence_of(data: bytes) -> Sequence:
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError:
        raise ScpiError(-230, "no sequence") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    steps = root.find(".//Steps")
    if steps is None:
        raise ScpiError(-230, "no steps")
    sequence = Sequence(root.findtext(".//SequenceName") or "", int(steps.get("TrackCount", "1")))
    for number, described in enumerate(steps.findall("Step"), start=1):
        sequence.add(number, 1)
        step = sequence.steps[number - 1]
        infinite = described.findtext("Repeat") == "Infinite"
        step.repeats = 0 if infinite else int(described.findtext("RepeatCount") or 1)
        step.wait = WAITS.get(described.findtext("WaitInput") or "None", "OFF")
        goto = described.findtext("GoTo") or "Next"
        step.goto = GOTOS.get(goto) or str(int(described.findtext("GoToStep") or 1))
        for track, asset in enumerate(described.findall(".//AssetName")[: sequence.tracks]):
            step.tracks[track] = asset.text or ""
    return sequence
