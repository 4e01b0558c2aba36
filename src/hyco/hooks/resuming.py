"""Checkpoints belong to a run: one that cannot be resumed is refused before anything is written over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import DatasetError

from hyco.hooks.errors import for_user

if TYPE_CHECKING:
    from kedro.io import CatalogProtocol
    from kedro.pipeline import Pipeline

    from hyco.runtime.storage import Bundle

_TRAININGS = ("synthetic", "physical", "hybrid")
_MODELS = ("synthetic_model", "physical_model", "hybrid_synthetic_model", "hybrid_physical_model")


class ForeignCheckpointError(RuntimeError):
    """A checkpoint that final models would be made of is not of this run."""


class ResumeHooks:
    """Compares the checkpoints that a run goes on from with its configuration, then with its observations.

    The trainings do that too, but by then the data have been made: the file of observations that the checkpoint is of
    would be lost. A run that starts anew reads none. Final models are made of checkpoints of this configuration alone.
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
        if not self._parameters.get("resume"):
            for name in sorted(name for name in pipeline.inputs() if name.endswith("_resume_point")):
                if (dataset := catalog.get(name)) is not None and hasattr(dataset, "ignore"):
                    dataset.ignore()
            return
        if not points:
            return
        from hyco.config import depends_on, identity_of_section
        from hyco.runtime.storage import DamagedFileError
        from hyco.training.checkpoints import OBSERVATIONS, ResumeError, check_resumable

        for training in points:
            try:
                checkpoint = catalog.load(f"{training}_resume_point")
            except DatasetError as error:
                if isinstance(error.__cause__, DamagedFileError):
                    message = f"{error.__cause__}, with resume=false"
                    raise for_user(DamagedFileError(message)) from error
                raise
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
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Refuse to make final models of another configuration's checkpoint, or to evaluate such models.

        Raises:
            ForeignCheckpointError: names each key of a checkpoint that differs; or the model.
        """
        if dataset_name in _MODELS:
            self._require_own(dataset_name, data)
        training = dataset_name.removesuffix("_checkpoint")
        if training == dataset_name or training not in _TRAININGS:
            return
        from hyco.config import depends_on
        from hyco.training.checkpoints import OBSERVATIONS, differences

        stored = data.metadata.get("configuration") or {}
        # Of what was measured, the section is compared when it is read.
        seen = {key: stored[key] for key in (OBSERVATIONS, "measurements") if key in stored}
        changed = [key for key, _, _ in differences(stored, depends_on(training, self._parameters, seen))]
        if data.metadata.get("training") != training:
            changed = ["training", *changed]
        if changed:
            raise ForeignCheckpointError(
                f"the last checkpoint of the {training} training is of another configuration ({', '.join(changed)}): "
                "run the training with this one, or finish with that"
            )

    def _require_own(self, name: str, model: Any) -> None:
        """Refuse to evaluate a model that was trained with another configuration than the present one."""
        from hyco.config import depends_on, identity_of_section
        from hyco.training.checkpoints import OBSERVATIONS, configuration_digest

        said = (model if isinstance(model, dict) else model.metadata).get("training") or {}
        if said.get("training") not in _TRAININGS or "configuration" not in said:  # of an earlier version
            return
        seen = {OBSERVATIONS: said["observations"]} if said.get("observations") else {}
        seen |= identity_of_section(self._parameters.get("measurements"))
        if configuration_digest(depends_on(said["training"], self._parameters, seen)) != said["configuration"]:
            raise ForeignCheckpointError(
                f"{name} was trained with another configuration than the present one: evaluate it with that (it lies "
                "in configuration.yaml beside the report), or run the training with this one"
            )

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
