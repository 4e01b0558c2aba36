"""Compiles the code of a step, keeps it on disk, and runs it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyco.stepping.graph import Program
from hyco.stepping.native.source import batch_dimension, fixed_tensors, source_of

# Values that are no numbers stay so: no -ffast-math.
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


class Library:
    """The compiled code of a recorded step.

    Raises:
        UnsupportedError: there is an operation of which no code can be written.
        OSError, subprocess.CalledProcessError: it cannot be compiled.
    """

    def __init__(self, program: Program) -> None:
        self._function = ctypes.CDLL(str(_compiled(source_of(program)))).run
        self._function.restype = None
        self._constants = [tensor.contiguous() for tensor in fixed_tensors(program)]
        state, *inputs = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
        self._dtype = state.dtype
        self._batched = [batch_dimension(tensor.shape, program.recorded_size) for tensor in inputs]

    def rollout(
        self, state: Tensor, inputs: Sequence[Tensor], steps: int, wanted: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """States `[B, R, C, *space]` after the steps that are wanted, numbered from 1 on, and the last one."""
        start = state.contiguous()
        kept, end = start.new_empty(len(start), len(wanted), *start.shape[1:]), torch.empty_like(start)
        marks = bytearray(steps)
        for number in wanted:
            marks[number - 1] = 1
        given = [v if d is None else v.movedim(d, 0) for v, d in zip(inputs, self._batched, strict=True)]
        # Held until the call is over.
        held = [*(v.contiguous() for v in given), *self._constants]
        self._function(
            ctypes.c_long(len(start)),
            ctypes.c_long(steps),
            _pointer(start),
            _pointer(kept),
            (ctypes.c_ubyte * len(marks)).from_buffer(marks) if marks else None,
            ctypes.c_long(len(wanted)),
            _pointer(end),
            (ctypes.c_void_p * len(held))(*(v.data_ptr() for v in held)),
        )
        return kept, end


def _pointer(tensor: Tensor) -> Any:
    return ctypes.c_void_p(tensor.data_ptr())


def _compiled(source: str) -> Path:
    """The library of a source, from the user's cache if it is there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hyco" / "native"
    compiler = os.environ.get("CXX", "g++")
    key = hashlib.sha256("\n".join((compiler, *_FLAGS, _machine(), source)).encode()).hexdigest()[:32]
    library = cache / f"{key}.so"
    if library.exists():
        return library
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        text, made = Path(folder) / "step.cpp", Path(folder) / "step.so"
        text.write_text(source, encoding="utf-8")
        subprocess.run([compiler, *_FLAGS, str(text), "-o", str(made)], check=True, capture_output=True, text=True)
        made.replace(library)
    return library


def _machine() -> str:
    """What code for the machine at hand depends on."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    return platform.machine() + next((line for line in lines if line.startswith(("flags", "Features"))), "")
