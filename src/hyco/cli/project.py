"""Where a command is: the project's folder, and its experiments."""

from __future__ import annotations

from pathlib import Path

import click
from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.utils import find_kedro_project


def project_folder() -> Path:
    """The folder of the project that the command was started in.

    Raises:
        click.ClickException: it was started elsewhere.
    """
    found = find_kedro_project(Path.cwd())
    if found is None:
        raise click.ClickException("this is no hyco project: start the command in its folder, that of pyproject.toml")
    return Path(found)


def experiment_of(project: Path, env: str | None) -> str:
    """The name of the folders of results that an environment has.

    Raises:
        click.ClickException: there is no such environment.
    """
    from hyco.settings import CONFIG_LOADER_ARGS

    conf = project / "conf"
    chosen = env or str(CONFIG_LOADER_ARGS["default_run_env"])
    if not (conf / chosen).is_dir():
        experiments = ", ".join(sorted(path.parent.name for path in conf.glob("*/globals.yml")))
        raise click.ClickException(f"there is no experiment {chosen!r} in {conf}; --env takes: {experiments}")
    loader = OmegaConfigLoader(str(conf), base_env="base", default_run_env=chosen)
    try:
        return str(loader["globals"]["experiment"])
    except (MissingConfigException, KeyError) as error:
        raise click.ClickException(f"conf/{chosen}/globals.yml has to name the experiment") from error
