"""C++ code of hyco's own, compiled where it is used and kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hyco.runtime.cache import DamagedCacheError, ForeignCacheError, cache_folder, keep, read_kept

log = logging.getLogger(__name__)

# Values that are no numbers stay so: no -ffast-math.
_FLAGS = ("-std=c++17", "-O2", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


def compiled(source: str) -> ctypes.CDLL:
    """The library of a source, from the user's cache if it is there.

    Raises:
        OSError, subprocess.CalledProcessError: it cannot be compiled or loaded.
        RuntimeError: there is no cache.
    """
    library = _library(source)
    try:
        read_kept(library)  # to load a library is to run it; one that is damaged could end the process
        return ctypes.CDLL(str(library))
    except FileNotFoundError:
        pass
    except ForeignCacheError:
        raise
    except (OSError, DamagedCacheError) as error:
        log.info("%s is not used (%s): it is compiled.", library, error)
    return _compile(source, library)


def _library(source: str) -> Path:
    key = hashlib.sha256("\n".join((_compiler(), *_FLAGS, _machine(), source)).encode()).hexdigest()[:32]
    return cache_folder("native") / f"{key}.so"


def _compile(source: str, library: Path) -> ctypes.CDLL:
    """It, kept where that is possible."""
    with ExitStack() as stack:
        try:
            library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=library.parent)))
            kept = True
        except OSError as error:
            log.info("What is compiled is not kept: %s cannot be written (%s).", library.parent, error)
            folder, kept = Path(stack.enter_context(tempfile.TemporaryDirectory())), False
        text, made = folder / "step.cpp", folder / "step.so"
        text.write_text(source, encoding="utf-8")
        command = [_compiler(), *_FLAGS, str(text), "-o", str(made)]
        # A compiler's messages may be in any encoding.
        subprocess.run(command, check=True, capture_output=True, text=True, errors="replace")
        made.chmod(0o700)
        loaded = ctypes.CDLL(str(made))  # from here: others may keep theirs under the same name
        if kept:
            try:
                keep(made, library)
            except OSError as error:
                log.info("What is compiled is not kept: %s cannot be written (%s).", library, error)
        return loaded


def _compiler() -> str:
    return os.environ.get("CXX", "g++")


def _machine() -> str:
    """What code for the machine at hand depends on."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    return platform.machine() + next((line for line in lines if line.startswith(("flags", "Features"))), "")
