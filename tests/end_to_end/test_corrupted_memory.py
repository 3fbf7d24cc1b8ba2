"""One word in the memory of the server's generator is what the light is made of: who changes it changes the light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pyvisa

from labctl.events import ImageFinished, LayerMeasured
from labctl.experiment import load_experiment
from labctl.protocol.encoding import pack_rows
from labctl.shipped import bench_path
from sim_backends.lab import Lab
from tests.end_to_end.followed import Followed

SERVER_AWG = "TCPIP0::192.168.10.21::5025::SOCKET"
IN_PHASE, FIRST_LAYER = 1, 1


@dataclass
class Tampering:
    """A second program that knows only pyvisa: negates the largest word of the first layer's in-phase segment."""

    word: int = 0

    def __call__(self) -> None:
        manager = pyvisa.ResourceManager(f"{bench_path('ideal')}@labctl")
        session = manager.open_resource(SERVER_AWG, read_termination="\n", write_termination="\n")
        assert isinstance(session, pyvisa.resources.MessageBasedResource)
        samples = int(session.query(f":TRACe{IN_PHASE}:CATalog?").split(",")[1])
        query = f":TRACe{IN_PHASE}:DATA:BLOCk? {FIRST_LAYER},0,{samples}"
        words = session.query_binary_values(query, datatype="h", container=np.array).astype(np.int32)
        place = int(np.argmax(np.abs(words)))
        self.word = int(words[place])
        session.write_binary_values(f":TRACe{IN_PHASE}:DATA {FIRST_LAYER},{place},", [-self.word], datatype="h")
        assert session.query(":SYSTem:ERRor?").startswith("0,")
        session.close()


def test_one_word_changes_the_light(tmp_path: Path, lab: Lab) -> None:
    """Between the second and the third image. The server goes on to believe in what it loaded, so Σs² stays; the one
    mode comes back with the other sign, which takes √2 s² from Σsr, and looks like noise. The client reads another
    number in that row, where its image is not black there. Images before are as they were, to the bit.
    """
    run_file = tmp_path / "job.toml"
    run_file.write_text(
        'dataset = "digits"\nmodel = "digits"\ngain = 2.0\nmean_photons = 4.0\nseed = 5\non_alarm = "continue"\n'
    )
    tampering = Tampering()
    honest, changed = Followed(name=run_file), Followed(tampering, run_file)
    assert tampering.word != 0
    experiment = load_experiment(run_file)
    amplitudes = pack_rows(experiment.network.weights[0], experiment.run.mean_photons)
    brightest = 2 * float(np.abs(amplitudes.real).max())
    for one, other in zip(honest.of(LayerMeasured), changed.of(LayerMeasured), strict=True):
        if one.image < 2:
            assert one == other
        elif one.layer == 0:
            assert other.sum_ss == one.sum_ss
            assert other.sum_sr - one.sum_sr == pytest.approx(-np.sqrt(2) * brightest**2, rel=0.02)
            assert other.sum_rr != one.sum_rr
    scores = [[event.scores for event in run.of(ImageFinished)] for run in (honest, changed)]
    assert scores[0][:2] == scores[1][:2]
    assert scores[0][2:] != scores[1][2:]
    assert (honest.outcome.verdict, changed.outcome.verdict) == ("accepted", "alarm")
