"""The C++ code of a recorded step.

Every tensor of the graph has one batch dimension or none. Samples stand side by side in the lanes of a vector
(`lanes.hpp`), a few at a time, and one call takes them through all steps of a rollout: what is computed stays in the
cache, and a sample's values do not depend on how many others there are. Elementwise operations with one user become
part of the loop over the cells that needs them, slices and permutations part of its indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from hyco.stepping.graph import Program
from hyco.stepping.native.elementwise import ELEMENTWISE, Parts, literal

LANES = Path(__file__).with_name("lanes.hpp")
# Transforms of a size with a larger prime factor take too long.
_LARGEST_PRIME = 13
_REALS = {torch.float64: "double", torch.float32: "float"}
Index = tuple[str, ...]


class UnsupportedError(Exception):
    """An operation of a step for which no code can be written."""


@dataclass
class _Loop:
    """The body of a loop over cells: statements, and the names of what they compute."""

    lines: list[str] = field(default_factory=list)
    known: dict[tuple[fx.Node, Index], Parts] = field(default_factory=dict)

    def named(self, key: tuple[fx.Node, Index], parts: Parts) -> Parts:
        """The parts of a number, each computed once."""
        names = tuple(f"t{len(self.known)}_{i}" for i in range(len(parts)))
        self.lines += [f"const auto {name} = {part};" for name, part in zip(names, parts, strict=True)]
        self.known[key] = names
        return names


@dataclass(frozen=True)
class _Value:
    """A tensor: its shape with the batch dimension, and the number at an index, as one part or a real and an imaginary.

    Attributes:
        buffer: where all of it stands in memory, in the order of its dimensions; None: nowhere.
    """

    shape: tuple[int, ...]
    read: Callable[[_Loop, Index], Parts]
    buffer: str | None = None


def source_of(program: Program) -> str:
    """The code of a step, to be compiled with `lanes.hpp`.

    Raises:
        UnsupportedError: there is an operation of which it cannot be written.
    """
    return _Writer(program).text()


def fixed_tensors(program: Program) -> list[Tensor]:
    """The constants of a step, which its code takes behind the inputs."""
    module = program.graph.owning_module
    assert module is not None
    return [getattr(module, str(node.target)) for node in program.graph.nodes if node.op == "get_attr"]


def batch_dimension(shape: Sequence[int], size: int) -> int | None:
    """Where a tensor of the recording has the batch."""
    return list(shape).index(size) if size in shape else None


class _Writer:
    """Writes the code of one step."""

    def __init__(self, program: Program) -> None:
        self._graph, self._size = program.graph, program.recorded_size
        self._lines: list[str] = []
        self._plans: dict[str, str] = {}
        self._buffers: list[int] = []
        self._values: dict[fx.Node, _Value] = {}
        state, *inputs = [node for node in self._graph.nodes if node.op == "placeholder"]
        if any(node.name == "time" for node in inputs):
            raise UnsupportedError("a step that depends on the time")
        self._inputs = [*inputs, *(node for node in self._graph.nodes if node.op == "get_attr")]
        dtype = state.meta["val"].dtype
        if dtype not in _REALS:
            raise UnsupportedError(str(dtype))
        self._real, self._dtypes = _REALS[dtype], (dtype, dtype.to_complex())
        self._cells = self._count(state)
        self._values[state] = self._memory(state, "state")
        for number, node in enumerate(self._inputs):
            self._values[node] = self._memory(node, f"p{number}")

    def text(self) -> str:
        """All of it."""
        for node in self._graph.nodes:
            if node.op == "call_function" and isinstance(node.meta.get("val"), Tensor):
                self._add(node)
            elif node.op == "output":
                (result,) = node.args
                self._stored(result, "next")
        return self._whole()

    def _count(self, node: fx.Node) -> int:
        """Numbers of a sample."""
        tensor = node.meta["val"]
        numbers = math.prod(n for n in tensor.shape if n != self._size)
        return numbers * (2 if tensor.is_complex() else 1)

    def _memory(self, node: fx.Node, name: str) -> _Value:
        """What stands in memory."""
        tensor = node.meta["val"]
        if tensor.dtype not in self._dtypes:
            raise UnsupportedError(f"a tensor of {tensor.dtype}")
        shape = tuple(tensor.shape)

        def read(_: _Loop, index: Index) -> Parts:
            place = self._place(shape, index)
            return (f"{name}[2 * ({place})]", f"{name}[2 * ({place}) + 1]") if tensor.is_complex() else (f"{name}[{place}]",)

        return _Value(shape, read, name)

    def _place(self, shape: Sequence[int], index: Index) -> str:
        """Where the number at an index stands, without the batch."""
        place = "0"
        for n, i in zip(shape, index, strict=True):
            if n not in (1, self._size):
                place = i if place == "0" else f"({place}) * {n} + {i}"
        return place

    def _add(self, node: fx.Node) -> None:
        tensor = node.meta["val"]
        if sum(n % self._size == 0 for n in tensor.shape if n) > (self._size in tensor.shape):
            raise UnsupportedError(f"{node.target} with samples in a dimension of others")
        name = _name(node)
        if name in ELEMENTWISE:
            self._values[node] = self._elementwise(node, name)
            consumers = list(_consumers(node))
            if len(consumers) != 1 or not _reads_cells(consumers[0]):
                self._stored(node)
        elif name in _VIEWS:
            shapes = tuple(tensor.shape), self._values[node.args[0]].shape
            index_of, arguments = _VIEWS[name], node.args[1:]
            source, size = self._values[node.args[0]], self._size

            def read(loop: _Loop, index: Index) -> Parts:
                return index_of(_View(*shapes, size), source, loop, index, *arguments)

            self._values[node] = _Value(tuple(tensor.shape), read)
        elif name in ("cat", "stack"):
            self._join(node, name)
        elif name in ("_fft_r2c", "_fft_c2r", "real_transform"):
            self._transform(node, name)
        else:
            raise UnsupportedError(str(node.target))

    def _elementwise(self, node: fx.Node, name: str) -> _Value:
        shape = tuple(node.meta["val"].shape)

        def read(loop: _Loop, index: Index) -> Parts:
            key = (node, index)
            if key in loop.known:
                return loop.known[key]

            def part(argument: Any) -> Any:
                if isinstance(argument, fx.Node):
                    return self._broadcast(self._values[argument], loop, index)
                return argument if argument is None or isinstance(argument, torch.dtype) else literal(argument)

            parts = ELEMENTWISE[name](*map(part, node.args), **{k: part(v) for k, v in node.kwargs.items()})
            if node.meta["val"].is_complex() and len(parts) == 1:
                parts = (*parts, "R(0)")
            return loop.named(key, parts)

        return _Value(shape, read)

    def _broadcast(self, value: _Value, loop: _Loop, index: Index) -> Parts:
        own = index[len(index) - len(value.shape) :]
        return value.read(loop, tuple("0" if n == 1 else i for n, i in zip(value.shape, own, strict=True)))

    def _stored(self, node: fx.Node, name: str | None = None) -> _Value:
        """A value in memory: its own buffer if it has none."""
        value = self._values[node]
        if value.buffer is not None and name is None:
            return value
        if name is None:
            name = self._buffer(self._count(node))
        self._values[node] = self._memory(node, name)
        self._store(value, self._values[node], lambda index: index)
        return self._values[node]

    def _buffer(self, count: int) -> str:
        self._buffers.append(count)
        return f"w{len(self._buffers) - 1}"

    def _store(self, value: _Value, into: _Value, place: Callable[[Index], Index]) -> None:
        """Write all numbers of a value."""
        dims, index = [], []
        for number, n in enumerate(value.shape):
            short = n in (1, self._size)
            index.append(["0"] if short else ["0", "1"] if n == 2 and number == len(value.shape) - 1 else [f"i{number}"])
            if index[-1] == [f"i{number}"]:
                dims.append((number, n))
        loop = _Loop()
        for own in product(*index):
            for target, part in zip(into.read(loop, place(own)), value.read(loop, own), strict=True):
                loop.lines.append(f"{target} = splat({part});")
        heads = [f"for (int i{number} = 0; i{number} < {n}; i{number}++)" for number, n in dims]
        self._lines.append(" ".join([*heads, "{"]))
        self._lines += [f"    {line}" for line in loop.lines]
        self._lines.append("}")

    def _join(self, node: fx.Node, name: str) -> None:
        parts, dim = node.args[0], (node.args[1] if len(node.args) > 1 else 0)
        dim %= node.meta["val"].ndim
        into = self._memory(node, self._buffer(self._count(node)))
        begin = 0
        for part in parts:
            value, first = self._values[part], begin

            def place(index: Index, first: int = first) -> Index:
                if name == "stack":
                    return (*index[:dim], str(first), *index[dim:])
                return (*index[:dim], f"({index[dim]} + {first})", *index[dim + 1 :])

            self._store(value, into, place)
            begin += 1 if name == "stack" else value.shape[dim]
        self._values[node] = into

    def _transform(self, node: fx.Node, name: str) -> None:
        source, dims, norm, *_ = node.args
        if name == "_fft_r2c" and not node.args[3]:
            raise UnsupportedError("all coefficients of real numbers")
        value, shape = self._stored(source), tuple(node.meta["val"].shape)
        dims = [dim % len(shape) for dim in dims]
        forward = name != "_fft_c2r"
        real = value.shape if forward else shape
        whole = math.prod(real[dim] for dim in dims)
        scale = (1.0, whole**-0.5, 1 / whole)[norm]
        into = self._memory(node, self._buffer(self._count(node)))
        self._values[node] = into
        half = shape if forward else value.shape
        complex_passes = [("transform<-1>" if forward else "transform<1>", dim) for dim in dims[:-1]]
        passes = [("forward", dims[-1]), *complex_passes] if forward else [*complex_passes, ("backward", dims[-1])]
        read = value.buffer
        for number, (kind, dim) in enumerate(passes):
            of_real = kind in ("forward", "backward")
            length = real[dim]
            if any(p > _LARGEST_PRIME for p in _primes(length)):
                raise UnsupportedError(f"a Fourier transform of {length} numbers")
            plan = self._plans.setdefault(f"{'RealPlan' if of_real else 'Plan'}({length})", f"f{len(self._plans)}")
            outer, inner = (math.prod(n for n in part if n != self._size) for part in (half[:dim], half[dim + 1 :]))
            last = number == len(passes) - 1
            to = into.buffer if forward or last else self._scratch(half, number)
            factor = f"R({scale!r})" if last else "R(1)"
            rest = f"{read}, {to}, {outer}, {inner}, {factor});"
            self._lines.append(f"{plan}.{kind}({rest}" if of_real else f"{kind}({plan}, {rest}")
            read = to

    def _scratch(self, half: tuple[int, ...], number: int) -> str:
        """For a transform back: what is given stays."""
        if number > 0:
            return f"w{len(self._buffers) - 1}"
        return self._buffer(2 * math.prod(n for n in half if n != self._size))

    def _whole(self) -> str:
        """The library's one function around the step."""
        parameters, packs = [], []
        for number, node in enumerate(self._inputs):
            shape = node.meta["val"].shape
            count = self._count(node)
            if self._size in shape:
                parameters.append(f"V* p{number} = memory + {sum(self._buffers)};")
                packs.append(f"pack(static_cast<const R*>(inputs[{number}]), count, first, {count}, p{number});")
                self._buffers.append(count)
            else:
                parameters.append(f"const R* p{number} = static_cast<const R*>(inputs[{number}]);")
        state, following = sum(self._buffers), sum(self._buffers) + self._cells
        workspace = [
            f"V* const w{number} = memory + {sum(self._buffers[:number])};" for number in range(len(self._buffers))
        ]
        size = following + self._cells
        plans = [f"{kind.split('(')[0]} {name}{kind[kind.index('('):]};" for kind, name in self._plans.items()]
        return "\n".join(
            [
                f"typedef {self._real} R;",
                LANES.read_text(encoding="utf-8"),
                "// Samples [count, …] through so many steps; `wanted` says after which a state is kept.",
                'extern "C" void run(long count, long steps, const R* start, R* kept, const unsigned char* wanted,',
                "                    long reads, R* end, const void* const* inputs) {",
                f"    constexpr long CELLS = {self._cells};",
                f"    V* const memory = static_cast<V*>(std::aligned_alloc(64, ({size} * sizeof(V) + 63) / 64 * 64));",
                *(f"    {line}" for line in (*plans, *parameters, *workspace)),
                f"    V *state = memory + {state}, *next = memory + {following};",
                "    for (long first = 0; first < count; first += LANES) {",
                "        pack(start, count, first, CELLS, state);",
                *(f"        {line}" for line in packs),
                "        long read = 0;",
                "        for (long step = 0; step < steps; step++) {",
                *(f"            {line}" for line in self._lines),
                "            std::swap(state, next);",
                "            if (wanted[step]) unpack(state, count, first, CELLS, kept + CELLS * read++, CELLS * reads);",
                "        }",
                "        unpack(state, count, first, CELLS, end, CELLS);",
                "    }",
                "    std::free(memory);",
                "}",
                "",
            ]
        )


@dataclass(frozen=True)
class _View:
    """The shapes of a view and of what it is a view of."""

    shape: tuple[int, ...]
    of: tuple[int, ...]
    size: int


def _select(view: _View, source: _Value, loop: _Loop, index: Index, dim: int, number: int) -> Parts:
    dim, rank = dim % len(view.of), len(view.of)
    number %= view.of[dim]
    return source.read(loop, (*index[:dim], str(number), *index[dim : rank - 1]))


def _unsqueeze(view: _View, source: _Value, loop: _Loop, index: Index, dim: int) -> Parts:
    dim %= len(view.shape)
    return source.read(loop, (*index[:dim], *index[dim + 1 :]))


def _permute(view: _View, source: _Value, loop: _Loop, index: Index, order: Sequence[int]) -> Parts:
    own = [""] * len(order)
    for i, dim in zip(index, order, strict=True):
        own[dim] = i
    return source.read(loop, tuple(own))


def _narrow(view: _View, source: _Value, loop: _Loop, index: Index, dim: int, start: int, *_: Any) -> Parts:
    dim %= len(view.shape)
    moved = f"({index[dim]} + {start % (view.of[dim] + 1)})"
    return source.read(loop, (*index[:dim], moved, *index[dim + 1 :]))


def _roll(view: _View, source: _Value, loop: _Loop, index: Index, shifts: Any, dims: Any = None) -> Parts:
    own = list(index)
    for shift, dim in zip(_list(shifts), _list(dims), strict=True):
        n = view.of[dim]
        own[dim] = f"(({own[dim]} + {-shift % n}) % {n})"
    return source.read(loop, tuple(own))


def _expand(view: _View, source: _Value, loop: _Loop, index: Index, *_: Any) -> Parts:
    own = index[len(index) - len(view.of) :]
    return source.read(loop, tuple("0" if n == 1 else i for n, i in zip(view.of, own, strict=True)))


def _repeat(view: _View, source: _Value, loop: _Loop, index: Index, *_: Any) -> Parts:
    own = zip(view.shape[len(index) - len(view.of) :], view.of, index[len(index) - len(view.of) :], strict=True)
    return source.read(loop, tuple(i if n == m else "0" if m == 1 else f"({i} % {m})" for n, m, i in own))


def _reshape(view: _View, source: _Value, loop: _Loop, index: Index, *_: Any) -> Parts:
    def others(shape: Sequence[int]) -> list[int]:
        return [n for n in shape if n != 1]

    if others(view.shape) == others(view.of):
        of_others = [i for n, i in zip(view.shape, index, strict=True) if n != 1]
        return source.read(loop, tuple("0" if n == 1 else of_others.pop(0) for n in view.of))
    before = [math.prod(shape[: shape.index(view.size)]) if view.size in shape else 1 for shape in (view.shape, view.of)]
    if before[0] != before[1]:
        raise UnsupportedError("a reshape across samples")
    place, own = "0", []
    for n, i in zip(view.shape, index, strict=True):
        if n not in (1, view.size):
            place = i if place == "0" else f"({place}) * {n} + {i}"
    for n in reversed(view.of):
        if n in (1, view.size):
            own.append("0")
        else:
            own.append(f"(({place}) % {n})")
            place = f"({place}) / {n}"
    return source.read(loop, tuple(reversed(own)))


def _view_as_real(view: _View, source: _Value, loop: _Loop, index: Index) -> Parts:
    parts = source.read(loop, index[:-1])
    if index[-1] in ("0", "1"):
        return (parts[int(index[-1])],)
    return (f"({index[-1]} ? {parts[1]} : {parts[0]})",)


def _view_as_complex(view: _View, source: _Value, loop: _Loop, index: Index) -> Parts:
    return (*source.read(loop, (*index, "0")), *source.read(loop, (*index, "1")))


_VIEWS: dict[str, Callable[..., Parts]] = {
    "select": _select,
    "unsqueeze": _unsqueeze,
    "permute": _permute,
    "narrow": _narrow,
    "slice": _narrow,
    "roll": _roll,
    "expand": _expand,
    "repeat": _repeat,
    "reshape": _reshape,
    "view": _reshape,
    "squeeze": _reshape,
    "view_as_real": _view_as_real,
    "view_as_complex": _view_as_complex,
}


def _name(node: fx.Node) -> str:
    """Of the operator."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name.removeprefix("aten::")
    return str(target.__name__)


def _consumers(node: fx.Node) -> Iterator[fx.Node]:
    """What needs a value, directly or by a view."""
    for user in node.users:
        if _name(user) in _VIEWS if user.op == "call_function" else False:
            yield from _consumers(user)
        else:
            yield user


def _reads_cells(node: fx.Node) -> bool:
    """Whether it can take a value cell by cell as it is computed."""
    return node.op == "output" or _name(node) in ELEMENTWISE or _name(node) in ("cat", "stack")


def _list(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _primes(number: int) -> Iterator[int]:
    prime = 2
    while number > 1:
        while number % prime == 0:
            yield prime
            number //= prime
        prime += 1
