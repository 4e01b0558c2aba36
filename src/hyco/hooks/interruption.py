"""A run that is told to end: it does at once, and what was trained is kept."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.framework.hooks import hook_impl

from hyco.hooks.reporting import COMPARISON
from hyco.runtime.beginning import begun

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from hyco.datasets.checkpoint import CheckpointDataset

log = logging.getLogger(__name__)

# What tells a run to end: Ctrl-C, a batch system or `kill`, a terminal that closes.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# Seconds until it is told again: where code that catches everything has swallowed it, and where Python has, which lets
# no exception out of a callback of a weak reference or a `__del__`.
_AGAIN, _SOON = 3.0, 0.05


class Interruption(KeyboardInterrupt):
    """A signal told the run to end.

    Attributes:
        signal: which.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(f"interrupted by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """What shells expect of a program that a signal has ended."""
        return 128 + int(self.signal)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Inside, signals that end a program raise `Interruption` in the main thread; one that is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    timers: list[threading.Timer] = []
    ignored = sys.unraisablehook

    def again(number: int, seconds: float) -> None:
        for timer in timers:
            timer.cancel()
        timers.append(timer := threading.Timer(seconds, _tell_again, (number,)))
        timer.daemon = True
        begun(timer)

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        again(number, _AGAIN)
        raise Interruption(number)

    def swallowed(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, Interruption):
            again(unraisable.exc_value.signal, _SOON)
        else:
            ignored(unraisable)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    changed = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
    sys.unraisablehook = swallowed
    try:
        for number in changed:
            signal.signal(number, interrupt)
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number in changed:
            signal.signal(number, before[number])
        sys.unraisablehook = ignored


def _tell_again(number: int) -> None:
    main = threading.main_thread().ident
    if main is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main, number)


class InterruptionHooks:
    """Writes the checkpoint of the last finished epoch where a run ends before its end."""

    def __init__(self) -> None:
        self._checkpoints: dict[str, CheckpointDataset] = {}
        self._compares = False

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Remember the checkpoints of the run."""
        from hyco.datasets.checkpoint import CheckpointDataset

        named = {name: catalog.get(name) for name in sorted(pipeline.all_outputs()) if name in catalog}
        self._checkpoints = {n: d for n, d in named.items() if isinstance(d, CheckpointDataset)}
        self._compares = COMPARISON in pipeline.all_outputs()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """There is nothing to keep any more."""
        self._checkpoints = {}

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Write what there is."""
        self._keep()

    def interrupted(self) -> None:
        """Write what there is, and say how to go on."""
        kept = self._keep()
        if kept:
            log.warning("Kept: %s. The same command with --params resume=true goes on from there.", ", ".join(kept))
        elif self._compares:
            log.warning(
                "Kept: the trainings that had ended. The same command with --params resume=true goes on from there."
            )
        else:
            log.warning("No epoch had been finished: start the run again.")

    def _keep(self) -> list[str]:
        """The last epoch of each training that there was one of."""
        checkpoints, self._checkpoints = self._checkpoints, {}
        kept = []
        for name, dataset in checkpoints.items():
            try:
                if epoch := dataset.finish():
                    kept.append(f"epoch {epoch} of the {name.removesuffix('_checkpoint')} training")
            except OSError as error:  # it must not hide why the run has ended
                log.warning("%s", error)
        return kept
