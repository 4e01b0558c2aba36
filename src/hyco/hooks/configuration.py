"""Complete and check the whole configuration before anything runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl
from kedro.framework.project import LOGGING, configure_logging
from kedro.io import AbstractDataset
from omegaconf.errors import OmegaConfBaseException

from hyco.hooks.computing import require_computable
from hyco.hooks.errors import for_user, say_it_once
from hyco.hooks.parameter_files import (
    configuration_files,
    require_inside,
    require_name,
    require_plain,
    require_space,
    require_writable,
    unresolved,
)
from hyco.hooks.runtime_parameters import with_runtime_parameters
from hyco.hooks.selection import SelectionError, require_versions
from hyco.runtime.garbage import first_import
from hyco.runtime.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from kedro.config import OmegaConfigLoader
    from kedro.framework.context import KedroContext
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from hyco.measurements.config import MeasurementsConfig
    from hyco.measurements.survey import Survey

# Keys that are paths, and the datasets that are there.
_PATHS = (
    ("hybrid", "checkpoint_dir", ("hybrid_checkpoint", "hybrid_resume_point")),
    ("predict", "initial_states", ("prediction_states",)),
)


class ConfigurationHooks:
    """Logging, one validation of all parameters, the measurements, keys that are paths, `threads`, freed memory."""

    def __init__(self) -> None:
        self._project_path = Path()
        self._measured: tuple[MeasurementsConfig, xr.Dataset] | None = None
        self._own_threads: int | None = None  # how many there were before `threads` changed it

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse a wrong configuration, and fill in what it leaves open, also from the file of measurements.

        Raises:
            hyco.config.ConfigurationError: one line per problem; on the command line, a `click.ClickException`.
            hyco.observations.checks.MeasurementError: the file cannot be read, likewise.
        """
        self._project_path = context.project_path
        _put_on_path(context.project_path)
        _use_logging(context.project_path / "conf" / "logging.yml")
        say_it_once()
        loader = cast("OmegaConfigLoader", context.config_loader)

        with first_import("hyco.config"):
            from hyco.config import ConfigurationError, check, complete, measurements_section, warn_without_effect
            from hyco.observations.checks import MeasurementError

        try:
            parameters = _parameters(loader)
            config, survey = measurements_section(parameters), None
            self._measured = None
            if config is not None:
                self._measured, survey = _survey(config, context.project_path, parameters)
            completed = complete(parameters, survey)
            check(completed, sources := _sources(loader))
            require_inside(context.project_path, completed)
            _require_catalog(loader)
        except (ConfigurationError, MeasurementError) as error:
            raise for_user(error) from error
        warn_without_effect(completed, sources)
        # From here on, what the run sees.
        loader["parameters"] = completed

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol[Any, Any], parameters: dict[str, Any]) -> None:
        """Send datasets to the paths that the parameters name, relative to the project."""
        if self._measured is not None and (file := catalog.get("measurements")) is not None:
            file.read(self._measured[0], self._project_path, self._measured[1])
            self._measured = None
        for section, key, names in _PATHS:
            path = (parameters["parameters"].get(section) or {}).get(key)
            if path is None:
                continue
            for name in names:
                if (dataset := catalog.get(name)) is not None:
                    dataset.move_to(self._project_path / path)

    # First, because it refuses: no run in MLflow shall have begun by then.
    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Refuse to go on from nothing; set how freed memory is kept and, by `threads`, how many threads torch uses.

        Raises:
            hyco.config.ConfigurationError: the pipeline evaluates, and there is no test simulation; or it needs what an
                earlier run has not made, or a device that is not there; or its files could not be written; or the
                runner is one of several processes.
            SelectionError: there is no such version of a dataset.
            hyco.observations.checks.MeasurementError: something is wrong with the file of measurements.
        """
        from hyco.config import ConfigurationError, parse_device

        if "ParallelRunner" in str(run_params.get("runner")):
            message = (
                "--runner ParallelRunner cannot be used: a training saves and tells its epochs while it goes on, in "
                "one process. Leave it out, or take ThreadRunner; compute.workers is for several processes"
            )
            raise for_user(ConfigurationError(message))
        try:
            require_versions(run_params.get("load_versions") or {}, catalog)
        except SelectionError as error:
            raise for_user(error) from error
        parameters, outputs = catalog.load("parameters"), pipeline.all_outputs()
        judged = parameters["observation"].get("test_sim") or parameters.get("measurements")
        if {"rollouts", "comparison"} & outputs and not judged:
            message = "observation.test_sim: [] leaves nothing to evaluate on; name simulations"
            if "rollouts" in outputs:
                message += ", or add `--tags train`"
            raise for_user(ConfigurationError(message))
        if missing := sorted(name for name in pipeline.inputs() if _is_missing(name, catalog)):
            message = f"experiment {parameters['experiment']} has no {', '.join(missing)} yet; run `--tags train` first"
            raise for_user(ConfigurationError(message))
        try:
            if "params:device" in pipeline.inputs():
                parse_device(parameters["device"])
            require_computable(parameters, outputs)
            require_writable(_files(outputs, catalog))
            if "observations" in outputs:
                require_space(self._project_path, parameters)
        except ConfigurationError as error:
            raise for_user(error) from error
        observed = {"observations", "comparison"} & outputs
        if observed and "measurements" in pipeline.inputs() and parameters.get("measurements"):
            _observe(catalog, parameters)
        keep_freed_memory()
        self._set_threads(parameters.get("threads"))

    def _set_threads(self, threads: int | None) -> None:
        """As many as asked for; without a number as many as there were, whatever an earlier run of this process had."""
        if threads is None and self._own_threads is None:
            return
        import torch

        if self._own_threads is None:
            self._own_threads = torch.get_num_threads()
        torch.set_num_threads(threads or self._own_threads)
        if threads is None:
            self._own_threads = None


def _is_missing(name: str, catalog: CatalogProtocol[Any, Any]) -> bool:
    """Whether an input that a pipeline cannot do without is not there, as far as its dataset can tell."""
    if name == "parameters" or name.startswith("params:"):
        return False
    if name.startswith("cached_") or name.endswith("_resume_point"):
        return False
    dataset = catalog.get(name)
    if dataset is None or type(dataset)._exists is AbstractDataset._exists:
        return False
    return not dataset.exists()


def _files(names: set[str], catalog: CatalogProtocol[Any, Any]) -> list[Path]:
    """The files of datasets, as far as they say them."""
    datasets = [catalog.get(name) for name in sorted(names) if name in catalog]
    paths = [dataset._describe().get("filepath") for dataset in datasets if dataset is not None]
    return [Path(path) for path in paths if path]


def _put_on_path(project: Path) -> None:
    """Let the configuration name classes of files in the project's folder, whichever command runs.

    Last, so that no file there stands in for an installed package.
    """
    if str(project) not in sys.path:
        sys.path.append(str(project))


def _use_logging(path: Path) -> None:
    """Kedro finds `conf/logging.yml` only from the project's own folder: find it from elsewhere too."""
    if "KEDRO_LOGGING_CONFIG" in os.environ or not path.is_file():
        return
    wanted = yaml.safe_load(path.read_text(encoding="utf-8"))
    if wanted != LOGGING.data:
        configure_logging(wanted)


def _survey(
    config: MeasurementsConfig, project: Path, parameters: Mapping[str, Any]
) -> tuple[tuple[MeasurementsConfig, xr.Dataset], Survey]:
    """What a file of measurements holds, and a look at it.

    Args:
        config: the section `measurements`.
        project: the folder that its path is relative to.
        parameters: whose section `observation` says what trajectories are needed (all, where it is wrong), and
            `equation` which columns and sensors walls hold.

    Raises:
        hyco.observations.checks.MeasurementError: it cannot be read.
    """
    from hyco.measurements.read import naming, needed_of
    from hyco.measurements.sensor_series import require_at_walls, sensor_series, wall_sensors, warn_of_jumps
    from hyco.measurements.source import load
    from hyco.measurements.survey import survey
    from hyco.measurements.wall_series import wall_columns, wall_series
    from hyco.observations import ObservationConfig

    needed = None
    with suppress(ValueError):
        needed = needed_of(
            ObservationConfig.model_validate({"train_sim": [0], **(parameters.get("observation") or {})})
        )
    with naming(config):
        content = load(project / config.file, config, needed)
        equation = parameters.get("equation")
        walls = wall_series(project / config.file, config, wall_columns(equation), needed)
        require_at_walls(equation)
        sensors = sensor_series(content, config, wall_sensors(equation), needed)
        warn_of_jumps(sensors)
        return (config, content), replace(survey(content, config, needed), walls=walls, sensors=sensors)


def _observe(catalog: CatalogProtocol[Any, Any], parameters: Mapping[str, Any]) -> None:
    """Make the observations of the file of measurements, for the node that wants them.

    Here, because what is wrong with the file is said before anything is written, and before a run in MLflow begins.

    Raises:
        hyco.observations.checks.MeasurementError: something is; on the command line, a `click.ClickException`.
    """
    from hyco.observations.checks import MeasurementError
    from hyco.training.measured import measured_observations

    sections = (parameters[name] for name in ("equation", "measurements", "observation", "seed"))
    dataset = catalog.get("measurements")
    if dataset is None or (measured := dataset.load()) is None:
        return
    try:
        dataset.keep(measured_observations(measured, *sections))
    except MeasurementError as error:
        raise for_user(error) from error


def _parameters(loader: OmegaConfigLoader) -> dict[str, Any]:
    """The merged parameters, with the name of the experiment: that of its folder where they have none.

    Raises:
        ConfigurationError: they cannot be read.
    """
    from hyco.config import ConfigurationError

    conf, env = Path(loader.conf_source), loader.env or loader.default_run_env
    if not conf.is_dir():
        raise ConfigurationError(f"there is no folder {conf}: start this command in the project's folder")
    if not (conf / env).is_dir():
        experiments = sorted({path.parent.name for path in conf.glob("*/parameters*.yml")} - {loader.base_env})
        known = ", ".join(experiments) or "none"
        raise ConfigurationError(f"there is no experiment {env!r} in {conf}; --env takes: {known}")
    for path in configuration_files(_folders(loader)):
        require_plain(path)
    try:
        shared = loader["globals"]
        if "experiment" not in shared:
            loader["globals"] = {**shared, "experiment": env}
        parameters = with_runtime_parameters(loader)
        if "experiment" not in shared and parameters.get("experiment"):
            loader["globals"] = {**shared, "experiment": parameters["experiment"]}
    except ConfigurationError:
        raise
    except OmegaConfBaseException as error:
        raise ConfigurationError(unresolved(error, configuration_files(_folders(loader)))) from error
    # Kedro reports a key that stands in two files of a folder as a ValueError.
    except (MissingConfigException, yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"the parameters cannot be read: {reason:.500}") from error
    # Folders are named after it: it must not be a path, wherever it is from, nor two.
    folders = (loader.runtime_params or {}).get("experiment", loader["globals"]["experiment"])
    require_name(folders, "--params" if "experiment" in (loader.runtime_params or {}) else f"conf/{env}/globals.yml")
    if (own := parameters.get("experiment", folders)) != folders:
        raise ConfigurationError(
            f"experiment is {own!r:.80} in the parameters, and {folders!r} in conf/{env}/globals.yml: say it once"
        )
    return {"experiment": env, **parameters}


def _sources(loader: OmegaConfigLoader) -> dict[str, dict[str, Any]]:
    """The content of every file that parameters come from, by its path, in the order in which later ones win."""
    conf = Path(loader.conf_source)
    contents = {}
    for path in configuration_files(_folders(loader)):
        if any(part.startswith("parameters") for part in path.relative_to(conf).parts[1:]):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            contents[path.relative_to(conf.parent).as_posix()] = content or {}
    return {**contents, "--params": loader.runtime_params or {}}


def _require_catalog(loader: OmegaConfigLoader) -> None:
    """Read the catalog for Kedro, and refuse one that it could not read, in a line.

    Raises:
        ConfigurationError: says why.
    """
    from hyco.config import ConfigurationError

    try:
        loader["catalog"] = loader["catalog"]  # else Kedro would read it again
    except MissingConfigException:
        return
    except (yaml.YAMLError, OmegaConfBaseException, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"the catalog cannot be read: {reason:.500}") from error


def _folders(loader: OmegaConfigLoader) -> list[Path]:
    """Of the shared parameters and of the experiment."""
    conf = Path(loader.conf_source)
    return [conf / env for env in dict.fromkeys((loader.base_env, loader.env or loader.default_run_env))]
