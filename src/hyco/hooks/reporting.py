"""What a run leaves for the user: the configuration beside the report, and a last line."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml
from kedro.framework.hooks import hook_impl

from hyco.hooks.errors import for_user, foreseen
from hyco.hooks.provenance import provenance

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

log = logging.getLogger(__name__)

REPORT = "report"
COMPARISON = "comparison"
COMPARISON_PAGE = "comparison_page"
PREDICTIONS = "predicted_states"
CONFIGURATION = "configuration.yaml"
PROVENANCE = "made_with.json"
_PHYSICAL = ("physical", "hybrid_physical")


class ReportHooks:
    """Keeps the resolved parameters with every report, and ends a run with its path or with the reason why not."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._project = Path()
        self._observations: str | None = None
        self._report: Path | None = None
        self._page: Path | None = None
        self._predictions: Path | None = None

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any], parameters: dict[str, Any]) -> None:
        """Remember where the report will be, and what was asked for."""
        self._report, self._page, self._predictions = (
            Path(filepath) if (filepath := conf_catalog.get(name, {}).get("filepath")) else None
            for name in (REPORT, COMPARISON_PAGE, PREDICTIONS)
        )
        self._parameters = parameters["parameters"]

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Remember where the project is."""
        self._project, self._observations = Path(run_params["project_path"]), None

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Take the digest of the observations, which every training and evaluation loads."""
        if dataset_name == "observations" and self._observations is None:
            from hyco.runtime.storage import digest

            self._observations = digest(data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Save the parameters of the run that wrote the report, as they were after all overrides, and what made it."""
        if dataset_name == REPORT and self._report is not None:
            from hyco.runtime.storage import serialised_json, write_atomically

            text = yaml.safe_dump(self._parameters, sort_keys=False, allow_unicode=True)
            header = f"# The parameters of the run that wrote {self._report.name}, after all overrides.\n"
            write_atomically(self._report.with_name(CONFIGURATION), (header + text).encode())
            made_with = serialised_json(provenance(self._project, self._observations), 2)
            write_atomically(self._report.with_name(PROVENANCE), made_with)

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Name what was made; without a report, say what was estimated and what to worry about."""
        if REPORT not in pipeline.all_outputs():
            for name in sorted(pipeline.all_outputs() & {f"{method}_model" for method in _PHYSICAL}):
                from hyco.inversion.estimate import PhysicalEstimate
                from hyco.report.warnings import tell_estimate

                estimate = PhysicalEstimate.from_json(catalog.load(name))
                measured = bool(self._parameters.get("measurements"))
                tell_estimate(name.removesuffix("_model"), estimate, measured=measured)
        if self._report is not None and REPORT in pipeline.all_outputs():
            log.info("Report: %s", self._report)
        if self._page is not None and COMPARISON_PAGE in pipeline.all_outputs():
            log.info("Comparison: %s", self._page)
        if self._predictions is not None and PREDICTIONS in pipeline.all_outputs():
            log.info("Predictions: %s", self._predictions)

    # Last, because it raises: other hooks must have had their turn.
    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception) -> None:
        """Let go of what nodes hold, and print the errors that this program foresaw as their message alone."""
        if click.get_current_context(silent=True) is not None:
            # Else a comparison whose last result could not be saved would go on in other processes to its end, and the
            # program would wait for them. In a notebook a debugger needs the frames.
            traceback.clear_frames(error.__traceback__)
        one = foreseen(error)
        if one is not None and (shown := for_user(one)) is not one:
            raise shown from error
