"""How much memory there is, and how the C library handles what is freed."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# glibc's numbers of the two settings, and their values in bytes; blocks of 32 MB are the largest that it lets be set.
_TRIM_THRESHOLD, _KEPT = -1, 2**30
_MMAP_THRESHOLD, _LARGEST_BLOCK = -3, 2**25

_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


# Where Linux says how much a group of processes may take: in the second and the first version of groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def memory_bytes() -> int | None:
    """Memory of this machine, or what this process may take of it where that is less; None: not known."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # not a system that says it
        return None
    for path in _LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # there is none, or "max"
            continue
    return min(found)


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GB that was freed, for what it takes next. Linux with glibc; else nothing.

    A training step frees what it took and takes it again. By default much of that goes back to the system, which hands
    out and clears each page anew: of the gradient of a rollout at 256² that was 40 % of the time. The most memory that
    a process takes does not change, only that it keeps it. Who sets one of glibc's variables decides instead:
    MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_ or GLIBC_TUNABLES.

    Returns:
        Whether it is set.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SETTINGS):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    settings = ((_TRIM_THRESHOLD, _KEPT), (_MMAP_THRESHOLD, _LARGEST_BLOCK))
    return all(library.mallopt(name, value) == 1 for name, value in settings)
