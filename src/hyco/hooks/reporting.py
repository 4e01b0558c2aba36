"""What a run leaves for the user: the configuration beside the report, and a last line."""

from __future__ import annotations

import logging
import shlex
import sys
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

    from hyco.datasets.views import View

log = logging.getLogger(__name__)

REPORT = "report"
REPORT_PAGE = "report_page"
COMPARISON = "comparison"
COMPARISON_PAGE = "comparison_page"
PREDICTIONS = "predicted_states"
CONFIGURATION = "configuration.yaml"
PROVENANCE = "made_with.json"
# What shows them, for a run that makes them alone.
_SHOWN = {
    REPORT: {REPORT_PAGE, "report_table"},
    COMPARISON: {"comparison_report", COMPARISON_PAGE, "comparison_table", "comparison_figure", "comparison_rollouts"},
}
_PHYSICAL = ("physical", "hybrid_physical")
_TRAININGS = ("synthetic", "physical", "hybrid")
# What a run ends by naming, the most important last.
_PLACES = {
    REPORT: "Numbers",
    COMPARISON_PAGE: "Tables",
    PREDICTIONS: "Predictions",
    REPORT_PAGE: "Report",
    "comparison_report": "Comparison",
}


class ReportHooks:
    """Keeps the resolved parameters with every report, and ends a run with its path or with the reason why not."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._project = Path()
        self._observations: str | None = None
        self._report: Path | None = None
        self._places: dict[str, tuple[Path, str]] = {}
        self._views: dict[str, View] = {}

    @hook_impl
    def after_catalog_created(
        self, catalog: CatalogProtocol[Any, Any], conf_catalog: dict[str, Any], parameters: dict[str, Any]
    ) -> None:
        """Remember where the report will be, and what was asked for."""
        if (dataset := catalog.get("run_command")) is not None:
            dataset.save(_command())
        else:
            catalog["run_command"] = _command()
        paths = {name: conf_catalog.get(name, {}).get("filepath") for name in (REPORT, *_PLACES)}
        self._report = Path(paths[REPORT]) if paths[REPORT] else None
        self._places = {name: (Path(paths[name]), words) for name, words in _PLACES.items() if paths[name]}
        self._parameters = parameters["parameters"]

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Remember where the project is, and what shows the numbers that a run makes."""
        outputs = pipeline.all_outputs()
        names = outputs.union(*(shown for numbers, shown in _SHOWN.items() if numbers in outputs))
        self._views = _views(names, pipeline.inputs(), catalog)
        if self._parameters.get("terminal") != "quiet":
            for handler in logging.root.handlers:
                handler.addFilter(_not_twice)
        self._project, self._observations = Path(run_params["project_path"]), None

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Take the digest of the observations, which every training and evaluation loads."""
        if dataset_name == "observations" and self._observations is None:
            from hyco.runtime.storage import digest

            self._observations = digest(data)

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Remove pages and figures of an earlier run's numbers as there come others.

        What comes of this run may be late, or never come.
        """
        self._views.pop(dataset_name, None)  # it is this run's from now on
        if dataset_name in (REPORT, COMPARISON):
            views, self._views = self._views, {}  # at once: other threads may save meanwhile
            for view in views.values():
                view.remove_old()

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

    # After all others that look at the run: what came of it, and where it is, are the last lines.
    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Say what came of the run and what to worry about, and, last, where it is."""
        _say_all()
        outputs = pipeline.all_outputs()
        lines = self._lines(outputs, catalog)
        if lines and self._parameters.get("terminal") != "quiet":
            log.info("\n".join(["Done.", *lines]))
        for name, (path, words) in self._places.items():
            if name in outputs and catalog.exists(name):  # a page that is made beside the run may have failed
                log.info("%s: %s", words, path)
        if lines and REPORT not in outputs:
            words = "No report yet"
            if self._report is not None and self._report.exists():
                words = f"The report in {self._report.parent} is an earlier run's"
            log.info("%s: the same command with --tags evaluate makes it of these models", words)

    # Last, because it raises: other hooks must have had their turn.
    @hook_impl(trylast=True)
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Let go of what nodes hold, and print the errors that this program foresaw as their message alone.

        Of others the last line says what was saved, and how to go on.
        """
        _say_all()
        if click.get_current_context(silent=True) is not None:
            # Else a comparison whose last result could not be saved would go on in other processes to its end, and the
            # program would wait for them. In a notebook a debugger needs the frames.
            traceback.clear_frames(error.__traceback__)
        one = foreseen(error)
        if one is not None and (shown := for_user(one)) is not one:
            raise shown from error
        if (words := self._saved(pipeline, catalog)) and not isinstance(error, click.ClickException):
            error.add_note(words)

    def interrupted(self) -> None:
        """Nothing comes at the end any more."""
        _say_all()

    def run_ended(self) -> None:
        """Likewise, where another hook has refused the run."""
        _say_all()

    def _lines(self, outputs: set[str], catalog: CatalogProtocol[Any, Any]) -> list[str]:
        """The summary of a report, or, without one, of what was trained."""
        from hyco.display.summary import summary

        if REPORT in outputs:
            report = catalog.load(REPORT)
            return summary(report) if report.get("methods") else []
        found = sorted(outputs & {f"{method}_model" for method in _PHYSICAL})
        histories = sorted(outputs & {f"{training}_metrics" for training in _TRAININGS})
        if not found and not histories:
            return []
        content: dict[str, Any] = {"methods": {}, "warnings": []}
        for name in found:
            from hyco.inversion.estimate import PhysicalEstimate
            from hyco.report.warnings import tell_estimate, undetermined_warnings

            estimate = PhysicalEstimate.from_json(catalog.load(name))
            measured, method = bool(self._parameters.get("measurements")), name.removesuffix("_model")
            units = self._units()
            entries = {key: n.to_json() | {"unit": units.get(key)} for key, n in estimate.numbers.items()}
            content["methods"][method] = {"parameters": entries}
            content["warnings"] += tell_estimate(method, estimate, measured=measured)
            if estimate.outcome is not None:
                content["warnings"] += undetermined_warnings(method, entries)
        errors = {name.removesuffix("_metrics"): _last_validation(catalog.load(name)) for name in histories}
        return summary(content if found else {"methods": {}}, errors=errors)

    def _units(self) -> dict[str, str]:
        """Of the parameters, as far as the equation has them."""
        if "equation" not in self._parameters:
            return {}
        from hyco.equations.registry import equation_config
        from hyco.equations.units import parameter_units

        return parameter_units(equation_config(dict(self._parameters["equation"])))

    def _saved(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> str:
        """What a run that failed has left, and the command that goes on from there; empty where there is nothing."""
        for training in _TRAININGS:
            name = f"{training}_checkpoint"
            if name not in pipeline.all_outputs() or name not in catalog or not catalog.exists(name):
                continue
            checkpoint = catalog.load(name)
            if checkpoint is None:
                continue
            epoch, epochs = checkpoint.metadata["epoch"], checkpoint.metadata["epochs"]
            return (
                f"Saved: epoch {epoch} of {epochs} of the {training} training. Go on from there with the same command "
                "and --params resume=true"
            )
        return ""


def _views(names: set[str], read: set[str], catalog: CatalogProtocol[Any, Any]) -> dict[str, View]:
    """Those of these datasets that only show something, but for files that datasets to be `read` are in, too.

    A table that a node of the user's adds a row to has two names.
    """
    from hyco.datasets.views import View

    given = [getattr(catalog.get(name), "_filepath", None) for name in read if name in catalog]
    kept = {Path(str(path)).absolute() for path in given if path is not None}
    found = {name: catalog.get(name) for name in sorted(names) if name in catalog}
    views = {name: dataset for name, dataset in found.items() if isinstance(dataset, View)}
    return {name: view for name, view in views.items() if kept.isdisjoint(path.absolute() for path in view.files())}


def _command() -> str:
    """What was typed, as it can be typed again; empty where the run was not started by a command."""
    if click.get_current_context(silent=True) is None:
        return ""
    # Kedro and Python have names of their own for what was typed; `python -m hyco` is `hyco`.
    program = Path(sys.argv[0])
    name = "hyco" if "hyco" in (program.stem, program.parent.name) else "kedro"
    return shlex.join([name, *sys.argv[1:]])


def _last_validation(history: list[dict[str, Any]]) -> dict[str, Any]:
    """The metrics of the last epoch that was validated, empty if there is none."""
    for record in reversed(history):
        if any(key.startswith("validation_") for key in record["metrics"]):
            return dict(record["metrics"])
    return {}


def _say_all() -> None:
    """What a later fit in the same process has to say is said."""
    for handler in logging.root.handlers:
        handler.removeFilter(_not_twice)


def _not_twice(record: logging.LogRecord) -> bool:
    """Keep from the terminal what stands in the lines at the end, too."""
    return record.name != "hyco.report.warnings"
