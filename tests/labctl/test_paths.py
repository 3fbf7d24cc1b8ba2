"""Paths in a RUN.toml stay in its folder unless a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config import load_run
from labctl.errors import ConfigError

RUN = 'dataset = "digits"\nmodel = "digits"\ngain = 2.0\nmean_photons = 4.0\n'


def run_file(folder: Path, text: str) -> Path:
    path = folder / "job.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("data_dir", 'data_dir = "/somewhere/mnist"'),
        ("bench", 'bench = "../lab/my.bench.toml"'),
        ("bench", 'bench = "a/../../b.toml"'),
        ("bench", 'bench = "link/b.toml"'),
        ("ledger.weights.file", 'ledger.weights = { file = "/b/w.ledger", bits_per_weight_budget = 2 }'),
    ],
)
def test_paths_do_not_lead_out_of_the_folder_unless_a_person_says_so(tmp_path: Path, key: str, line: str) -> None:
    (tmp_path / "link").symlink_to("/tmp")
    path = run_file(tmp_path, f"{RUN}\n{line}\n")
    with pytest.raises(ConfigError, match=f"key '{key}': .* leads out of the folder") as refusal:
        load_run(path, {})
    assert "--anywhere" in refusal.value.remedy
    load_run(path, {}, anywhere=True)
    if "." not in key:
        assert getattr(load_run(path, {key: "mine"}), key) == "mine", "the command line's are a person's"


def test_absolute_paths_into_the_folder_stay(tmp_path: Path) -> None:
    assert load_run(run_file(tmp_path, f"{RUN}\nbench = '{tmp_path}/b.toml'\n"), {}).bench == f"{tmp_path}/b.toml"


@pytest.mark.parametrize("value", ["a/\\u0000", "x/" * 3000, f"./{'b' * 300}"])
def test_what_is_no_path_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="is no path"):
        load_run(run_file(tmp_path, f'{RUN}\nbench = "{value}"\n'), {})
