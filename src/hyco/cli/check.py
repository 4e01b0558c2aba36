"""`hyco check`: what an experiment trains on what, or what is wrong with it; nothing is trained."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hyco.cli.project import complete_experiment, project_folder

if TYPE_CHECKING:
    import xarray as xr


def _changes(ctx: click.Context, parameter: click.Parameter, value: str) -> dict[str, Any]:
    """`--params` as `run` reads it."""
    from kedro.framework.cli.utils import _split_params

    changes: dict[str, Any] = _split_params(ctx, parameter, value)
    return changes


@click.command()
@click.option(
    "--env",
    "-e",
    help="The experiment, a folder of conf/; by default that of `run`.",
    shell_complete=complete_experiment,
)
@click.option("--params", default="", callback=_changes, help="As of `run`: key=value, separated by commas.")
def check(env: str | None, params: dict[str, Any]) -> None:
    """Say in about ten lines what an experiment trains on what, or what is wrong with it.

    The configuration and the file of measurements are read as for a run; nothing is trained or written. Exit code 1:
    something is wrong, a line for each.
    """
    from hyco.observations.checks import MeasurementError

    parameters, measured = _prepared(env, params)
    from hyco.cli.overview import of_measurements, of_simulations

    try:
        with _warnings_alone():
            lines = list(of_simulations(parameters) if measured is None else of_measurements(parameters, measured))
    except MeasurementError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(lines))


def _prepared(env: str | None, params: dict[str, Any]) -> tuple[dict[str, Any], xr.Dataset | None]:
    """The completed parameters of a run, and what its file of measurements holds.

    Raises:
        click.ClickException: what a run is refused with.
    """
    from kedro.framework.project import configure_project
    from kedro.framework.startup import bootstrap_project

    from hyco.hooks.session import Session

    project = project_folder()
    with _warnings_alone():
        configure_project("hyco")
        if (project / "pyproject.toml").is_file():
            bootstrap_project(project)
        session: Any = Session.create(project_path=project, save_on_close=False, env=env, runtime_params=params)
        with session:
            catalog = session.load_context().catalog
            return catalog.load("parameters"), catalog.load("measurements")


@contextmanager
def _warnings_alone() -> Iterator[None]:
    """Nothing is said of what goes well."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
