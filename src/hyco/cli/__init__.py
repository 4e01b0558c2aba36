"""The command `hyco`: one command per file, and `kedro run` where none is named."""

from typing import Any

import click


class _Commands(click.Group):
    """What Kedro takes from this package: `run`. Not `new`, which is another than its own."""

    def list_commands(self, _: click.Context) -> list[str]:
        """All names."""
        return ["run"]

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """The command of a name."""
        return __getattr__(name) if name == "run" else None


# Kedro asks a package with this folder for commands of its own.
cli = _Commands("hyco")


def __getattr__(name: str) -> Any:
    """`run`, which Kedro asks for in a packaged project; with it comes half a second of imports."""
    if name != "run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hyco.cli.kedro_run import run

    return run
