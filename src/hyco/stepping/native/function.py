"""A compiled function, called for a part of the samples and steps at a time."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

from hyco.runtime.libraries import compiled
from hyco.stepping.native.rollouts import Source

# Of vectors, in one call: a fraction of a second. Python answers a signal only between two calls.
_OPERATIONS = 2 * 10**8


class Function:
    """A compiled function.

    Attributes:
        reads_states: see `hyco.stepping.native.rollouts.Source`.

    Raises:
        OSError, RuntimeError, subprocess.CalledProcessError: it cannot be compiled or loaded.
    """

    def __init__(self, source: Source) -> None:
        self._run = compiled(source.text).run
        self._run.restype = None
        # Numbers and addresses go in as they are: a call that makes ctypes of each takes twice as long.
        pointers = (ctypes.c_void_p,) * (2 + source.tensors)
        self._run.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_char_p, *pointers)
        self._constants = source.constants  # kept, as long as their memory is read
        self._addresses = [tensor.data_ptr() for tensor in source.constants]
        self.reads_states = source.reads_states
        self._lanes, self._operations = source.lanes, source.operations

    def parts(self, count: int, steps: int) -> Iterator[tuple[slice, list[tuple[int, int]]]]:
        """Samples, and the steps of each call for them: the first one, and the one behind the last.

        They depend on nothing but the numbers of samples and steps, and no number that is computed depends on them.
        """
        groups = max(1, min(_OPERATIONS // (self._operations * max(1, steps)), -(-count // self._lanes)))
        samples, length = groups * self._lanes, max(1, _OPERATIONS // (self._operations * groups))
        ranges = [(first, min(first + length, steps)) for first in range(0, max(1, steps), length)]
        for first in range(0, count, samples):
            yield slice(first, min(first + samples, count)), ranges

    def __call__(
        self, plan: tuple[int, Sequence[int], Tensor | None], count: int, inputs: Sequence[Tensor], *tensors: Any
    ) -> None:
        """Run it once.

        Args:
            plan: how many steps; numbers of those after which states are kept; t before each, `[count, steps]`.
            inputs: all tensors that are given are on the CPU and hold their numbers in the order of their dimensions.
        """
        steps, wanted, times = plan
        given = _array([*(tensor.data_ptr() for tensor in inputs), *self._addresses])
        marks = _marks(steps, tuple(wanted))
        self._run(count, steps, len(wanted), marks, _pointer(times), given, *map(_pointer, tensors))


@lru_cache(maxsize=64)
def _marks(steps: int, wanted: tuple[int, ...]) -> bytes:
    """A byte for each step: whether the state after it is wanted."""
    marks = bytearray(max(1, steps))
    for number in wanted:
        marks[number - 1] = 1
    return bytes(marks)


def _array(addresses: list[int]) -> Any:
    return (ctypes.c_void_p * len(addresses))(*addresses)


def _pointer(value: Any) -> Any:
    """Of a tensor, or of the pointers of several."""
    if isinstance(value, list):
        return _array([tensor.data_ptr() for tensor in value])
    return None if value is None else value.data_ptr()
