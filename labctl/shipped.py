"""Where the example benches and runs that travel with labctl are found, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import ConfigError

#: Characters of a name in a message.
LONGEST = 200


def examples() -> Path:
    """The folder of shipped examples."""
    here = Path(__file__).resolve().parent
    for folder in (here / "examples", here.parent / "examples"):
        if (folder / "ideal.bench.toml").is_file():
            return folder
    raise ConfigError(f"the shipped examples are missing beside {here}", "Reinstall labctl.")


def bench_path(name: str) -> Path:
    """A bench file by path, or a shipped one by name ("ideal"). Raises ConfigError."""
    return _find(name, ".bench.toml", "bench")


def run_path(name: str) -> Path:
    """A run file by path, or a shipped one by name ("digits", "mnist"). Raises ConfigError."""
    return _find(name, ".toml", "run")


def _find(name: str, suffix: str, kind: str) -> Path:
    path = Path(name)
    if path.suffix == ".toml" or "/" in name:
        if not _there(path):
            raise ConfigError(f"{name[:LONGEST]}: no such {kind} file", "Check the path.")
        return path
    folder = examples()
    found = folder / f"{name}{suffix}"
    if _there(found):
        return found
    names = sorted(p.name.removesuffix(suffix) for p in folder.glob(f"*{suffix}"))
    if kind == "run":
        names = [each for each in names if not each.endswith(".bench")]
    raise ConfigError(
        f"{name[:LONGEST]!r} is neither a {kind} file nor a shipped {kind}",
        f"Name a .toml file, or one of: {', '.join(names)}.",
    )


def _there(path: Path) -> bool:
    """Whether it is a file; a name that is too long for one is none."""
    try:
        return path.is_file()
    except OSError:
        return False
