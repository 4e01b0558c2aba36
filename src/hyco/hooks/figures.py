"""Figures that are still being written when a run is done."""

from __future__ import annotations

from kedro.framework.hooks import hook_impl

from hyco.runtime.beside import PDFS


class FigureHooks:
    """Waits for the PDF files of a run's figures, which processes beside it write."""

    # First: what comes next logs files.
    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Wait.

        Raises:
            OSError: a file could not be written.
        """
        PDFS.finish()
