"""Shipped benches and runs are found by name, files by path."""

from __future__ import annotations

from pathlib import Path

import pytest

from labctl.errors import ConfigError
from labctl.shipped import bench_path, examples, run_path


def test_by_name() -> None:
    assert bench_path("ideal") == examples() / "ideal.bench.toml"
    assert run_path("digits") == examples() / "digits.toml"
    assert run_path("mnist").is_file()


def test_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").touch()
    assert bench_path(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"
    monkeypatch.chdir(tmp_path)
    assert run_path("mine.toml") == Path("mine.toml")
    assert run_path("./mine.toml") == Path("mine.toml")


@pytest.mark.parametrize("name", ["none.toml", "some/where", "/none.toml"])
def test_missing_file(name: str) -> None:
    with pytest.raises(ConfigError, match="no such run file") as caught:
        run_path(name)
    assert name in caught.value.message
    assert caught.value.remedy


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="neither a run file nor a shipped run") as caught:
        run_path("digitz")
    assert "digits, digits-telecom, mnist" in caught.value.remedy
    assert "bench" not in caught.value.remedy
    with pytest.raises(ConfigError, match="neither a bench file nor a shipped bench") as caught:
        bench_path("digits")
    assert "ideal" in caught.value.remedy


@pytest.mark.parametrize("name", ["x" * 70_000, "y/" * 3000, "z" * 300 + ".toml"])
def test_names_too_long_for_a_file(name: str) -> None:
    for find in (run_path, bench_path):
        with pytest.raises(ConfigError) as caught:
            find(name)
        assert len(caught.value.message) < 400
