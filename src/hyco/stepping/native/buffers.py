"""Memory of a step's intermediate values, one after the other in the same places: so more of them stay in the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_NAME = re.compile(r"\bw(\d+)\b")


def shared(lines: Sequence[str], sizes: Sequence[int]) -> tuple[list[str], list[int]]:
    """The same statements with fewer buffers: one takes the place of another of its size that nothing reads any more.

    None that a statement reads shares its place with one that this statement writes.

    Args:
        lines: statements in C++, in the order in which they run, each once in a step; of one over several lines the
            braces tell where it ends.
        sizes: of the buffers w0, w1 and so on that they name.

    Returns:
        Lines and sizes of the buffers that they name now.
    """
    statements = list(_statements(lines))
    named = [sorted({int(n) for line in statement for n in _NAME.findall(line)}) for statement in statements]
    last = {buffer: at for at, buffers in enumerate(named) for buffer in buffers}
    places: dict[int, int] = {}
    free: dict[int, list[int]] = {}
    found: list[int] = []
    for at, buffers in enumerate(named):
        for buffer in buffers:
            if buffer not in places:
                idle = free.get(sizes[buffer])
                places[buffer] = idle.pop() if idle else len(found)  # what was used last is in the cache
                if places[buffer] == len(found):
                    found.append(sizes[buffer])
        for buffer in buffers:
            if last[buffer] == at:
                free.setdefault(sizes[buffer], []).append(places[buffer])
    return [_NAME.sub(lambda match: f"w{places[int(match[1])]}", line) for line in lines], found


def _statements(lines: Sequence[str]) -> Iterator[list[str]]:
    """Lines that belong together."""
    statement: list[str] = []
    depth = 0
    for line in lines:
        statement.append(line)
        depth += line.count("{") - line.count("}")
        if depth == 0:
            yield statement
            statement = []
