"""What a run shows on the terminal while it goes on."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl

from hyco.display.follow import Follower, look_of

if TYPE_CHECKING:
    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node

log = logging.getLogger(__name__)

_CHECKPOINT = "_checkpoint"
_TRAINING = {"synthetic": "network alone", "physical": "physics alone", "hybrid": "hybrid"}
# What nodes do, in words; the rest of the evaluation is one stage.
_STAGES = {
    "generate_trajectories": "simulating",
    "make_observations": "observing",
    "compare_methods": "comparing",
    "predict_states": "predicting",
    "predictions_as_fields": "predicting",
}
# Libraries that say at level INFO what only someone who looks for a fault wants to know.
_LOUD = ("kedro", "kedro_viz", "mlflow", "alembic")


class DisplayHooks:
    """Says what is trained on what, and shows how far it is: a live panel on a terminal, else plain lines.

    The key `terminal` says how: `auto`, `lines`, `verbose` (with the lines of Kedro and MLflow) or `quiet`.
    """

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._follower: Follower | None = None
        self._levels: dict[str, int] = {}

    @hook_impl
    def after_context_created(self) -> None:
        """Keep MLflow from announcing itself; it reads this when it is imported."""
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")

    @hook_impl
    def after_catalog_created(self, parameters: dict[str, Any]) -> None:
        """Set what the log says."""
        self._parameters = parameters["parameters"]
        self._restore_levels()
        terminal = self._parameters.get("terminal", "auto")
        if terminal == "verbose":
            os.environ["MLFLOW_LOGGING_LEVEL"] = "INFO"
            self._set_levels(dict.fromkeys(_LOUD, logging.INFO))
        elif terminal == "quiet":
            self._set_levels({"hyco": logging.WARNING})

    # Hooks that refuse a run are first, and have had their turn.
    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, run_params: dict[str, Any]) -> None:
        """Begin to show the run."""
        self._close()
        names = ", ".join(run_params.get("pipeline_names") or ["__default__"])
        experiment, terminal = self._parameters.get("experiment", ""), self._parameters.get("terminal", "auto")
        log.info("%s: pipeline %s, seed %s", experiment, names, self._parameters.get("seed"))
        if "equation" in self._parameters:
            from hyco.display.introduction import problem_words

            log.info("equation: %s", problem_words(self._parameters))
        self._follower = Follower(log.info, f"{experiment} · {names}", look_of(terminal))
        self._follower.begin("starting")
        self._follower.start()
        atexit.register(self._close)  # an interrupted run calls no hook, and a terminal must get its cursor back

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say what begins."""
        if self._follower is None:
            return
        training = next((t for t in _TRAINING if node.short_name.startswith(f"train_{t}")), None)
        stage = _TRAINING[training] if training else _STAGES.get(node.short_name, "evaluating")
        self._follower.begin(stage)
        if training and "hybrid" in self._parameters:
            from hyco.display.introduction import training_words

            log.info("%s: %s", stage, training_words(training, self._parameters))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Note an epoch, a training of a comparison, or what was observed."""
        if self._follower is None:
            return
        if dataset_name.endswith(_CHECKPOINT):
            meta = data.metadata
            total = meta["epoch"] if meta.get("finished") else meta["epochs"]
            self._follower.advance(meta["epoch"], total, meta["metrics"])
        elif dataset_name == "observations" and "equation" in self._parameters:
            from hyco.display.introduction import data_words
            from hyco.observations import Observations

            log.info("data: %s", data_words(Observations.from_bundle(data), self._parameters))
        elif dataset_name == "comparison":
            self._follower.advance(*_compared(data), unit="training")

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Show nothing any more: what came of it is said next."""
        self._close()

    @hook_impl(tryfirst=True)
    def on_pipeline_error(self) -> None:
        """Likewise."""
        self._close()

    def interrupted(self) -> None:
        """Likewise, where the run was told to end."""
        self._close()

    def run_ended(self) -> None:
        """Likewise, where it was refused before it began."""
        self._close()

    def _close(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None
            atexit.unregister(self._close)

    def _set_levels(self, levels: Mapping[str, int]) -> None:
        for name, level in levels.items():
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.setLevel(level)

    def _restore_levels(self) -> None:
        """As they were before an earlier run of this process."""
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)
        self._levels = {}


def _compared(comparison: Mapping[str, Any]) -> tuple[int, int]:
    """How many trainings of a comparison are done, of how many."""
    done = {(run["training"], run["seed"]) for run in comparison.get("runs", [])}
    return len(done), len(comparison.get("trainings", {})) * len(comparison.get("seeds", []))
