"""The group of all commands. A new one is a file with a click command, whose imports are light, and a line here."""

from __future__ import annotations

import click
from kedro.framework.cli.project import run
from kedro.framework.project import configure_project

from hyco.cli.export import export

# Beside those of Kedro.
COMMANDS: tuple[click.Command, ...] = (export,)

cli = click.Group("hyco", {str(command.name): command for command in COMMANDS})


class _WithRun(click.Group):
    """Commands of which `run` may be left out: options that follow no command are its."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before such options."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name; `run` needs the project's settings."""
        if name == "run":
            configure_project("hyco")
        return super().get_command(ctx, name)


@click.command(
    cls=_WithRun,
    commands={**cli.commands, "run": run},
    context_settings={"help_option_names": ["-h", "--help"]},
)
def main() -> None:
    """Hybrid training of a physical and a synthetic model of the same system.

    Without a command the options are those of `run`: `hyco --pipelines hybrid`.
    """
