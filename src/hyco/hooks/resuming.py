"""A training that cannot be resumed is refused before anything is written over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from hyco.hooks.errors import for_user

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from hyco.runtime.storage import Bundle

_TRAININGS = ("synthetic", "physical", "hybrid")


class ResumeHooks:
    """Compares the checkpoints that a run goes on from with its configuration, then with its observations.

    The trainings do that too, but by then the data have been made: the file of observations that the checkpoint is of
    would be lost.
    """

    def __init__(self) -> None:
        self._checkpoints: dict[str, Bundle] = {}
        self._parameters: dict[str, Any] = {}

    # Early, because it refuses: no run in MLflow shall have begun by then.
    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Refuse to resume with another configuration than the checkpoint's.

        Raises:
            hyco.training.checkpoints.ResumeError: names each key that differs.
        """
        self._checkpoints, self._parameters = {}, catalog.load("parameters")
        points = [name for name in _TRAININGS if f"{name}_resume_point" in pipeline.inputs()]
        if not self._parameters.get("resume") or not points:
            return
        from hyco.config import depends_on, identity_of_section
        from hyco.training.checkpoints import OBSERVATIONS, ResumeError, check_resumable

        for training in points:
            checkpoint = catalog.load(f"{training}_resume_point")
            if checkpoint is None:
                continue
            stored = checkpoint.metadata.get("configuration") or {}
            # What was observed is known when it has been made.
            seen = {OBSERVATIONS: stored[OBSERVATIONS]} if OBSERVATIONS in stored else {}
            seen |= identity_of_section(self._parameters.get("measurements"))
            try:
                check_resumable(checkpoint, depends_on(training, self._parameters, seen))
            except ResumeError as error:
                raise for_user(error) from error
            self._checkpoints[training] = checkpoint

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Refuse to resume on other observations than the checkpoint's.

        Raises:
            hyco.training.checkpoints.ResumeError: says so.
        """
        if dataset_name != "observations" or not self._checkpoints:
            return
        from hyco.config import depends_on, identity
        from hyco.training.checkpoints import check_resumable

        for training, checkpoint in self._checkpoints.items():
            check_resumable(checkpoint, depends_on(training, self._parameters, identity(data)))
        self._checkpoints = {}
