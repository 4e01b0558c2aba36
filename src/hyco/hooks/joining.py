"""Code of a run that logs to MLflow by itself finds the run active, though it is another process's."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from hyco.hooks.outbox import redacted

log = logging.getLogger(__name__)


class Joining(MetaPathFinder):
    """Makes a run active in this process when MLflow is imported here, as a node of the user's may do.

    Args:
        join: makes it active; a failure is logged.
    """

    def __init__(self, join: Callable[[], None]) -> None:
        self._join, self._looking = join, False

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
        if fullname != "mlflow" or self._looking:
            return None
        self._looking = True
        try:
            spec = find_spec(fullname)
        finally:
            self._looking = False
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_join(module: ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:  # who only asked whether there is MLflow may import it later
                    self.end()
                    try:
                        self._join()
                    except Exception as error:  # a tracking server can fail in any way
                        log.warning(
                            "The run is not active in MLflow for what logs there by itself (%s).", redacted(error)
                        )

            spec.loader.exec_module = execute_and_join  # type: ignore[method-assign]
        return spec
