"""How sure a physical prediction is: the standard deviation over draws of what was estimated."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from hyco.inversion.estimated_model import EstimatedModel
from hyco.inversion.posterior import Posterior

log = logging.getLogger(__name__)

# Numbers that one batch of rollouts may hold.
_LARGEST_BATCH = 2e7


def standard_deviation(
    model: EstimatedModel,
    posterior: Posterior,
    states: Tensor,
    prediction: Tensor,
    *,
    time: float = 0.0,
    skip: int,
    samples: int,
    from_draws: bool,
) -> Tensor | None:
    """Standard deviation of a rollout `[B, T, C, *space]`; None where nothing was drawn.

    Each draw of the parameters, with the initial states that were drawn with it or with `states`, is rolled out. The
    spread is that over them, with samples - 1 degrees of freedom. Of few unknowns the draws have the estimate's
    covariance exactly, so that a prediction that is linear in them has its standard deviation exactly.

    Args:
        model: that of the estimate.
        posterior: its draws.
        states: where the rollout begins, `[B, C, *space]`.
        prediction: that of the estimate, `[B, T, C, *space]`.
        time: t of the states.
        skip: states of the rollout before those.
        samples: draws; no more than there are.
        from_draws: whether the states are the training simulations' initial ones, so that their draws count.
    """
    drawn = posterior.initial_draws if from_draws else None
    if not posterior.parameters:
        return None
    samples = min(samples, *(len(values) for values in posterior.parameters.values()))
    steps, count = skip + prediction.shape[1], len(states)
    size = max(1, int(_LARGEST_BATCH / (count * steps * states[0].numel())))
    total, squares = torch.zeros_like(prediction), torch.zeros_like(prediction)
    model = model.covering(states)  # in steps of the same length as the prediction
    for first in range(0, samples, size):
        chosen = slice(first, min(first + size, samples))
        copies = chosen.stop - chosen.start
        starts = states.expand(copies, *states.shape) if drawn is None else drawn[chosen].to(states)
        learnt = {name: v[chosen].repeat_interleave(count, dim=0) for name, v in posterior.parameters.items()}
        rolled = model.rollout_with(learnt, starts.flatten(0, 1), steps, time)[:, skip:]
        # From the prediction, so that nothing is lost where the spread is small beside the state.
        away = rolled.reshape(copies, *prediction.shape) - prediction
        total += away.sum(dim=0)
        squares += away.square().sum(dim=0)
    std = ((squares - total.square() / samples).clamp_min(0) / (samples - 1)).sqrt()
    if not bool(std.isfinite().all()):
        log.warning("Some draws of the parameters have rollouts that are not finite: so is the error bar there.")
    return std
