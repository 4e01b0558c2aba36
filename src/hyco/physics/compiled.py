"""Recorded steps through `torch.compile`.

Imported where a step is compiled only: the compiler takes seconds to import.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx
from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files

from hyco.physics.graph import Program
from hyco.physics.rewrites.nodes import arguments, aten, new

log = logging.getLogger(__name__)


class Compiled:
    """A recorded step that goes through Inductor at its first call; run as it is where that fails.

    What was compiled is kept on disk for later processes, in the user's cache or in TORCHINDUCTOR_CACHE_DIR.
    """

    def __init__(self, program: Program) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache / "hyco" / "inductor"))
        self._recorded = program.step
        # Neighbours read what was computed, not each of them several fields that it is made of.
        options: dict[str, Any] = {"realize_reads_threshold": 2, "post_grad_custom_pre_pass": GhostCells()}
        self._run: Callable[..., Tensor] = torch.compile(scale_coefficients(program.graph), options=options)

    def __call__(self, state: Tensor, *inputs: Tensor) -> Tensor:
        """The next state."""
        if self._run is self._recorded:
            return self._recorded(state, *inputs)
        try:
            return self._run(state, *inputs)
        except Exception as error:  # a compiler can fail in as many ways as there are machines
            found = self._recorded(state, *inputs)  # what is wrong with the step itself is raised here
            log.warning("The step cannot be compiled (%s): it runs traced.", str(error).split("\n")[0])
            self._run = self._recorded
            return found


def scale_coefficients(graph: fx.Graph) -> Callable[..., Tensor]:
    """A recorded step with `a + (number b) x` for each `a + number (b x)`, where b does not depend on the state.

    That is one operation more for an interpreter. The compiler makes it part of the loop over the cells, where the
    number costs nothing if b is the same for all of them; so it does in the gradient.
    """
    scaled = fx.Graph()
    scaled.output(scaled.graph_copy(graph, {}))
    _, *inputs = [node for node in scaled.nodes if node.op in ("placeholder", "get_attr")]
    for node in list(scaled.nodes):
        if node.target is torch.addcmul and "value" in node.kwargs:
            summand, b, x = arguments(node)
            b, x = (b, x) if b in inputs else (x, b)
            if b in inputs:
                with scaled.inserting_before(node):
                    b = scaled.call_function(torch.mul, (b, node.kwargs["value"]))
                node.args, node.kwargs = (summand, b, x), {}
    module = graph.owning_module
    assert module is not None
    return fx.GraphModule(module, scaled).forward


class GhostCells(CustomGraphPass):
    """Shifts along the last dimension of a field as slices of the field with ghost cells.

    The compiler takes the remainder of each cell's index for a periodic shift. Unless the number of cells is a power
    of two that is a division for each cell, and no vector instruction can load the cells; a slice it can. It works on
    the graph of a step and on that of its gradient.
    """

    def uuid(self) -> Any:
        """What the cache of compiled steps knows this by: the code of this file."""
        return get_hash_for_files((__file__,))

    def __call__(self, graph: fx.Graph) -> None:
        """Change a graph."""
        shifts: dict[fx.Node, dict[fx.Node, int]] = {}
        for node in graph.nodes:
            found = _shift(node)
            if found is not None:
                field, distance = found
                shifts.setdefault(field, {})[node] = distance
        for field, distances in shifts.items():
            _widen(field, distances)
        graph.eliminate_dead_code()


def _shift(node: fx.Node) -> tuple[fx.Node, int] | None:
    """The field and the distance where a node has in the place of each cell the one so far behind it."""
    if node.target is not aten.index.Tensor:
        return None
    field, (*others, index) = arguments(node)
    *_, n = field.meta["val"].shape
    if len(others) + 1 < field.meta["val"].ndim or any(i is not None for i in others) or index is None:
        return None
    if not isinstance(n, int) or n & (n - 1) == 0:
        return None
    distance = _distance(index, n)
    return None if distance is None else (field, distance if distance <= n // 2 else distance - n)


def _distance(index: fx.Node, n: int) -> int | None:
    """d, where the index is fmod(d + (0, …, n - 1), n): what becomes of a roll."""
    if index.target is not aten.fmod.Scalar or index.args[1] != n:
        return None
    added, _ = arguments(index)
    if added.target is not aten.add.Tensor or added.kwargs or not isinstance(added.args[1], int):
        return None
    count, distance = arguments(added)
    if count.target is not torch.ops.prims.iota.default or count.args != (n,):
        return None
    plain = (count.kwargs["start"], count.kwargs["step"]) == (0, 1)
    return distance if plain and 0 < distance < n else None


def _widen(field: fx.Node, distances: dict[fx.Node, int]) -> None:
    """Slices of one wider field in the place of its shifts."""
    dim, n = field.meta["val"].ndim - 1, field.meta["val"].shape[-1]
    before, after = (max(0, *(sign * d for d in distances.values())) for sign in (-1, 1))
    first = next(iter(distances))
    parts = [field]
    if before:
        parts.insert(0, new(first, aten.slice.Tensor, field, dim, n - before, n))
    if after:
        parts.append(new(first, aten.slice.Tensor, field, dim, 0, after))
    wide = new(first, aten.cat.default, parts, dim)
    for node, distance in distances.items():
        shifted = new(node, aten.slice.Tensor, wide, dim, before + distance, before + distance + n)
        node.replace_all_uses_with(shifted)
