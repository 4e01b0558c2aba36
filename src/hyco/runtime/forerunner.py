"""The process that workers of this machine are copied from: it imports what they need while the program goes on."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from contextlib import suppress
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

# What trainings import, some of it not before their first step; no worker takes that time again.
_MODULES = ("hyco.comparison.one_run", "scipy.optimize")
# Where there is one, PhiFlow asks for it as it is imported, and a copy of that process could not use it.
_GPUS = tuple(map(Path, ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")))  # also Jetson's, and WSL's


def begin() -> str:
    """Begin that process, unless it was before; it ends with this one.

    Returns:
        How Python calls the way in which workers begin: "forkserver" on Linux without a GPU, elsewhere "spawn", where
        each imports for itself.
    """
    # In Python 3.11.0 other users of the machine may ask for copies, too (CVE-2022-42919).
    if sys.platform != "linux" or sys.version_info < (3, 11, 1) or any(gpu.exists() for gpu in _GPUS):
        return "spawn"
    multiprocessing.get_context("forkserver").set_forkserver_preload(list(_MODULES))
    with suppress(OSError):  # too many processes, or no memory: it is tried again, and told, with the first worker
        resource_tracker.ensure_running()  # it unblocks interrupts in the end
        # A terminal sends an interrupt to all of its processes: who has begun this one ends it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return "forkserver"
