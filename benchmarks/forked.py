"""The project's commands without their start-up: a process that has imported everything forks for each of them.

A command of the project takes some ten seconds before it does anything, nearly all of it imports. `Forked` runs the
same `main` with the same arguments, folder and variables in a fork of the present process, which has to be one without
threads of Python's. `faults_commands.py forks` runs some both ways: what is written, printed and returned is the same.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import inspect
import os
import pkgutil
import runpy
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parents[1]
# Imported late by packages, inside of functions.
_LATE = (
    "IPython",
    "PIL.Image",
    "alembic",
    "kedro_telemetry.plugin",
    "kedro_viz.launchers.cli",
    "matplotlib.pyplot",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
)


def import_everything() -> None:
    """Import what the commands import. Nothing of it starts a thread of Python's."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "true"}
    os.chdir(ROOT)  # Kedro looks for conf/logging.yml when it is imported
    importlib.import_module("kedro.framework.cli.cli")
    import hyco

    for module in pkgutil.walk_packages(hyco.__path__, "hyco."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)
    inspect.stack()  # it looks at all modules once
    gc.freeze()  # as `hyco.runtime.garbage` does
    if threading.active_count() > 1:
        raise RuntimeError(f"imports have started threads: {threading.enumerate()}")


class Forked:
    """A command in a process of its own, which is a fork of this one; used like `subprocess.Popen`.

    Args:
        module: what follows `python -m`.
        arguments: what follows that.
        cwd: the folder that it is started in.
        env: its variables.
        apart: what it prints as errors is kept apart from the rest.

    Attributes:
        pid: of the process.
        returncode: minus the signal where that has ended it; None: it has not been seen to end.
        rusage: what it has used, once it has ended.
    """

    def __init__(
        self, module: str, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], apart: bool = False
    ) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._errors = tempfile.TemporaryFile() if apart else None  # noqa: SIM115
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            streams = (self._output, self._errors or self._output)
            _become(module, arguments, cwd, env, *(stream.fileno() for stream in streams))

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        if self.returncode is None:
            pid, status, self.rusage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = 300.0) -> int:
        """Wait for its end.

        Raises:
            TimeoutError: it has not come.
        """
        end = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                self.send_signal(signal.SIGKILL)
                while self.poll() is None:
                    time.sleep(0.005)
                said = self.output() + (_text_of(self._errors) if self._errors else "")
                raise TimeoutError(f"process {self.pid} has not ended in {seconds} s:\n{said[-3000:]}")
            time.sleep(0.005)
        return code

    def communicate(self, seconds: float = 300.0) -> tuple[str, str | None]:
        """Wait for its end; what it has printed, with what it has printed as errors if that is kept apart.

        Raises:
            TimeoutError: it has not come.
        """
        self.wait(seconds)
        texts = self.output(), _text_of(self._errors) if self._errors else None
        for stream in (self._output, self._errors):
            if stream:
                stream.close()
        return texts

    def output(self) -> str:
        """What it has printed until now."""
        return _text_of(self._output)

    def send_signal(self, number: int) -> None:
        """Send a signal to it, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _text_of(stream: IO[bytes]) -> str:
    """What a file holds, also while another process writes to it."""
    return os.pread(stream.fileno(), os.fstat(stream.fileno()).st_size, 0).decode(errors="replace")


def _become(
    module: str, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], output: int, errors: int
) -> NoReturn:
    """Be the command, to the end of the process."""
    code = 1
    try:
        for number, handler in _HANDLERS.items():
            signal.signal(number, handler)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(errors, 2)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        sys.path.insert(0, str(cwd))
        sys.argv = [module, *arguments]
        code = _main(module)
        threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter ends
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


# Of a command of a shell, whatever this process does with them (in the background it may ignore some).
_HANDLERS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGXFSZ: signal.SIG_IGN,
}


def _main(module: str) -> int:
    """Run a module as `python -m` does; its exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
