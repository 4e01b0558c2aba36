"""How an error that the user can mend leaves the program."""

from __future__ import annotations

import logging
import sys

import click

from hyco.runtime.errors import is_message


class TrackingError(RuntimeError):
    """MLflow cannot follow a run."""


def for_user(error: Exception) -> Exception:
    """On the command line, an error that prints as its message alone and ends with exit code 1; elsewhere, itself."""
    if click.get_current_context(silent=True) is None or isinstance(error, click.ClickException):
        return error
    return click.ClickException(str(error))


def foreseen(error: BaseException | None) -> Exception | None:
    """The error of this program that one is, or that it wraps, as Kedro does with what a dataset raises; or None."""
    while error is not None:
        if isinstance(error, Exception) and is_message(error):
            return error
        error = error.__cause__
    return None


def say_it_once() -> None:
    """On the command line, keep Kedro from printing a foreseen error with its node, and how to go on from there.

    The error's message, which says what to do, is the last line of the program.
    """
    for handler in logging.root.handlers:
        if _is_new not in handler.filters:
            handler.addFilter(_is_new)


def _is_new(record: logging.LogRecord) -> bool:
    of_kedro = record.name.startswith(("kedro.pipeline", "kedro.runner")) and record.levelno >= logging.WARNING
    # Both are logged while the error is on its way.
    return not (of_kedro and click.get_current_context(silent=True) is not None and foreseen(sys.exc_info()[1]))
