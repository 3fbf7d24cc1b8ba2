"""The allowance for technical noise is refused where it was not measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.allowance import check_allowance, unknown_allowance
from labctl.config import LinkRole, RunConfig
from labctl.errors import ConfigError
from labctl.experiment import prepare_experiment
from labctl.shipped import bench_path


def planned(photons: float, bench: str = "telecom", *, technical: bool = True) -> list[str]:
    tables = {"name": "x", "dataset": "digits", "model": "digits", "gain": 1.3, "mean_photons": photons}
    run = RunConfig.model_validate(tables | {"bench": bench, "images": 2})
    return prepare_experiment(run, technical=technical).forecast().lines()


def test_longer_rows_than_measured_are_refused() -> None:
    link = LinkRole(technical_excess=0.01, technical_modes=[32, 16])
    check_allowance(link, [32, 32], 1e6)
    with pytest.raises(ConfigError, match=r"at most 32 modes .* has 33") as caught:
        check_allowance(link, [8, 33], 1.0)
    assert "technical-noise" in caught.value.remedy


@pytest.mark.parametrize("bench", ["telecom", "waveform"])
def test_more_light_than_measured_is_refused_before_the_run(bench: str) -> None:
    assert not any(line.startswith("note") for line in planned(6.0, bench))
    with pytest.raises(ConfigError, match=r"measured with 4 photons .* 6\.1 are more"):
        planned(6.1, bench)


def test_to_measure_it_again_is_not_refused() -> None:
    planned(6.1, technical=False)


def test_an_unknown_working_point_is_told(tmp_path: Path) -> None:
    text = bench_path("telecom").read_text(encoding="utf-8").splitlines()
    path = tmp_path / "old.bench.toml"
    kept = [line for line in text if not line.startswith(("technical_modes", "technical_mean_photons"))]
    path.write_text("\n".join(kept), encoding="utf-8")
    assert planned(6.1, str(path))[-1].startswith("note: the bench's file does not tell")
    assert unknown_allowance(LinkRole()) is None
