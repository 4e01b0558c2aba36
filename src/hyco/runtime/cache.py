"""Files in the user's cache, each with a checksum beside it: one that is not what was kept is not used."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hyco.runtime.errors import InternalError


class DamagedCacheError(InternalError):
    """A file is not what was kept."""


class ForeignCacheError(PermissionError):
    """Others than the user could have written a file."""


def cache_folder(name: str) -> Path:
    """A folder of the user's cache.

    Raises:
        RuntimeError: the user has no home, and no XDG_CACHE_HOME.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyco" / name


def read_kept(path: Path) -> bytes:
    """The content of a file that was kept, and that nobody else can have written.

    Raises:
        DamagedCacheError: its checksum differs, or there is none.
        FileNotFoundError: there is no such file.
        ForeignCacheError: others could have written it.
        OSError: it cannot be read.
    """
    for one in (path.parent, path):
        found = one.stat()
        if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
            raise ForeignCacheError(f"{one} belongs to somebody else, or others may write to it")
    content, checksum = path.read_bytes(), _checksum_file(path)
    if not checksum.exists() or checksum.read_bytes() != _checksum(content):
        raise DamagedCacheError("its checksum differs")
    return content


def keep(made: Path, path: Path) -> None:
    """Move a file to its place in the cache, instead of one that may be there, with its checksum.

    Of two that are kept at once one stays; where the checksum is the other's, it is made anew when it is read.

    Args:
        made: in a folder of its own on the same disk.
        path: its place.

    Raises:
        OSError: it cannot be written.
    """
    with made.open("rb+") as written:
        os.fsync(written.fileno())  # under its name it is there as a whole, whatever happens to the machine
    beside = _checksum_file(made)
    beside.write_bytes(_checksum(made.read_bytes()))
    beside.replace(_checksum_file(path))
    made.replace(path)


def _checksum_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
