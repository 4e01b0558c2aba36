"""Where a command is: the project's folder, and its experiments."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

BASE = "base"


def project_folder() -> Path:
    """The folder of the project that the command was started in, or below; or this one, with its configuration alone.

    Raises:
        click.ClickException: it was started elsewhere.
    """
    from kedro.utils import find_kedro_project

    here = Path.cwd()
    if (found := find_kedro_project(here)) is not None:
        return Path(found)
    if (here / "conf" / BASE).is_dir():  # where hyco is installed from a wheel, that is all that a run needs
        return here
    raise click.ClickException(
        "this is no hyco project: start the command in its folder, that of pyproject.toml; or, where hyco is installed "
        "from a wheel, in one with the configuration that belongs to it (tar xzf conf-hyco.tar.gz makes conf/ here)"
    )


def experiments_of(project: Path) -> list[str]:
    """Names of the experiments, the folders of conf/ that have parameters."""
    return sorted({path.parent.name for path in (project / "conf").glob("*/parameters*.yml")} - {BASE})


def complete_experiment(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names for a shell that completes a line."""
    try:
        names = experiments_of(project_folder())
    except click.ClickException:
        names = []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def experiment_of(project: Path, env: str | None) -> str:
    """The name of the folders of results that an experiment has.

    Raises:
        click.ClickException: there is no such experiment, or it cannot be read.
    """
    from kedro.config import MissingConfigException, OmegaConfigLoader
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from hyco.settings import CONFIG_LOADER_ARGS

    conf = project / "conf"
    chosen = env or str(CONFIG_LOADER_ARGS["default_run_env"])
    if not (conf / chosen).is_dir():
        raise click.ClickException(
            f"there is no experiment {chosen!r} in {conf}; --env takes: {', '.join(experiments_of(project))}"
        )
    try:
        loader = OmegaConfigLoader(str(conf), chosen, base_env=BASE, default_run_env=chosen)
        loader["globals"] = {"experiment": chosen, **loader["globals"]}
        return str(loader["parameters"].get("experiment", chosen))
    except (MissingConfigException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise click.ClickException(f"the parameters cannot be read: {' '.join(str(error).split()):.500}") from error
