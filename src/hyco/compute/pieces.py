"""A piece of work: a function of this package by name and its arguments as JSON; its result is JSON, too."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from hyco.runtime.memory import keep_freed_memory
from hyco.runtime.storage import DamagedFileError, UnwritableError, read_json, serialised_json, write_atomically

log = logging.getLogger(__name__)

# Errors of a machine rather than of a piece: another try, elsewhere perhaps, may succeed.
_OF_MACHINE = (OSError, MemoryError)
# Errors that come back as what they were.
_PLAIN = {kind.__name__: kind for kind in (ValueError, FloatingPointError)}
# One piece at a time in a process: torch's threads and PhiML's precision are those of the whole process.
_TURN = threading.Lock()
_PACKAGE = __name__.partition(".")[0]
# Folders of installed packages, wherever they are.
_INSTALLED = ("site-packages", "dist-packages")
# What pieces said of the modules of projects when this process saw them first, and so imported them.
_SEEN: dict[str, str] = {}


class PieceError(RuntimeError):
    """A piece has failed in a way that another try would not change; the message has the error's kind and text."""


class MachineError(RuntimeError):
    """A piece has failed for what its machine lacks: a file, room, memory."""


@dataclass(frozen=True)
class Piece:
    """One piece of work.

    Attributes:
        function: `hyco.package.module:function`, which takes the arguments by name and returns what JSON knows.
        arguments: what JSON knows; what is large is a path.
        label: what messages call it.
    """

    function: str
    arguments: Mapping[str, Any]
    label: str

    @property
    def key(self) -> str:
        """The SHA-256 of function, arguments and code: what another version made is not its result."""
        text = json.dumps([self.function, self.arguments, code(), sources()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def file_of(piece: Piece, folder: Path) -> Path:
    """Where the result of a piece lies: in one of 256 folders, as file systems are slow with many files in one."""
    key = piece.key
    return folder / key[:2] / f"{key[2:]}.json"


def as_text(piece: Piece, threads: int, folder: Path | None, *, elsewhere: bool = False) -> str:
    """What `perform` takes.

    Args:
        piece: the piece.
        threads: of torch, while it is done.
        folder: of the results; None: nothing is kept.
        elsewhere: whether another process does it, whose log nobody sees: what it warns of comes with the result.
    """
    task = {"function": piece.function, "arguments": piece.arguments, "threads": threads, "path": _own_path()}
    task |= {"code": code(), "sources": sources()}
    task |= {"elsewhere": elsewhere}
    return json.dumps({**task, "file": None if folder is None else str(file_of(piece, folder).absolute())})


def perform(text: str) -> str:
    """Do a piece of work, or take the result of an earlier time: what every engine calls, and all that it calls.

    Args:
        text: of `as_text`.

    Returns:
        JSON: `{"value": …}`, or `{"error": kind, "text": …, "traceback": …, "of_machine": …}`; of another process with
        `"said"`, its warnings as pairs of level and text.
    """
    task = json.loads(text)
    path = None if task["file"] is None else Path(task["file"])
    if (stale := _stale(task)) is not None:
        return json.dumps({"error": PieceError.__name__, "text": stale, "traceback": "", "of_machine": False})
    with _TURN, _threads(task["threads"]), _heard(task["elsewhere"]) as said:
        found = None if path is None else _kept(path)
        if found is not None:
            return json.dumps(found)
        try:
            result = {"value": _function(task["function"], task["path"])(**task["arguments"])}
            content = serialised_json(result)
        except Exception as error:  # whatever a piece raises: exceptions themselves do not travel
            return json.dumps(
                {
                    "error": type(error).__name__,
                    "text": str(error),
                    "traceback": traceback.format_exc(),
                    "of_machine": isinstance(error, _OF_MACHINE),
                    "said": said,
                }
            )
        if path is not None:
            try:
                write_atomically(path, content)
            except UnwritableError as error:
                log.warning("The result of a piece is sent, but not kept for a later run: %s", error)
        return json.dumps({**result, "said": said})


def value_of(text: str, label: str) -> Any:
    """What a piece has returned; what it has warned of elsewhere is logged here.

    Args:
        text: of `perform`.
        label: of the piece, for messages.

    Raises:
        MachineError: another try may succeed.
        ValueError, FloatingPointError: it has raised that.
        PieceError: it has raised anything else.
    """
    result = json.loads(text)
    for level, line in result.get("said", ()):
        log.log(level, "%s: %s", label, line)
    if "error" not in result:
        return result["value"]
    said = f"{result['error']}: {result['text']}"
    if result["of_machine"]:
        raise MachineError(said)
    if result["error"] in _PLAIN:
        raise _PLAIN[result["error"]](result["text"])
    log.error("Where %s was done:\n%s", label, result["traceback"])
    raise PieceError(f"{label}: {said}")


@cache
def code() -> str:
    """The SHA-256 of this package's files, where it is called."""
    package = Path(str(import_module("hyco").__file__)).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def sources() -> dict[str, str]:
    """The SHA-256 of modules that are not installed, as classes of a project are, by name."""
    folders, found = tuple(_own_path()), {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name != "__main__" and name.partition(".")[0] != _PACKAGE and file and file.startswith(folders):
            with suppress(OSError):  # a file that is there no more
                found[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return found


def _stale(task: Mapping[str, Any]) -> str | None:
    """Why this process must not do a piece: what it has imported is not what the sender has; None: it may."""
    if task["code"] != code():
        return "a worker has other files of hyco: install the same version there, and start it again"
    for name, digest in task["sources"].items():
        if _SEEN.setdefault(name, digest) != digest:
            return f"{name} has changed since a worker imported it: start the workers again"
    return None


def version() -> str:
    """The version of this package where it is called."""
    return str(import_module("hyco").__version__)  # no import statement: the package imports this file


def _function(place: str, path: Sequence[str]) -> Any:
    """The function of a piece; no other than one of this package.

    Raises:
        ValueError: it is none.
    """
    keep_freed_memory()
    sys.path += [folder for folder in path if folder not in sys.path]  # last, as the project's folder always is
    module, _, name = place.partition(":")
    if module.partition(".")[0] != _PACKAGE:
        raise ValueError(f"{place} is no function of this package")
    function = getattr(import_module(module), name)
    if getattr(function, "__module__", None) != module:
        raise ValueError(f"{place} is defined elsewhere")
    return function


def _kept(path: Path) -> dict[str, Any] | None:
    """The result of an earlier time, if there is one."""
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (DamagedFileError, OSError) as error:
        log.warning("%s: it is done anew.", error)
        return None


def _own_path() -> list[str]:
    """Where this process finds modules that are not installed: files of the project, whose classes experiments name."""
    prefixes = (sys.prefix, sys.base_prefix)
    own = [folder for folder in sys.path if folder and not folder.startswith(prefixes)]
    return [folder for folder in own if Path(folder).name not in _INSTALLED]  # of the user, or of another environment


class _Listener(logging.Handler):
    """Keeps what is said as pairs of level and text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self.said.append((record.levelno, record.getMessage()))


@contextmanager
def _heard(elsewhere: bool) -> Iterator[list[tuple[int, str]]]:
    """What this package warns of meanwhile, if that is wanted."""
    listener = _Listener()
    if not elsewhere:
        yield listener.said
        return
    logger = logging.getLogger(_PACKAGE)
    logger.addHandler(listener)
    try:
        yield listener.said
    finally:
        logger.removeHandler(listener)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
