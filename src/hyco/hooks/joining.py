"""Code of a run that logs to MLflow by itself finds the run active, though it is another process's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

log = logging.getLogger(__name__)


class Joining(MetaPathFinder):
    """Makes a run active in this process when MLflow is imported here, as a node of the user's may do.

    Args:
        uri: where runs go.
        run_id: of the run.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        self._uri, self._run_id = uri, run_id

    def begin(self) -> None:
        """From now on."""
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """No more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """MLflow as others find it, with the run active once it is imported; nothing else."""
        if fullname != "mlflow":
            return None
        self.end()
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_join(module: ModuleType) -> None:
                execute(module)
                self._join()

            spec.loader.exec_module = execute_and_join  # type: ignore[method-assign]
        return spec

    def _join(self) -> None:
        import mlflow

        mlflow.set_tracking_uri(self._uri)
        try:
            mlflow.start_run(run_id=self._run_id, log_system_metrics=False)
        except Exception as error:  # a tracking server can fail in any way
            log.warning("The run is not active in MLflow for what logs there by itself (%s).", error)
