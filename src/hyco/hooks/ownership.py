"""One run at a time in the folders of an experiment."""

from __future__ import annotations

import atexit
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from hyco.hooks.errors import for_user
from hyco.runtime.locks import FileLock, HeldError, described
from hyco.runtime.open_work import end_open_work

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol

log = logging.getLogger(__name__)

# The folder of the locks of all experiments, in the project.
LOCKS = Path("data") / ".locks"


class OccupiedError(RuntimeError):
    """Another run has the folders of an experiment."""


class OwnershipHooks:
    """Lets a run begin where no other one writes into the same folders, and refuses it at once elsewhere."""

    def __init__(self) -> None:
        self._locks: list[FileLock] = []

    # The last of those that are first: the other hooks may read then what no one else writes.
    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]) -> None:
        """Take the experiment, and the folder of its checkpoints where that is another one.

        Raises:
            OccupiedError: another run has it; on the command line, a `click.ClickException`.
        """
        self.run_ended()  # an earlier run of this process, which was interrupted
        atexit.register(self.run_ended)
        parameters, project = catalog.load("parameters"), Path(run_params["project_path"])
        experiment = str(parameters.get("experiment", "hyco"))
        paths = [project / LOCKS / f"{experiment}.json"]
        if folder := (parameters.get("hybrid") or {}).get("checkpoint_dir"):
            paths.append(project / folder / ".lock.json")
        for path in paths:
            lock = FileLock(path)
            try:
                lock.acquire()
            except HeldError as error:
                self.run_ended()
                message = (
                    f"experiment {experiment} is being run by {described(error.owner)}: wait for its end, or give this "
                    "run other folders with --params experiment=NAME"
                )
                if path is not paths[0]:
                    message = message.replace(f"experiment {experiment}", f"hybrid.checkpoint_dir {folder}", 1)
                    message = message.replace("--params experiment=NAME", "another hybrid.checkpoint_dir")
                raise for_user(OccupiedError(message)) from error
            except OSError as error:
                self.run_ended()
                needed = (
                    "every run writes there" if path is paths[0] else "hybrid.checkpoint_dir has to be another folder"
                )
                message = f"{path.parent} cannot be written ({error.strerror}): {needed}"
                raise for_user(OccupiedError(message)) from error
            if lock.left_by:
                log.info("An earlier run of %s has not come to its end: %s.", experiment, described(lock.left_by))
                folders = (project / "data").glob(f"*/{experiment}") if path is paths[0] else [path.parent]
                for place in folders:
                    _remove_parts(place)
            self._locks.append(lock)

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Give it back."""
        self.run_ended()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Give it back."""
        self.run_ended()

    def run_ended(self) -> None:
        """Give back what a run had, however it has ended, but not before what it had others do has ended, too."""
        atexit.unregister(self.run_ended)
        if self._locks:
            end_open_work()
        for lock in self._locks:
            lock.release()
        self._locks = []


def _remove_parts(folder: Path) -> None:
    """Remove what a killed process had begun to write, by the names that `hyco.runtime.storage` gives."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)
