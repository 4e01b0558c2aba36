"""A compiled function, called for a part of the samples and steps at a time."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from hyco.runtime.libraries import compiled
from hyco.stepping.native.rollouts import Source

# Of vectors, in one call: a fraction of a second. Python answers a signal only between two calls.
_OPERATIONS = 2 * 10**8


class Function:
    """A compiled function.

    Raises:
        OSError, RuntimeError, subprocess.CalledProcessError: it cannot be compiled or loaded.
    """

    def __init__(self, source: Source) -> None:
        self._run = compiled(source.text).run
        self._run.restype = None
        self._constants = source.constants
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
        marks = bytearray(max(1, steps))
        for number in wanted:
            marks[number - 1] = 1
        self._run(
            ctypes.c_long(count),
            ctypes.c_long(steps),
            ctypes.c_long(len(wanted)),
            (ctypes.c_ubyte * len(marks)).from_buffer(marks),
            _pointer(times),
            _pointer([*inputs, *self._constants]),
            *map(_pointer, tensors),
        )


def _pointer(value: Any) -> Any:
    """Of a tensor, or of the pointers of several."""
    if isinstance(value, list):
        return (ctypes.c_void_p * len(value))(*(tensor.data_ptr() for tensor in value))
    return None if value is None else ctypes.c_void_p(value.data_ptr())
