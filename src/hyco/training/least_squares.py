"""Levenberg-Marquardt for networks of few weights: one step for each epoch, over all its batches.

With the errors r of a batch, whose squares sum up to its loss, and J their derivatives by the weights w, a step solves
(Σ JᵀJ + λ D²) δ = -Σ Jᵀr over the batches, D² the largest diagonal of Σ JᵀJ so far. It is taken if it lowers the loss,
and λ falls by ten; else λ grows by ten and the step is shorter.

Sources: D. Marquardt, SIAM J. Appl. Math. 11 (1963) 431, doi:10.1137/0111030; J. J. Moré, in Numerical Analysis,
Lecture Notes in Mathematics 630 (1978) 105, doi:10.1007/BFb0067700 (the largest diagonal).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vmap

_FIRST_DAMPING, _FACTOR, _TRIALS = 1e-3, 10.0, 6
# Within these a training that rested for long, as one in a hybrid, goes on as soon as its data change.
_LEAST_DAMPING, _MOST_DAMPING = 1e-12, 1e6
# Numbers of J that are computed together.
_TOGETHER = 400_000

Errors = Callable[[], Tensor]


class LeastSquares:
    """The weights of a model and the damping of their steps; what it remembers is as that of an `Optimiser`.

    Args:
        model: whose weights change.

    Attributes:
        state: `damping` λ, `[]`, and `scale` D², `[P]` with P weights; empty before the first step.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.state: dict[str, Tensor] = {}

    def step(self, batches: Sequence[Errors]) -> dict[str, float]:
        """One step.

        Args:
            batches: give the errors of a batch at the present weights, `[N]`; the loss is the mean over the batches of
                the sum of their squares. At least one.

        Returns:
            `synthetic_loss`, after the step; `synthetic_skipped`, 1 if no step lowered it, else 0; `learning_rate`,
            1 / (1 + λ): near 1 the step is that of Gauss and Newton.

        Raises:
            FloatingPointError: the errors at the present weights or their derivatives are not finite: no step can be
                told from another. The message says which of them; the weights are as before.
        """
        point = torch.cat([weight.detach().flatten() for weight in self.weights.values()])
        matrix, slope, before = self._linearised(point, batches)
        if not (math.isfinite(before) and bool(matrix.isfinite().all())):
            what = "errors" if not math.isfinite(before) else "derivatives of the errors"
            raise FloatingPointError(what)
        damping, scale = self._remembered(matrix.diagonal())
        taken = False
        for _ in range(_TRIALS):
            # Where rounding makes the matrix singular the step is not finite, and so not taken.
            change, _ = torch.linalg.solve_ex(matrix + damping * scale.diag(), -slope)
            trial = point + change.to(point)
            after = self._loss(trial, batches)
            taken = after < before
            damping = (damping / _FACTOR if taken else damping * _FACTOR).clamp(_LEAST_DAMPING, _MOST_DAMPING)
            if taken:
                break
        if taken:
            for weight, part in zip(self.weights.values(), self._parts(trial).values(), strict=True):
                weight.data.copy_(part)
        self.state = {"damping": damping, "scale": scale}
        loss = after if taken else before
        return {
            "synthetic_loss": loss,
            "learning_rate": 1 / (1 + float(damping)),
            "synthetic_skipped": float(not taken),
        }

    def _remembered(self, diagonal: Tensor) -> tuple[Tensor, Tensor]:
        """Damping and scale for a step with this diagonal of Σ JᵀJ; what no error depends on has the least scale."""
        if not self.state:
            self.state = {"damping": diagonal.new_tensor(_FIRST_DAMPING), "scale": torch.zeros_like(diagonal)}
        scale = torch.maximum(self.state["scale"].to(diagonal), diagonal)
        return self.state["damping"].to(diagonal), scale.clamp_min(1e-12 * float(scale.max().clamp_min(1e-300)))

    @torch.no_grad()
    def _linearised(self, point: Tensor, batches: Sequence[Errors]) -> tuple[Tensor, Tensor, float]:
        """Σ JᵀJ `[P, P]`, Σ Jᵀr `[P]` in float64, and the loss."""
        directions = torch.eye(len(point), dtype=point.dtype, device=point.device)
        matrix = torch.zeros(len(point), len(point), dtype=torch.float64, device=point.device)
        slope, loss = torch.zeros_like(matrix[0]), 0.0
        for errors in batches:
            model = _Called(self.model, errors)
            here: Tensor = functional_call(model, self._parts(point), ())

            def along(direction: Tensor, model: nn.Module = model) -> Tensor:
                change: Tensor = jvp(
                    lambda weights: functional_call(model, self._parts(weights), ()), (point,), (direction,)
                )[1]
                return change

            # J is the largest by far of what is in memory: it is there once, and in float64 in parts alone.
            columns = here.new_empty(len(point), len(here))
            together = max(1, _TOGETHER // max(1, len(here)))
            for rows, some in zip(torch.split(columns, together), torch.split(directions, together), strict=True):
                rows.copy_(vmap(along)(some))
            size = max(1, _TOGETHER // len(point))
            for part, error in zip(torch.split(columns, size, dim=1), torch.split(here, size), strict=True):
                matrix += part.double() @ part.double().T / len(batches)
                slope += part.double() @ error.double() / len(batches)
            loss += float(here.double().square().sum()) / len(batches)
        return matrix, slope, loss

    @torch.no_grad()
    def _loss(self, point: Tensor, batches: Sequence[Errors]) -> float:
        parts = self._parts(point)
        squares = (
            functional_call(_Called(self.model, errors), parts, ()).double().square().sum() for errors in batches
        )
        return float(sum(squares)) / len(batches)

    def _parts(self, point: Tensor) -> dict[str, Tensor]:
        """The weights, by their name in `_Called`."""
        parts = torch.split(point, [weight.numel() for weight in self.weights.values()])
        return {
            f"model.{name}": part.view(weight.shape)
            for (name, weight), part in zip(self.weights.items(), parts, strict=True)
        }

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers."""
        return dict(self.state)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `tensors`."""
        self.state = {name: value.clone() for name, value in tensors.items()}


class _Called(nn.Module):
    """A model, and a call that uses it: the call sees the weights that it is given."""

    def __init__(self, model: nn.Module, call: Errors) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, *_: Any) -> Tensor:
        """The call."""
        return self.call()
