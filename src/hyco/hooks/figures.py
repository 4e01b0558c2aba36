"""Figures that are still being written when a run is done."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import MemoryDataset

from hyco.runtime.beside import FIGURES, BesideError

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

log = logging.getLogger(__name__)

# Where the functions are that draw, of which nodes return some with their arguments.
_DRAWINGS = "hyco.pipelines.evaluation.drawings"


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

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any], catalog: CatalogProtocol[Any, Any]) -> None:
        """Draw what a catalog of the user's keeps in datasets that do not draw: these are given figures and texts."""
        drawn = {name: data for name, data in outputs.items() if _is_drawing(data) and not _draws(catalog.get(name))}
        outputs |= {name: draw() for name, draw in drawn.items()}

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


def _is_drawing(data: object) -> bool:
    return isinstance(data, partial) and data.func.__module__ == _DRAWINGS


def _draws(dataset: object) -> bool:
    """Whether a dataset takes what draws; in memory it is drawn for the page alone."""
    from hyco.datasets.animation import AnimationDataset
    from hyco.datasets.figure import FigureDataset
    from hyco.datasets.texts import TextFileDataset

    kinds = (AnimationDataset, FigureDataset, TextFileDataset, MemoryDataset)
    return dataset is None or isinstance(dataset, kinds)


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
