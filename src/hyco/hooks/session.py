"""Kedro's session, whose runs end in order when they are told to end."""

from __future__ import annotations

import logging
from typing import Any

import click
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.io import DatasetNotFoundError

from hyco.hooks.errors import for_user, foreseen
from hyco.hooks.interruption import Interruption, signals_interrupt
from hyco.hooks.selection import SelectionError, require_selection

log = logging.getLogger(__name__)


class Session(KedroSession):
    """Kedro calls no hook for an interrupt, nor where a run is refused before it begins: this does.

    Hooks with a method `interrupted` get it called on an interrupt, and with a method `run_ended` in the end, whatever
    that was.
    """

    def run(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """See `kedro.framework.session.KedroSession.run`.

        Raises:
            KeyboardInterrupt: the run was told to end; on the command line, it ends with 128 + the signal's number.
            click.ClickException: on the command line, for an error that this program foresaw.
        """
        if (self.store.get("runtime_params") or {}).get("terminal") != "quiet":
            log.info("Starting: libraries are loaded and the configuration is read.")
        try:
            with signals_interrupt():
                require_selection(options, pipelines)
                made: dict[str, Any] = super().run(*arguments, **options)
                return made
        except KeyboardInterrupt as error:
            # Not before the signals are as they were: whoever sends a second one does not want to wait.
            log.warning("%s: ending.", str(error) or "interrupted")
            _call("interrupted")
            if isinstance(error, Interruption) and click.get_current_context(silent=True) is not None:
                raise SystemExit(error.exit_code) from None
            raise
        except DatasetNotFoundError as error:  # before it begins, so that no hook is asked
            raise for_user(SelectionError(f"--load-versions: {error}")) from error
        except Exception as error:
            # Of a hook: those of nodes are messages already.
            if isinstance(error, click.ClickException) or (one := foreseen(error)) is None:
                raise
            raise for_user(one) from error
        finally:
            _call("run_ended")


def _call(name: str) -> None:
    """Call a method of all hooks that have it."""
    for hook in settings.HOOKS:
        if (method := getattr(hook, name, None)) is not None:
            method()
