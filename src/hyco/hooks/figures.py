"""Figures that are still being written when a run is done."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from hyco.runtime.beside import FIGURES, BesideError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

log = logging.getLogger(__name__)


class FigureHooks:
    """Waits for the files of a run's figures, which processes beside it draw and write."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Let what draws get ready beside the run, which need not know matplotlib itself."""
        from hyco.datasets.figure import FigureDataset

        made = [catalog.get(name) for name in sorted(pipeline.all_outputs()) if name in catalog]
        # Where it does, its own copies draw, with what it has set: see `hyco.datasets.figure.can_be_sent`.
        if "matplotlib" not in sys.modules and any(isinstance(dataset, FigureDataset) for dataset in made):
            FIGURES.get_ready(_get_ready)

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
        _finish()

    def run_ended(self) -> None:
        """Likewise, where it was interrupted."""
        _finish()


def _finish() -> None:
    try:
        FIGURES.finish()
    except BesideError as error:  # it must not hide why the run has ended
        log.warning("%s", error)


def _get_ready() -> None:
    from hyco.plots.ready import get_ready

    get_ready()
    # The page is made like them. What it imports, torch among it, the copies that draw need, too.
    import_module("hyco.report.page")
