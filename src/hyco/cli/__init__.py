"""The command `hyco`: one command per file, and `kedro run` where none is named."""

from typing import Any

import click

# Kedro asks a package with this folder for commands of its own. There are none: `kedro new` is another than `hyco new`.
cli = click.Group("hyco")


def __getattr__(name: str) -> Any:
    """`run`, which Kedro asks for in a packaged project; with it comes half a second of imports."""
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kedro.framework.cli.project import run

    return run
