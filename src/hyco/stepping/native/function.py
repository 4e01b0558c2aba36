"""A compiled function, called for a part of the samples and steps at a time."""

from __future__ import annotations

import ctypes
import logging
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from torch import Tensor

from hyco.runtime.libraries import compiled
from hyco.stepping.native.rollouts import Source

# Of vectors, in one call: a fraction of a second. Python answers a signal only between two calls.
_OPERATIONS = 2 * 10**8
# Of vectors, by code for another number of samples: as long as a compilation takes, about.
_WORTH_COMPILING = 2 * 10**9

log = logging.getLogger(__name__)


class Function:
    """A compiled function, for vectors of as many samples as its first call has, or nearly.

    A call for half of the widest vector's samples or fewer takes code for vectors of half the width: .6 to .9 of the
    time, as it moves half of the memory. Where other calls follow, the code for them is compiled too, once they have
    taken as long without it.

    Args:
        source: its code.
        count: samples of the first call.

    Attributes:
        reads_states: see `hyco.stepping.native.rollouts.Source`.

    Raises:
        OSError, RuntimeError, subprocess.CalledProcessError: it cannot be compiled or loaded.
    """

    def __init__(self, source: Source, count: int) -> None:
        self._source = source
        self._addresses = [tensor.data_ptr() for tensor in source.constants]  # which the source keeps
        self._runs: dict[int, Any] = {}
        self._without = 0
        self.reads_states = source.reads_states
        self._load(self._fitting(count))

    def _fitting(self, count: int) -> int:
        """The lanes for a call."""
        half = self._source.lanes // 2
        return half if count <= half else self._source.lanes

    def _load(self, lanes: int) -> None:
        run = compiled(self._source.text(lanes)).run
        run.restype = None
        # Numbers and addresses go in as they are: a call that makes ctypes of each takes twice as long.
        pointers = (ctypes.c_void_p,) * (2 + self._source.tensors)
        run.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_char_p, *pointers)
        self._runs[lanes] = run

    def _run_for(self, count: int, steps: int) -> Any:
        """The code for a call, or what there is in its place."""
        lanes = self._fitting(count)
        if lanes not in self._runs:
            (there,) = self._runs.values()
            self._without += steps * self._source.operations * -(-count // self._source.lanes)
            if self._without < _WORTH_COMPILING:
                return there
            try:
                self._load(lanes)
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                log.info("No code for %d samples side by side (%s): that for others runs.", lanes, error)
                self._runs[lanes] = there
        return self._runs[lanes]

    def parts(self, count: int, steps: int) -> Iterator[tuple[slice, list[tuple[int, int]]]]:
        """Samples, and the steps of each call for them: the first one, and the one behind the last.

        They depend on nothing but the numbers of samples and steps, and no number that is computed depends on them.
        """
        lanes, operations = self._source.lanes, self._source.operations
        groups = max(1, min(_OPERATIONS // (operations * max(1, steps)), -(-count // lanes)))
        samples, length = groups * lanes, max(1, _OPERATIONS // (operations * groups))
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
        run = self._run_for(count, steps)
        run(count, steps, len(wanted), marks, _pointer(times), given, *map(_pointer, tensors))


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
