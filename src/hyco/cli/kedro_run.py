"""`run`: Kedro's command, which tells a runner that there is not in a line."""

from __future__ import annotations

import copy

import click
from kedro.framework.cli.project import run as _of_kedro
from kedro.utils import load_obj


def _known(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """Refuse a runner that cannot be imported.

    Raises:
        click.BadParameter: one line.
    """
    if name:
        try:
            load_obj(name, "kedro.runner")
        except (ImportError, AttributeError, ValueError) as error:
            raise click.BadParameter(
                f"there is no {name!r:.80} ({error}); allowed: SequentialRunner, ThreadRunner, or a class as "
                "package.module.Class"
            ) from error
    return name


run = copy.copy(_of_kedro)
run.params = [copy.copy(option) for option in _of_kedro.params]
next(option for option in run.params if option.name == "runner").callback = _known
