"""`hyco new`: an experiment for a file of measurements."""

from __future__ import annotations

from pathlib import Path

import click

from hyco.cli.project import BASE, project_folder

_LINES = 13


@click.command()
@click.argument("name")
@click.option("--from", "source", required=True, type=click.Path(path_type=Path), help="The file of measurements.")
@click.option(
    "--equation",
    multiple=True,
    help="Name of the equation, see `hyco list equations`; or its formulas: 'u: D*laplace(u) + r*u*(1 - u/K); v: …'.",
)
@click.option("--force", is_flag=True, help="Write over parameters.yml of an experiment that exists.")
def new(name: str, source: Path, equation: tuple[str, ...], force: bool) -> None:
    """Write conf/NAME/parameters.yml for a file of measurements.

    What the file says is taken from there, the rest is guessed; the comments say what from. Exit code 2: several
    equations fit, name one.
    """
    import re

    from hyco.config import Configuration
    from hyco.drafts import DraftError, UndecidedError, draft
    from hyco.drafts.text import parameters_file, summary
    from hyco.runtime.plugins import PluginError
    from hyco.runtime.storage import UnwritableError, write_atomically

    project = project_folder()
    pattern = next(m.pattern for m in Configuration.model_fields["experiment"].metadata if hasattr(m, "pattern"))
    if not re.match(pattern, name) or name == BASE:
        raise click.ClickException(f"{name!r} is no name for an experiment; allowed: letters, digits, '.', '_' and '-'")
    folder = project / "conf" / name
    if folder.exists() and not force:
        raise click.ClickException(f"conf/{name} exists already: take another name, or --force to write over it")
    path = source.absolute()
    inside = path.is_relative_to(project)
    try:
        made = draft(path, (path.relative_to(project) if inside else path).as_posix(), equation or None)
    except UndecidedError as error:
        raise _Undecided(str(error)) from error
    except (DraftError, PluginError) as error:
        raise click.ClickException(str(error)) from error
    text = parameters_file(name, made)
    try:
        write_atomically(folder / "parameters.yml", text.encode())
    except UnwritableError as error:
        raise click.ClickException(str(error)) from error
    lines = list(summary(made))
    for line in lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…          more in the comments"]:
        click.echo(line)
    click.echo(f"Written: conf/{name}/parameters.yml. Look at its guesses, then:")
    click.echo(f"hyco check --env {name}; hyco --pipelines hybrid --env {name}")


class _Undecided(click.ClickException):
    exit_code = 2
