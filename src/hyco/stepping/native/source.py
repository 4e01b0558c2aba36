"""The C++ code of a recorded step.

Samples stand side by side in the lanes of a vector (`lanes.hpp`), a few at a time, and one call takes them through all
steps of a rollout: what is computed stays in the cache, and a sample's values do not depend on how many others there
are. Elementwise operations with one user become part of the loop over the cells that needs them, slices and
permutations part of its indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import torch
from torch import Tensor, fx

from hyco.stepping.native.buffers import shared
from hyco.stepping.native.elementwise import ELEMENTWISE, literal
from hyco.stepping.native.numbers import check_numbers, plain
from hyco.stepping.native.views import VIEWS, Index, Parts, UnsupportedError, place
from hyco.stepping.recorder import Recording

# Transforms of a size with a larger prime factor take too long.
_LARGEST_PRIME = 13
# The same number everywhere.
_FILLED = {"full", "full_like", "scalar_tensor", "zeros", "ones", "new_zeros", "new_ones", "zeros_like", "ones_like"}


@dataclass
class Body:
    """The code of one step.

    Attributes:
        lines: statements.
        buffers: how many vectors each of w0, w1 and so on has.
        plans: declarations of what transforms need.
        constants: p…, which the code takes as it takes inputs, by name.
    """

    lines: list[str] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)


def write(recording: Recording, inputs: Sequence[str], outputs: Sequence[str]) -> Body:
    """The code of a graph for one sample.

    Args:
        inputs: names of the memory in which the graph's inputs stand.
        outputs: statements' beginnings, as `next[` for memory that its outputs go to or `g0[` … with what follows the
            index, as ` += `: pairs of a name and an operator, by output.

    Raises:
        UnsupportedError: there is an operation of which no code can be written.
    """
    writer = _Writer()
    names = iter(inputs)
    for node in recording.graph.nodes:
        if node.op == "placeholder":
            writer.values[node] = writer.memory(node, next(names))
        elif node.op == "get_attr":
            name = f"c{len(writer.body.constants)}"
            writer.body.constants[name] = plain(recording.constants[str(node.target)].detach())
            writer.values[node] = writer.memory(node, name)
        elif node.op == "call_function":
            writer.add(node)
        elif node.op == "output":
            (results,) = node.args
            results = results if isinstance(results, (list, tuple)) else [results]
            for result, output in zip(results, outputs, strict=True):
                if result is None and output == "next":  # a state without effect: its slope is 0
                    writer.body.lines.append("std::memset(next, 0, CELLS * sizeof(V));")
                if result is not None:
                    name, _, sign = output.partition(" ")
                    writer.store(writer.values[result], writer.memory(result, name), sign=sign or "=")
    writer.body.lines, writer.body.buffers = shared(writer.body.lines, writer.body.buffers)
    return writer.body


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
    """A tensor: its shape, and the number at an index, as one part or as a real and an imaginary one.

    Attributes:
        buffer: where all of it stands in memory, in the order of its dimensions; None: nowhere.
    """

    shape: tuple[int, ...]
    read: Callable[[_Loop, Index], Parts]
    buffer: str | None = None


class _Writer:
    """Writes the code of one step."""

    def __init__(self) -> None:
        self.body = Body()
        self.values: dict[fx.Node, _Value] = {}

    def memory(self, node: fx.Node, name: str) -> _Value:
        """What stands in memory."""
        tensor = node.meta["val"]
        if not (tensor.is_floating_point() or tensor.is_complex()):
            raise UnsupportedError(f"a tensor of {tensor.dtype}")
        shape = tuple(tensor.shape)

        def read(_: _Loop, index: Index) -> Parts:
            at = place(shape, index)
            return (f"{name}[2 * ({at})]", f"{name}[2 * ({at}) + 1]") if tensor.is_complex() else (f"{name}[{at}]",)

        return _Value(shape, read, name)

    def add(self, node: fx.Node) -> None:
        """An operation."""
        if not isinstance(node.meta["val"], Tensor):
            raise UnsupportedError(str(node.target))
        name, shape = _name(node), tuple(node.meta["val"].shape)
        check_numbers(node, name)
        if name in ELEMENTWISE:
            self.values[node] = self._elementwise(node, name)
            consumers = list(_consumers(node))
            if node.meta["val"].dtype == torch.bool:
                return  # worked out where it is needed
            if len(consumers) != 1 or not _reads_cells(consumers[0]):
                self._stored(node)
        elif name in VIEWS:
            source, view, arguments = self.values[node.all_input_nodes[0]], VIEWS[name], node.args[1:]

            def read(loop: _Loop, index: Index) -> Parts:
                def of(own: Index) -> Parts:
                    return source.read(loop, own)

                return view(of, source.shape, shape, index, *arguments)

            self.values[node] = _Value(shape, read)
        elif name in ("cat", "stack"):
            self._join(node, name)
        elif name == "sum":
            self._sum(node)
        elif name in ("mm", "bmm"):
            self._product(node)
        elif name in ("_fft_r2c", "_fft_c2r", "_fft_c2c"):
            self._transform(node, name)
        elif name in _FILLED:
            number: Any = float("ones" in name) if "zeros" in name or "ones" in name else node.args[-1]
            self.values[node] = _Value(shape, lambda _, __: literal(number))
        else:
            raise UnsupportedError(str(node.target))

    def store(
        self, value: _Value, into: _Value, where: Callable[[Index], Index] | None = None, sign: str = "="
    ) -> None:
        """Write all numbers of a value, or add them with the sign `+=`."""
        heads, index = [], []
        for number, n in enumerate(value.shape):
            if n == 1 or (n == 2 and number == len(value.shape) - 1):
                index.append([str(i) for i in range(n)])
            else:
                index.append([f"i{number}"])
                heads.append(f"for (int i{number} = 0; i{number} < {n}; i{number}++)")
        loop = _Loop()
        for own in product(*index):
            for target, part in zip(into.read(loop, where(own) if where else own), value.read(loop, own), strict=True):
                loop.lines.append(f"{target} {sign} splat({part});")
        self.body.lines += [" ".join([*heads, "{"]), *(f"    {line}" for line in loop.lines), "}"]

    def _elementwise(self, node: fx.Node, name: str) -> _Value:
        shape = tuple(node.meta["val"].shape)

        def read(loop: _Loop, index: Index) -> Parts:
            key = (node, index)
            if key in loop.known:
                return loop.known[key]

            def part(argument: Any) -> Any:
                if isinstance(argument, fx.Node):
                    value = self.values[argument]
                    own = zip(value.shape, index[len(index) - len(value.shape) :], strict=True)
                    return value.read(loop, tuple("0" if n == 1 else i for n, i in own))
                return literal(argument) if isinstance(argument, (bool, int, float, complex)) else argument

            parts = ELEMENTWISE[name](*map(part, node.args), **{k: part(v) for k, v in node.kwargs.items()})
            if node.meta["val"].is_complex() and len(parts) == 1:
                parts = (*parts, literal(0)[0])
            return loop.named(key, parts)

        return _Value(shape, read)

    def _stored(self, node: fx.Node) -> _Value:
        """A value in memory: its own buffer if it has none."""
        value = self.values[node]
        if value.buffer is None:
            self.values[node] = self.memory(node, self._buffer(node.meta["val"]))
            self.store(value, self.values[node])
        return self.values[node]

    def _buffer(self, tensor: Tensor) -> str:
        self.body.buffers.append(tensor.numel() * (2 if tensor.is_complex() else 1))
        return f"w{len(self.body.buffers) - 1}"

    def _join(self, node: fx.Node, name: str) -> None:
        parts: Any = node.args[0]
        dim: int = (node.args[1] if len(node.args) > 1 else 0) % node.meta["val"].ndim
        into = self.memory(node, self._buffer(node.meta["val"]))
        begin = 0
        for part in parts:

            def where(index: Index, first: int = begin) -> Index:
                if name == "stack":
                    return (*index[:dim], str(first), *index[dim:])
                return (*index[:dim], f"({index[dim]} + {first})", *index[dim + 1 :])

            self.store(self.values[part], into, where)
            begin += 1 if name == "stack" else self.values[part].shape[dim]
        self.values[node] = into

    def _sum(self, node: fx.Node) -> None:
        """A sum over some dimensions."""
        value, tensor = self.values[node.all_input_nodes[0]], node.meta["val"]
        rank = len(value.shape)
        given: Any = node.args[1] if len(node.args) > 1 and node.args[1] else range(rank)
        dims = {dim % rank for dim in given}
        keeps = tensor.ndim == rank
        into = self.memory(node, self._buffer(tensor))
        zero = _Value(tuple(tensor.shape), lambda _, __: literal(0j if tensor.is_complex() else 0.0))
        self.store(zero, into)

        def where(index: Index) -> Index:
            return tuple("0" if i in dims else own for i, own in enumerate(index) if keeps or i not in dims)

        self.store(value, into, where, "+=")
        self.values[node] = into

    def _product(self, node: fx.Node) -> None:
        """A product of matrices of real numbers."""
        given: Any = node.args
        first, second = map(self._stored, given)
        if node.meta["val"].is_complex():
            raise UnsupportedError(f"{node.target} of complex numbers")

        shape = tuple(node.meta["val"].shape)
        into = self.values[node] = self.memory(node, self._buffer(node.meta["val"]))
        # Some sums at a time: each of them waits for itself.
        tiled = max(len(shape) - 2, len(shape) - 1, key=lambda dim: shape[dim])
        width = next(w for w in (8, 7, 6, 5, 4, 3, 2, 1) if shape[tiled] % w == 0)
        index = tuple(f"i{dim}" for dim in range(len(shape)))
        heads = [f"for (int i{d} = 0; i{d} < {n}; i{d} += {width if d == tiled else 1})" for d, n in enumerate(shape)]
        begin, inner, end = list[str](), _Loop(), list[str]()
        for number in range(width):
            own = (*index[:tiled], f"({index[tiled]} + {number})", *index[tiled + 1 :])
            (a,), (b,) = first.read(inner, (*own[:-1], "k")), second.read(inner, (*own[:-2], "k", own[-1]))
            begin.append(f"V s{number} = V{{}};")
            inner.lines.append(f"s{number} += splat({a} * {b});")
            end += [f"{target} = s{number};" for target in into.read(inner, own)]
        sums = [f"for (int k = 0; k < {first.shape[-1]}; k++) {{", *(f"    {line}" for line in inner.lines), "}"]
        self.body.lines += [" ".join([*heads, "{"]), *(f"    {line}" for line in (*begin, *sums, *end)), "}"]

    def _transform(self, node: fx.Node, name: str) -> None:
        """A Fourier transform, along one dimension after the other."""
        given: Any = node.args
        source, dims, norm, last = given[:4]
        tensor, value = node.meta["val"], self._stored(source)
        axes = [dim % tensor.ndim for dim in dims]
        into = self.memory(node, self._buffer(tensor))
        half = value.shape if name == "_fft_c2r" else tuple(tensor.shape)
        real = tuple(tensor.shape) if name == "_fft_c2r" else value.shape
        read, scratch = value.buffer, None
        if name == "_fft_r2c" and not last:  # all coefficients
            self.store(_Value(value.shape, lambda loop, index: (*value.read(loop, index), literal(0)[0])), into)
            name, last, read = "_fft_c2c", True, into.buffer
        forward = name == "_fft_r2c" or (name == "_fft_c2c" and bool(last))
        kind = "transform<-1>" if forward else "transform<1>"
        passes = [(kind, axis) for axis in (axes if name == "_fft_c2c" else axes[:-1])]
        if name == "_fft_r2c":
            passes.insert(0, ("forward", axes[-1]))
        elif name == "_fft_c2r":
            passes.append(("backward", axes[-1]))
        whole = math.prod(real[axis] for axis in axes)
        scale = (1.0, whole**-0.5, 1 / whole)[norm]
        for number, (kind, axis) in enumerate(passes):
            of_real, is_last = kind in ("forward", "backward"), number == len(passes) - 1
            if max(_primes(real[axis]), default=1) > _LARGEST_PRIME:
                raise UnsupportedError(f"a Fourier transform of {real[axis]} numbers")
            if name == "_fft_c2r" and not is_last and scratch is None:
                scratch = self._buffer(source.meta["val"])
            to = into.buffer if scratch is None or is_last else scratch
            plan = self._plan("RealPlan" if of_real else "Plan", real[axis])
            outer, inner = math.prod(half[:axis]), math.prod(half[axis + 1 :])
            rest = f"{read}, {to}, {outer}, {inner}, {literal(scale if is_last else 1)[0]});"
            self.body.lines.append(f"{plan}.{kind}({rest}" if of_real else f"{kind}({plan}, {rest}")
            read = to
        self.values[node] = into

    def _plan(self, kind: str, length: int) -> str:
        name = f"{'r' if kind == 'RealPlan' else 'f'}{length}"
        self.body.plans[name] = f"{kind} {name}({length});"
        return name


def _name(node: fx.Node) -> str:
    """Of the operator."""
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target._schema.name.removeprefix("aten::")
    return str(target.__name__)


def _consumers(node: fx.Node) -> Iterator[fx.Node]:
    """What needs a value, directly or by a view."""
    for user in node.users:
        if user.op == "call_function" and _name(user) in VIEWS:
            yield from _consumers(user)
        else:
            yield user


def _reads_cells(node: fx.Node) -> bool:
    """Whether it takes a value cell by cell, as it is computed."""
    return node.op == "output" or _name(node) in ELEMENTWISE or _name(node) in ("cat", "stack", "sum")


def _primes(number: int) -> Iterator[int]:
    prime = 2
    while number > 1:
        while number % prime == 0:
            yield prime
            number //= prime
        prime += 1
