"""Columns keep every row until they are full, then every second one, and always the newest."""

from __future__ import annotations

import numpy as np

from gui.table import Table


def test_all_rows_while_there_is_room() -> None:
    table = Table(("image", "value"), capacity=100)
    for number in range(100):
        table.add((number, number**2))
    np.testing.assert_array_equal(table["image"], np.arange(100))
    np.testing.assert_array_equal(table["value"], np.arange(100) ** 2)


def test_a_million_rows_take_no_more_room() -> None:
    table = Table(("image", "value"), capacity=64)
    for number in range(100_001):
        table.add((number, -number))
        assert table["image"][-1] == number
        assert len(table) <= 64
    kept = table["image"]
    np.testing.assert_array_equal(table["value"], -kept)
    np.testing.assert_array_equal(kept[:-1] % table.stride, 0)
    assert set(np.diff(kept[:-1])) == {table.stride}
    assert len(kept) > 24
