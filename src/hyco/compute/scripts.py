"""A function of a program that is no part of this package, such as a study's, as a piece of work.

The program is a file that workers see under the same path; they import it, and take no other than the sender has.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from hyco.compute.pieces import Piece


def scripted(function: Callable[..., Any], arguments: Sequence[Any], label: str) -> Piece:
    """A call of a program's function; what it returns is JSON, as text: `json.loads` has numbers that are not finite.

    Args:
        function: of a file, by its own name there.
        arguments: what JSON knows.
        label: see `Piece`.
    """
    file = Path(function.__code__.co_filename).absolute()
    given = {"file": str(file), "digest": _digest(file), "function": function.__name__, "arguments": list(arguments)}
    return Piece(f"{__name__}:call", {**given, "silent": logging.root.manager.disable}, label)


def call(file: str, digest: str, function: str, arguments: list[Any], silent: int) -> str:
    """Call a function of a program, as a piece of work.

    Args:
        file, digest: the program, and the SHA-256 of its text.
        function, arguments: what is called.
        silent: the level up to which the program says nothing, see `logging.disable`.

    Raises:
        ValueError: the file is another one here.
    """
    before = logging.root.manager.disable
    logging.disable(silent)
    try:
        return json.dumps(getattr(_module(file, digest), function)(*arguments))
    finally:
        logging.disable(before)


@lru_cache
def _module(file: str, digest: str) -> ModuleType:
    path = Path(file)
    if _digest(path) != digest:
        raise ValueError(f"{file} is not what the sender has: start again")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None  # it is a Python file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
