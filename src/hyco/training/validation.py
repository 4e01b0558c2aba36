"""Validation against observations that are not trained on; the truth is not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import Tensor

from hyco.metrics import masked_nrmse
from hyco.observations import Observations
from hyco.trained_model import TrainedModel

# Epochs between two kept checkpoints, where they are wanted and no number is given.
_KEPT_EVERY = 10


class ValidationConfig(BaseModel):
    """The keys of `synthetic`, `physical` and `hybrid` on validation and checkpoints."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    validate_every: PositiveInt = Field(default=1, description="epochs between two validations")
    validation_rollout: bool = Field(default=True, description="also roll out over whole validation trajectories")
    save_interval: PositiveInt | None = Field(
        default=None,
        description="epochs between two checkpoints that are kept; null: none are, or with save_best_only: false one "
        "every 10 epochs",
    )
    save_best_only: bool = Field(
        default=True, description="keep the last and the best checkpoint, and no others but those of save_interval"
    )

    @property
    def kept_every(self) -> int | None:
        """Epochs between two checkpoints that are kept beside the last and the best; None: none are."""
        return self.save_interval or (None if self.save_best_only else _KEPT_EVERY)

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether to validate after an epoch: every n-th, and the last."""
        return epoch % self.validate_every == 0 or epoch == epochs


class StoppingConfig(ValidationConfig):
    """The same for trainings of a network: when they end before their last epoch."""

    early_stopping: PositiveInt | None = Field(
        default=None, description="validations without a better network after which training ends; null: never"
    )


class Validation:
    """Relative errors of a model on the validation simulations, or on what is held out of the training simulations.

    One step, of validation simulations: ahead of every state that was observed in full (the initial one, and those
    observed in every cell). Rollout: from t = 0 over the whole trajectory, from the best estimate of the initial state.
    Both are ‖prediction - observed‖ / ‖observed‖ over observed entries, where the operator looks, so a perfect model
    shows the noise level if the initial state is exact.
    """

    def __init__(self, observations: Observations, *, rollout: bool) -> None:
        simulations, mask = observations.validation()
        self.available = bool(mask.any()) if observations.heldout is not None else bool(simulations)
        if not self.available:
            return
        self._of_training = not observations.val
        values = observations.values[simulations]
        self._initial = observations.initial_states[simulations]
        self._values, self._mask = values[:, 1:], mask[:, 1:]
        self._operator = observations.operator(simulations, 1, observations.steps)
        if self._of_training:
            self._one_step, self._rollout = False, True
            return
        complete = self._complete(observations)
        if observations.on_grid:
            states = values.clone()
            states[:, 0] = self._initial
        else:
            states = self._initial[:, None]
        simulation, time = (complete & mask[:, 1:].flatten(2).any(dim=2)).nonzero(as_tuple=True)
        self._starts = states[simulation, time], observations.dt * time.double()
        self._next, self._next_mask = values[simulation, time + 1], mask[simulation, time + 1]
        # The operator's first state is the one at step 1.
        self._next_operator = self._operator.select(simulation[:, None], time[:, None])
        self._one_step = bool(len(simulation))
        self._rollout = rollout or not self._one_step

    @staticmethod
    def _complete(observations: Observations) -> Tensor:
        """Which states but the last were observed in full, `[S_val, T]`."""
        mask = observations.mask[observations.val, :-1]
        if observations.on_grid:
            complete = (mask | ~observations.layout.valid).flatten(2).all(dim=2)
        else:
            complete = torch.zeros(mask.shape[:2], dtype=torch.bool)
        if observations.initial_state != "observed":
            complete[:, 0] = True
        return complete

    @torch.no_grad()
    def __call__(self, model: TrainedModel, initial_states: Tensor | None = None) -> dict[str, float]:
        """`one_step` and `rollout`, where they apply, and `score`: the rollout's if there is one.

        Args:
            model: what predicts.
            initial_states: better states at t = 0 of the training simulations than those measured, `[S, C, *space]`;
                of use where measurements are held out of these. None: there are none.
        """
        if not self.available:
            return {}
        errors = {}
        if self._one_step and model.stepping:
            observed, mask = self._next[:, None], self._next_mask[:, None]
            starts, times = self._starts
            predicted = model.rollout(starts, 1, times)
            errors["one_step"] = masked_nrmse(self._next_operator(predicted, before=starts), observed, mask)
        if self._rollout or not model.stepping:
            starts = self._initial
            if self._of_training and initial_states is not None:
                starts = initial_states.to(starts)
            predicted = model.rollout(starts, self._values.shape[1])
            errors["rollout"] = masked_nrmse(self._operator(predicted, before=starts), self._values, self._mask)
        errors["score"] = errors.get("rollout", errors.get("one_step", math.nan))
        return errors


def validation_metrics(model: str, errors: Mapping[str, float]) -> dict[str, float]:
    """Validation errors under the names that histories use: `validation_<model>` is the score."""
    renamed = {f"validation_{model}_{kind}": value for kind, value in errors.items() if kind != "score"}
    return {f"validation_{model}": errors["score"], **renamed} if errors else {}
