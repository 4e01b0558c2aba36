"""The C++ code of whole rollouts, and of their gradients, around that of a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyco.stepping.native.recording import Recorded
from hyco.stepping.native.source import Body, write
from hyco.stepping.native.views import UnsupportedError

_LANES = Path(__file__).with_name("lanes.hpp")
# Of the widest vectors that a step computes with.
_LANE_BYTES = 32
_REALS = {torch.float64: "double", torch.float32: "float"}


@dataclass(frozen=True)
class Source:
    """A function's code.

    Attributes:
        body: all of it but how wide a vector is.
        constants: tensors that it takes behind the inputs.
        lanes: how many samples stand side by side in the widest vectors.
        operations: about how many of vectors there are in a step of so many samples.
        tensors: how many it takes behind those.
        reads_states: whether it takes the states before each step; the slopes of a linear step do not depend on them.
    """

    body: str
    constants: tuple[Tensor, ...]
    lanes: int
    operations: int
    tensors: int
    reads_states: bool

    def text(self, lanes: int) -> str:
        """The code for so many samples side by side. What a sample becomes does not depend on it, to the bit."""
        return f"constexpr int LANE_BYTES = {_LANE_BYTES * lanes // self.lanes};\n{self.body}"


def forward_source(recorded: Recorded) -> Source:
    """`run` takes samples `[count, …]` through steps, and keeps the states after those that are wanted."""
    (output,) = [node for node in recorded.step.graph.nodes if node.op == "output"]
    state, following = _state(recorded), output.args[0].meta["val"]
    if (following.dtype, following.shape) != (state.dtype, state.shape):
        raise UnsupportedError("a next state of another kind than the state")
    names = ["state", *_time(recorded), *_inputs(recorded)]
    body = write(recorded.step, names, ["next"])
    loop = [
        "for (long step = 0; step < steps; step++) {",
        *_indented([*_pack_time(recorded), *body.lines]),
        "    std::swap(state, next);",
        "    if (wanted[step]) unpack(state, count, first, CELLS, kept + CELLS * read++, CELLS * reads);",
        "}",
        "unpack(state, count, first, CELLS, end, CELLS);",
    ]
    arguments = "const R* start, R* kept, R* end"
    return _function(
        recorded, body, arguments, ["pack(start, CELLS, count, first, CELLS, state);", "long read = 0;", *loop]
    )


def adjoint_source(recorded: Recorded) -> Source:
    """`run` takes slopes from the last state back to the first one, and adds up those by the inputs.

    `states` are those before each step, where the slopes depend on them, `of_kept` the slopes by those that were kept,
    and `end` that by the last one, in whose place comes that by the first. Those by the inputs begin with what
    `gradients` holds: the sum over later steps, where a call is a part of a rollout.
    """
    assert recorded.adjoint is not None
    names = ["slope", "state", *_time(recorded), *_inputs(recorded)]
    (output,) = [node for node in recorded.adjoint.graph.nodes if node.op == "output"]
    sizes = [
        0 if slope is None else math.prod(shape) * (2 if is_complex else 1)
        for (shape, is_complex), slope in zip(_kinds(recorded), output.args[0][1:], strict=True)
    ]
    body = write(recorded.adjoint, names, ["next", *(f"g{number} +=" for number in range(len(sizes)))])
    begin = ["pack(end, CELLS, count, first, CELLS, slope);", "long read = reads;"]
    begin += [
        f"pack(static_cast<const R*>(gradients[{number}]), {size}, count, first, {size}, g{number});"
        for number, size in enumerate(sizes)
    ]
    before = "    pack(states + CELLS * step, CELLS * steps, count, first, CELLS, state);"
    loop = [
        "for (long step = steps - 1; step >= 0; step--) {",
        "    if (wanted[step]) {",
        "        pack(of_kept + CELLS * --read, CELLS * reads, count, first, CELLS, next);",
        "        for (long i = 0; i < CELLS; i++) slope[i] += next[i];",
        "    }",
        *[before] * _reads_states(recorded),
        *_indented([*_pack_time(recorded), *body.lines]),
        "    std::swap(slope, next);",
        "}",
        "unpack(slope, count, first, CELLS, end, CELLS);",
    ]
    loop += [
        f"unpack(g{number}, count, first, {size}, static_cast<R*>(gradients[{number}]), {size});"
        for number, size in enumerate(sizes)
    ]
    more = {"slope": _cells(recorded), **{f"g{number}": size for number, size in enumerate(sizes)}}
    arguments = "const R* states, const R* of_kept, R* end, void* const* gradients"
    return _function(recorded, body, arguments, [*begin, *loop], more)


def preparation_source(recorded: Recorded) -> Source:
    """`run` works out what steps take beside the state, for each sample."""
    (output,) = [node for node in recorded.step.graph.nodes if node.op == "output"]
    tensors = [node.meta["val"] for node in output.args[0]]
    if any(tensor.dtype not in _dtypes(recorded) for tensor in tensors):
        raise UnsupportedError("results of other types than the state")
    sizes = [tensor.numel() * (2 if tensor.is_complex() else 1) for tensor in tensors]
    body = write(recorded.step, ["state", *_inputs(recorded)], [f"o{number}" for number in range(len(sizes))])
    unpacked = [
        f"unpack(o{number}, count, first, {size}, static_cast<R*>(outputs[{number}]), {size});"
        for number, size in enumerate(sizes)
    ]
    more = {f"o{number}": size for number, size in enumerate(sizes)}
    return _function(recorded, body, "void* const* outputs", [*body.lines, *unpacked], more)


def _function(
    recorded: Recorded, body: Body, arguments: str, lines: Sequence[str], more: dict[str, int] | None = None
) -> Source:
    """The function around what is done for each few samples."""
    real, cells = _REALS.get(_state(recorded).dtype), _cells(recorded)
    if real is None or any(tensor.dtype not in _dtypes(recorded) for tensor in body.constants.values()):
        raise UnsupportedError("tensors of other types than the state")
    memory = {"state": cells, "next": cells, **(more or {})}
    memory |= {f"w{number}": size for number, size in enumerate(body.buffers)}
    shared, packs = [], []
    for number, ((shape, is_complex), batch) in enumerate(zip(_kinds(recorded), recorded.batch, strict=True)):
        given, size = f"static_cast<const R*>(inputs[{number}])", math.prod(shape) * (2 if is_complex else 1)
        if batch is None:
            shared.append(f"const R* const p{number} = {given};")
        else:
            memory[f"p{number}"] = size
            packs.append(f"pack({given}, {size}, count, first, {size}, p{number});")
    first = len(recorded.batch)
    shared += [
        f"const R* const {name} = static_cast<const R*>(inputs[{first + number}]);"
        for number, name in enumerate(body.constants)
    ]
    if recorded.timed:
        memory["time"] = 1
    # A vector more between any two: not all of them begin at places that share the same lines of the cache.
    starts = [sum(size + 9 for size in list(memory.values())[:number]) for number in range(len(memory))]
    total = sum(size + 9 for size in memory.values())
    text = [
        f"typedef {real} R;",
        _LANES.read_text(encoding="utf-8"),
        f"constexpr long CELLS = {cells};",
        "",
        'extern "C" void run(long count, long steps, long reads, const unsigned char* wanted, const R* times,',
        f"                    const void* const* inputs, {arguments}) {{",
        f"    V* const memory = static_cast<V*>(std::aligned_alloc(64, ({total} * sizeof(V) + 63) / 64 * 64));",
        *_indented(body.plans.values()),
        *_indented(shared),
        *(f"    V* {name} = memory + {start};" for name, start in zip(memory, starts, strict=True)),
        "    for (long first = 0; first < count; first += LANES) {",
        *_indented(_indented([*packs, *lines])),
        "    }",
        "    std::free(memory);",
        "}",
        "",
    ]
    nodes = max(len(graph.graph.nodes) for graph in (recorded.step, recorded.adjoint) if graph is not None)
    largest = max(cells, *body.buffers, 1)
    return Source(
        "\n".join(text),
        tuple(body.constants.values()),
        _LANE_BYTES // _state(recorded).itemsize,
        nodes * largest,
        tensors=len(arguments.split(",")),
        reads_states=_reads_states(recorded),
    )


def _reads_states(recorded: Recorded) -> bool:
    """Whether the adjoint depends on the state before the step."""
    if recorded.adjoint is None:
        return False
    _, state, *_ = recorded.adjoint.graph.nodes
    return bool(state.users)


def _state(recorded: Recorded) -> Tensor:
    tensor: Tensor = next(iter(recorded.step.graph.nodes)).meta["val"]
    return tensor


def _dtypes(recorded: Recorded) -> tuple[torch.dtype, torch.dtype]:
    dtype = _state(recorded).dtype
    return dtype, dtype.to_complex()


def _cells(recorded: Recorded) -> int:
    return _state(recorded).numel()


def _kinds(recorded: Recorded) -> list[tuple[tuple[int, ...], bool]]:
    """Shapes of the inputs, and whether they are complex."""
    tensors = recorded.given[1:]
    if any(tensor.dtype not in _dtypes(recorded) for tensor in tensors):
        raise UnsupportedError("inputs of other types than the state")
    return [(tuple(tensor.shape), tensor.is_complex()) for tensor in tensors]


def _inputs(recorded: Recorded) -> list[str]:
    return [f"p{number}" for number in range(len(recorded.batch))]


def _time(recorded: Recorded) -> list[str]:
    return ["time"] if recorded.timed else []


def _pack_time(recorded: Recorded) -> list[str]:
    return ["pack(times + step, steps, count, first, 1, time);"] if recorded.timed else []


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" for line in lines]
