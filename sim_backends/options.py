"""Options of a simulated unit, taken from its table in the bench file."""

from __future__ import annotations

from collections.abc import Mapping

from labctl.errors import ConfigError


class OptionReader:
    """Takes a unit's options one by one, with their types, and complains about those that nobody
    took.
    """

    def __init__(self, name: str, model: str, options: Mapping[str, object]) -> None:
        self._where = f"unit {name!r} ({model})"
        self._options = dict(options)
        self._known: list[str] = []

    def _take(self, key: str, default: object) -> object:
        self._known.append(key)
        return self._options.pop(key, default)

    def text(self, key: str, default: str, allowed: tuple[str, ...] = ()) -> str:
        """A string, one of ``allowed`` if any are given."""
        value = self._take(key, default)
        if not isinstance(value, str) or (allowed and value not in allowed):
            raise self._wrong(key, value, f"one of {', '.join(allowed)}" if allowed else "a text")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number within [low, high]."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(key, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """An integer within [low, high]."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(key, value, f"an integer from {low} to {high}")
        return value

    def finish(self) -> None:
        """Raises ConfigError when an option is left over."""
        if self._options:
            raise ConfigError(
                f"{self._where}: unknown option {', '.join(map(repr, self._options))}",
                f"Known options: {', '.join(self._known) or 'none'}.",
            )

    def _wrong(self, key: str, value: object, wanted: str) -> ConfigError:
        return ConfigError(f"{self._where}: option {key} is {value!r}", f"Give {key} as {wanted}, or leave it out.")
