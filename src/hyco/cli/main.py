"""The group of all commands. A new one is a file with a click command, and a line in `COMMANDS`."""

from __future__ import annotations

import logging
import signal
from importlib import import_module
from typing import Any

import click

from hyco.runtime.errors import is_message

# Name, where it is, and its short help: a module is imported when its command is used.
COMMANDS = {
    "check": ("hyco.cli.check:check", "Say what an experiment trains on what, or what is wrong with it."),
    "export": ("hyco.cli.export:export", "Write a trained network as a program of torch.export."),
    "list": ("hyco.cli.listing:listing", "List equations, networks or experiments."),
    "mlflow-sync": ("hyco.cli.mlflow_sync:mlflow_sync", "Send to MLflow what it did not take while runs went on."),
    "new": ("hyco.cli.new:new", "Write an experiment for a file of measurements."),
    "run": ("", "Run pipelines; the same as `kedro run`."),
}


class Commands(click.Group):
    """Commands by name; options without a command are those of `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before options that begin with no command; not where a shell asks how a line may go on."""
        named = args and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        if not named and not ctx.resilient_parsing:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            click.ClickException: what this program has refused, in a line.
            click.exceptions.Exit: it was interrupted, with what shells expect then.
        """
        # Away from the project's own folder Kedro says which file of logging settings it takes; a level would be reset.
        logging.getLogger("kedro.framework.project").addFilter(_is_warning)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(128 + signal.SIGINT) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if not is_message(error) and not isinstance(error, PermissionError):
                raise
            raise click.ClickException(str(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command of a name."""
        if name == "run":
            return _run()
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of the help, without importing what the commands need."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Hybrid training of a physical and a synthetic model of the same system.

    Without a command the options are those of `run`: `hyco --pipelines hybrid`.
    """


def _run() -> click.Command:
    # Kedro takes half a second.
    from kedro.framework.project import configure_project

    from hyco.cli.kedro_run import run

    configure_project("hyco")
    return run


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
