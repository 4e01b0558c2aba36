"""How an error that the user can mend leaves the program."""

from __future__ import annotations

import click


class TrackingError(RuntimeError):
    """MLflow cannot follow a run."""


def for_user(error: Exception) -> Exception:
    """On the command line, an error that prints as its message alone and ends with exit code 1; elsewhere, itself."""
    if click.get_current_context(silent=True) is None or isinstance(error, click.ClickException):
        return error
    return click.ClickException(str(error))
