"""Kedro's session, whose runs end in order when they are told to end."""

from __future__ import annotations

import inspect
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.io import DatasetNotFoundError
from omegaconf.errors import OmegaConfBaseException

from hyco.hooks import mlflow_process
from hyco.hooks.computing import begin_early
from hyco.hooks.errors import for_user, foreseen
from hyco.hooks.interruption import Interruption, signals_interrupt
from hyco.hooks.parameter_files import configuration_files, require_plain, unresolved
from hyco.hooks.selection import SelectionError, require_selection
from hyco.runtime.garbage import first_import
from hyco.runtime.terminal import leave_closed_terminal
from hyco.runtime.torchrun import launched

if TYPE_CHECKING:
    from kedro.framework.context import KedroContext

log = logging.getLogger(__name__)


class Session(KedroSession):
    """Kedro calls no hook for an interrupt, nor where a run is refused before it begins: this does.

    Hooks with a method `interrupted` get it called on an interrupt, and with a method `run_ended` in the end, whatever
    that was.
    """

    def load_context(self) -> KedroContext:
        """See `kedro.framework.session.KedroSession.load_context`: it reads the globals, which no hook has seen yet.

        Raises:
            hyco.config.ConfigurationError: they cannot be read; on the command line, a `click.ClickException`.
        """
        with first_import("hyco.config"):
            from hyco.config import ConfigurationError

        conf, known = Path(self._conf_source), settings.CONFIG_LOADER_ARGS
        folders = (conf / known["base_env"], conf / (self.store.get("env") or known["default_run_env"]))
        try:
            for path in configuration_files(folder for folder in folders if folder.is_dir()):
                if path.name.startswith("globals"):
                    require_plain(path)
        except ConfigurationError as error:
            raise for_user(error) from error
        try:
            return super().load_context()
        except OmegaConfBaseException as error:
            raise for_user(ConfigurationError(unresolved(error, configuration_files(folders)))) from error

    def run(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """See `kedro.framework.session.KedroSession.run`.

        Raises:
            KeyboardInterrupt: the run was told to end; on the command line, it ends with 128 + the signal's number.
            click.ClickException: on the command line, for an error that this program foresaw.
        """
        if launched() > 1:
            return self._run_with_others(*arguments, **options)
        return self._run_alone(*arguments, **options)

    def _run_with_others(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The same where torchrun has started several processes: rank 0 is the run, the others help it to train.

        Raises:
            click.ClickException: on the command line, where another of them has ended.
        """
        from hyco.training.helping import help_rank_0  # with torch
        from hyco.training.ranks import RanksError, joined

        try:
            with joined() as ranks:
                if ranks.leads:
                    log.info("%d processes train the network together.", ranks.size)
                    return self._run_alone(*arguments, **options)
                logging.disable(logging.WARNING)  # rank 0 says the same
                help_rank_0(ranks)
        except RanksError as error:
            if os.environ["RANK"] == "0":
                raise for_user(error) from error
            raise SystemExit(1) from None  # rank 0 says it
        return {}

    def _run_alone(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """The run itself."""
        given = self.store.get("runtime_params") or {}
        try:
            with signals_interrupt():
                mlflow_process.begin_early()
                begin_early(given)
                if given.get("terminal") != "quiet":
                    log.info("Starting: libraries are loaded and the configuration is read.")
                asked = inspect.signature(KedroSession.run).bind(self, *arguments, **options).arguments
                require_selection(asked, pipelines)
                made: dict[str, Any] = super().run(*arguments, **options)
                return made
        except KeyboardInterrupt as error:
            leave_closed_terminal()
            # Not before the signals are as they were: whoever sends a second one does not want to wait.
            log.warning("%s: ending.", str(error) or "interrupted")
            _call("interrupted")
            if isinstance(error, Interruption) and click.get_current_context(silent=True) is not None:
                signal.signal(error.signal, signal.SIG_DFL)  # nothing is left to lose: a second one ends it at once
                raise SystemExit(error.exit_code) from None
            raise
        except DatasetNotFoundError as error:  # before it begins, so that no hook is asked
            if not options.get("load_versions"):
                raise
            raise for_user(SelectionError(f"--load-versions: {error}")) from error
        except Exception as error:
            # Of a hook: those of nodes are messages already.
            if isinstance(error, click.ClickException) or (one := foreseen(error)) is None:
                raise
            raise for_user(one) from error
        finally:
            leave_closed_terminal()
            mlflow_process.discard()  # whatever hooks there are
            _call("run_ended")


def _call(name: str) -> None:
    """Call a method of all hooks that have it."""
    for hook in settings.HOOKS:
        if (method := getattr(hook, name, None)) is not None:
            method()
