"""Adam in a box, for one guess or many at once; the best point seen is returned.

Source: D. Kingma and J. Ba, arXiv 1412.6980, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat
from torch import Tensor

from hyco.inversion.optimisers.minimiser import Minimiser, Objective, OptimiserConfig
from hyco.inversion.optimisers.result import OptimisationResult, Status

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
# Iterations without progress after which it stops.
_PATIENCE = 50


class AdamConfig(OptimiserConfig):
    """Keys of `physical.method` for `name: Adam`."""

    name: Literal["Adam"] = "Adam"
    learning_rate: PositiveFloat = Field(default=0.02, description="size of a step, the bounds being 1 wide")


class Adam(Minimiser[AdamConfig]):
    """Adam in the box, from all guesses at once; `rel_tol` is ignored. See `minimise_adam`."""

    config_class = AdamConfig

    def minimise(
        self, objective: Objective, guesses: Tensor, *, abs_tol: float, rel_tol: float, max_iterations: int
    ) -> OptimisationResult:
        """Minimise from `[K, q]`."""
        return minimise_adam(
            objective.values_and_gradients,
            guesses,
            objective.lower,
            objective.upper,
            abs_tol=abs_tol,
            max_iterations=max_iterations,
            learning_rate=self.config.learning_rate,
        )


def minimise_adam(
    objective: Callable[[Tensor], tuple[Tensor, Tensor]],
    guesses: Tensor,
    lower: Tensor,
    upper: Tensor,
    *,
    abs_tol: float,
    max_iterations: int,
    learning_rate: float,
) -> OptimisationResult:
    """Minimise f(z) from every guess, projected onto the box.

    Args:
        objective: `[K, p]` to values `[K]` and gradients `[K, p]`; where one is not finite the search goes back to
            its best point, with half the rate.
        guesses: `[K, p]`.
        lower, upper: the box, `[p]`.
        abs_tol: stop when fifty iterations lower the best value by less than this.
        max_iterations: iterations allowed.
        learning_rate: size of a step, in units of z.
    """
    z = torch.maximum(torch.minimum(guesses, upper), lower).clone()
    first, slope, rate = torch.zeros_like(z), torch.zeros_like(z), torch.full_like(z[:, :1], learning_rate)
    best_z, best = z.clone(), torch.full_like(z[:, 0], torch.inf)
    history: list[dict[str, object]] = []
    initial, marks = np.nan, [np.inf]
    age = torch.zeros_like(rate)
    status, reason = Status.ITERATION_LIMIT, f"the limit of {max_iterations} iterations was reached"
    iterations = 0
    for iterations in range(max_iterations + 1):
        value, gradient = objective(z)
        finite = torch.isfinite(value) & torch.isfinite(gradient).all(dim=1)
        for point, v, good in zip(z.tolist(), value.tolist(), finite.tolist(), strict=True):
            history.append({"x": point, "value": v if good else None})
        if iterations == 0:
            initial = float(value[0]) if bool(finite[0]) else np.nan
            if not bool(finite.any()):
                status, reason = Status.DIVERGED, "the objective is not finite at the start"
                break
        better = finite & (value < best)
        best_z[better], best[better] = z[better], value[better]
        marks.append(float(best.min()))
        if len(marks) > _PATIENCE + 1 and marks[-1 - _PATIENCE] - marks[-1] < abs_tol:
            status, reason = Status.CONVERGED, f"{_PATIENCE} iterations lowered it by less than abs_tol = {abs_tol:g}"
            if all(entry["value"] is None for entry in history[-_PATIENCE * len(z) :]):
                status, reason = Status.LINE_SEARCH_FAILED, "the objective is not finite around the best point"
            break
        # Too far: from the best point again, more carefully.
        z = torch.where(finite[:, None], z, best_z)
        rate = torch.where(finite[:, None], rate, rate / 2)
        gradient = torch.where(finite[:, None], gradient, torch.zeros_like(gradient))
        first = torch.where(finite[:, None], _BETA1 * first + (1 - _BETA1) * gradient, torch.zeros_like(first))
        slope = torch.where(finite[:, None], _BETA2 * slope + (1 - _BETA2) * gradient**2, torch.zeros_like(slope))
        age = torch.where(finite[:, None], age + 1, torch.zeros_like(age))
        count = age.clamp_min(1)
        step = (first / (1 - _BETA1**count)) / ((slope / (1 - _BETA2**count)).sqrt() + _EPSILON)
        z = torch.maximum(torch.minimum(z - rate * step, upper), lower)
    which = int(best.argmin())
    lowest = float(best[which])
    return OptimisationResult(
        x=best_z[which].cpu().numpy().copy(),
        value=lowest if np.isfinite(lowest) else np.nan,
        initial_value=initial,
        status=status,
        reason=reason,
        iterations=iterations,
        evaluations=len(history),
        history=history,
        ends=[
            {"x": x.tolist(), "value": float(v) if np.isfinite(float(v)) else None, "status": str(status)}
            for x, v in zip(best_z, best, strict=True)
        ],
    )
