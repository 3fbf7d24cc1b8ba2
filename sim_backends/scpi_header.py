"""Header patterns as manuals print them.

``[:SOURce]:POWer[:LEVel]`` has nodes that may be left out; ``:CHANnel<n>:RANGe`` has a numeric suffix, 1 when it is
left out and within 1..4 when the pattern says ``<n:4>``; ``<n:0-4>`` takes an explicit 0 as left out. Any case, short
or long form, the leading colon is optional.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_NODE: Final = re.compile(
    r"(?P<open>\[*):?(?P<name>\*?[A-Za-z][A-Za-z0-9_]*)(?P<suffix><n(?::(?P<zero>0-)?(?P<highest>\d+))?>)?(?P<close>\]*)"
)


class Node(NamedTuple):
    """One node of a header pattern; ``highest``: of its suffix, 0 when any is right, -1 when it has none;
    ``zero``: an explicit 0 counts as left out.
    """

    short: str
    long: str
    optional: bool
    highest: int
    zero: bool = False


def compile_pattern(pattern: str) -> tuple[Node, ...]:
    """The nodes of a pattern. Raises ValueError for one that is not well formed."""
    body = pattern.rstrip("?")
    nodes: list[Node] = []
    position = depth = 0
    while position < len(body):
        match = _NODE.match(body, position)
        if match is None:
            raise ValueError(f"bad header pattern {pattern!r} at {body[position:]!r}")
        position = match.end()
        depth += match["open"].count("[")
        name = match["name"]
        short = "".join(letter for letter in name if not letter.islower())
        highest = int(match["highest"] or 0) if match["suffix"] else -1
        nodes.append(Node(short, name.upper(), depth > 0, highest, bool(match["zero"])))
        depth -= match["close"].count("]")
    return tuple(nodes)


def match_header(names: list[str], nodes: tuple[Node, ...]) -> list[int] | None:
    """The suffixes (0: left out) with which the names of a header fit a pattern's nodes; None when
    they do not.

    A node left out of the header keeps its place among the suffixes.
    """
    if not nodes:
        return None if names else []
    node = nodes[0]
    if names:
        suffix = _fits(names[0], node)
        if suffix is not None:
            after = match_header(names[1:], nodes[1:])
            if after is not None:
                return after if node.highest < 0 else [suffix, *after]
    if node.optional:
        after = match_header(names, nodes[1:])
        if after is not None:
            return after if node.highest < 0 else [0, *after]
    return None


def _fits(name: str, node: Node) -> int | None:
    if name in (node.short, node.long):
        return 0
    if node.highest < 0:
        return None
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    if letters not in (node.short, node.long) or len(digits) > 9:
        return None
    return int(digits) or (0 if node.zero else -1)  # an explicit 0 is out of range, not left out
