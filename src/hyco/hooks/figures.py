"""Figures that are still being written when a run is done."""

from __future__ import annotations

import logging
from collections.abc import Generator

from kedro.framework.hooks import hook_impl

from hyco.runtime.beside import FIGURES, BesideError

log = logging.getLogger(__name__)


class FigureHooks:
    """Waits for the files of a run's figures, which processes beside it draw and write."""

    # Around all others: they log files, and have to be done with the run where one could not be written, too.
    @hook_impl(wrapper=True)
    def after_pipeline_run(self) -> Generator[None, None, None]:
        """Wait, and say what could not be written when all else is done.

        Raises:
            BesideError: a file.
        """
        failed: BesideError | None = None
        try:
            FIGURES.finish()
        except BesideError as error:
            failed = error
        yield
        if failed is not None:
            raise failed

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Wait: files of this run are not those of another one in this process."""
        try:
            FIGURES.finish()
        except BesideError as error:  # it must not hide why the run has ended
            log.warning("%s", error)
