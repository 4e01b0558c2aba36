"""Files that say which process owns something, so that no two do.

The lock itself is the operating system's: it ends with the process, however that ends. What stands in the file is for
the message: a file without the lock is what a killed process has left, and is taken over.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

# Seconds between two tries to get a lock.
_PAUSE = 0.05


class HeldError(RuntimeError):
    """Another process holds the lock.

    Attributes:
        owner: `pid`, `host` and `since`, as far as its file says.
    """

    def __init__(self, path: Path, owner: dict[str, Any]) -> None:
        self.owner = owner
        super().__init__(f"{path} is held by {described(owner)}")


def described(owner: dict[str, Any]) -> str:
    """An owner in words."""
    known = {key: owner.get(key, "unknown") for key in ("pid", "host", "since")}
    return "process {pid} on {host}, since {since}".format(**known)


class FileLock:
    """Exclusive ownership, told by a file.

    Args:
        path: of the file, which is made with its folder, and removed at the end.

    Attributes:
        left_by: the owner that ended without removing the file, once this one has the lock; None: there was none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_by: dict[str, Any] | None = None
        self._file: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self, patience: float = 0.0) -> None:
        """Take the lock.

        Args:
            patience: seconds to wait for another owner.

        Raises:
            HeldError: another one holds it.
            OSError: the file cannot be made.
        """
        deadline = time.monotonic() + patience
        while not self._try():
            if time.monotonic() >= deadline:
                raise HeldError(self.path, _read(self.path))
            time.sleep(_PAUSE)

    def release(self) -> None:
        """Give the lock back, where it is held."""
        if self._file is None:
            return
        # First: who opens the file after that makes another one.
        self.path.unlink(missing_ok=True)
        os.close(self._file)
        self._file = None

    def _try(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(file) or not _is_still(self.path, file):
                os.close(file)
                return False
            # An empty file is that of another process between its opening and its lock: this one was first.
            self.left_by = _read(self.path) or None
            os.ftruncate(file, 0)
            try:
                os.write(file, json.dumps(_own()).encode())
            except OSError:  # a full disk
                self.path.unlink(missing_ok=True)
                raise
        except OSError:
            os.close(file)
            raise
        self._file = file
        return True


def _own() -> dict[str, Any]:
    now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def _read(path: Path) -> dict[str, Any]:
    """What the file says; nothing where it is not there, or says nothing."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_still(path: Path, file: int) -> bool:
    """Whether the open file is the one of this path: its owner may have removed it meanwhile."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> bool:
        try:
            os.lseek(file, 1 << 30, os.SEEK_SET)  # beyond the content, which others may read
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
