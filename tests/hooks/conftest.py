"""A session without a project: Kedro's own hook manager, runner and catalog around a tiny pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.io.core import generate_timestamp
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

Session = Callable[..., None]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """Runs a pipeline as `KedroSession.run` does, with the given hooks, catalog and parameters."""

    def run(
        hooks: tuple[Any, ...],
        pipeline: Pipeline,
        conf_catalog: dict[str, Any],
        parameters: dict[str, Any],
        project_path: Path = tmp_path,
        env: str | None = None,
    ) -> None:
        manager = _create_hook_manager()
        for hook in hooks:
            manager.register(hook)
        version = generate_timestamp()
        catalog = DataCatalog.from_config(conf_catalog, save_version=version)
        catalog["parameters"] = parameters
        manager.hook.after_catalog_created(
            catalog=catalog,
            conf_catalog=conf_catalog,
            conf_creds={},
            parameters={"parameters": parameters},
            save_version=version,
            load_versions={},
        )
        shared = {
            "run_params": {
                "project_path": project_path.as_posix(),
                "env": env or parameters["experiment"],
                "pipeline_names": ["hybrid"],
            },
            "pipeline": pipeline,
            "catalog": catalog,
        }
        manager.hook.before_pipeline_run(**shared)
        try:
            result = SequentialRunner().run(pipeline, catalog, manager, run_id=version)
        except Exception as error:
            manager.hook.on_pipeline_error(error=error, **shared)
            raise
        manager.hook.after_pipeline_run(run_result=result, **shared)

    return run
