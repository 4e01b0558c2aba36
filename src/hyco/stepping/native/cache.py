"""Compiled libraries, which are kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

# Values that are no numbers stay so: no -ffast-math.
_FLAGS = ("-std=c++17", "-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


def cache_folder(name: str) -> Path:
    """A folder of the user's cache.

    Raises:
        RuntimeError: the user has no home, and no XDG_CACHE_HOME.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyco" / name


def compiled_function(source: str) -> Any:
    """The function `run` of a source, from the user's cache if it is there.

    Raises:
        OSError, subprocess.CalledProcessError: it cannot be compiled or loaded.
        RuntimeError: there is no cache.
    """
    library = _library(source)
    if library.exists():
        try:
            return _loaded(library)
        except _AccessError:
            raise
        except (OSError, AttributeError, _DamagedError) as error:
            log.info("%s is damaged (%s): it is compiled again.", library, error)
            library.unlink(missing_ok=True)
    _compile(source, library)
    return _loaded(library)


class _DamagedError(ValueError):
    """A library is not what was compiled: to load it could end the process."""


class _AccessError(PermissionError):
    """Others than the user could have written a library."""


def _loaded(library: Path) -> Any:
    """The function of a library that nobody else can have written: to load one is to run it."""
    for path in (library.parent, library):
        if os.name == "posix":
            found = path.stat()
            if found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise _AccessError(f"{path} belongs to somebody else, or others may write to it")
    checksum = _checksum_file(library)
    if not checksum.exists() or checksum.read_bytes() != _checksum(library):
        raise _DamagedError("its checksum differs")
    return ctypes.CDLL(str(library)).run


def _library(source: str) -> Path:
    key = hashlib.sha256("\n".join((_compiler(), *_FLAGS, _machine(), source)).encode()).hexdigest()[:32]
    return cache_folder("native") / f"{key}.so"


def _checksum_file(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _checksum(library: Path) -> bytes:
    return hashlib.sha256(library.read_bytes()).hexdigest().encode()


def _compile(source: str, library: Path) -> None:
    library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        text, made = Path(folder) / "step.cpp", Path(folder) / "step.so"
        text.write_text(source, encoding="utf-8")
        command = [_compiler(), *_FLAGS, str(text), "-o", str(made)]
        # A compiler's messages may be in any encoding.
        subprocess.run(command, check=True, capture_output=True, text=True, errors="replace")
        made.chmod(0o700)
        with made.open("rb+") as written:
            os.fsync(written.fileno())  # under its name it is there as a whole, whatever happens to the machine
        beside = Path(folder) / "step.sha256"
        beside.write_bytes(_checksum(made))
        beside.replace(_checksum_file(library))
        made.replace(library)


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _machine() -> str:
    """What code for the machine at hand depends on."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    return platform.machine() + next((line for line in lines if line.startswith(("flags", "Features"))), "")
