"""L-BFGS-B with a good first step, a memory for the best point, and no surprises.

SciPy's routine (R. Byrd, P. Lu, J. Nocedal, C. Zhu, SIAM J. Sci. Comput. 16 (1995) 1190, doi:10.1137/0916069) is
called directly: it knows bounds, and an exception raised by the objective reaches the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor

from hyco.inversion.optimisers.minimiser import Minimiser, Objective, OptimiserConfig
from hyco.inversion.optimisers.result import OptimisationResult, Status
from hyco.runtime.errors import InternalError

Array = NDArray[np.float64]


class LBFGSBConfig(OptimiserConfig):
    """Keys of `physical.method` for `name: L-BFGS-B`."""

    uses_information = True

    name: Literal["L-BFGS-B"] = "L-BFGS-B"


class LBFGSB(Minimiser[LBFGSBConfig]):
    """L-BFGS-B from the best guess, all evaluated in one batch; `rel_tol` is ignored. See `minimise_lbfgsb`."""

    config_class = LBFGSBConfig

    def minimise(
        self, objective: Objective, guesses: Tensor, *, abs_tol: float, rel_tol: float, max_iterations: int
    ) -> OptimisationResult:
        """Minimise from the best of `[K, q]`."""
        best = 0
        if len(guesses) > 1:
            best = int(torch.nan_to_num(objective.first_values(guesses), nan=math.inf).argmin())

        def value_and_gradient(point: Array) -> tuple[float, Array]:
            loss, gradient = objective.values_and_gradients(torch.tensor(point, device=guesses.device)[None])
            if not bool(torch.isfinite(loss).all()):
                return math.nan, np.full_like(point, math.nan)
            return float(loss[0]), gradient[0].cpu().numpy()

        return minimise_lbfgsb(
            value_and_gradient,
            guesses[best].cpu().numpy(),
            torch.stack([objective.lower, objective.upper], dim=1).cpu().numpy(),
            abs_tol=abs_tol,
            max_iterations=max_iterations,
            scale=objective.curvature_scale(),
            width=objective.width.cpu().numpy(),
        )


class _Memory:
    """Counts, records and remembers the best of all evaluations; hides non-finite values from the line search."""

    def __init__(self, objective: Callable[[Array], tuple[float, Array]], scale: Array, bounds: Array) -> None:
        self.objective = objective
        self.scale, self.bounds = scale, bounds
        self.history: list[dict[str, object]] = []
        self.best_x: Array | None = None
        self.best_value = np.inf
        self.best_gradient: Array = np.zeros_like(scale)
        self.first_value = np.nan
        self._last: tuple[Array, tuple[float, Array]] | None = None

    def __call__(self, y: Array) -> tuple[float, Array]:
        if self._last is None or not np.array_equal(self._last[0], y):
            self._last = (y.copy(), self._evaluate(y))
        return self._last[1]

    def _evaluate(self, y: Array) -> tuple[float, Array]:
        # A rounding error of the scaling must not leave the box.
        x = np.clip(y * self.scale, *self.bounds.T)
        value, gradient = self.objective(x)
        finite = bool(np.isfinite(value) and np.isfinite(gradient).all())
        self.history.append({"x": x.tolist(), "value": float(value) if finite else None})
        if len(self.history) == 1:
            self.first_value = float(value) if finite else np.nan
        if finite:
            if value < self.best_value:
                self.best_x, self.best_value, self.best_gradient = x.copy(), float(value), gradient.copy()
            return float(value), gradient * self.scale
        if self.best_x is None:
            raise _NeverFiniteError
        # Too far: a bowl around the best point, steep enough that the line search comes back.
        away = y - self.best_x / self.scale
        height = 1.0 + 10.0 * abs(self.best_value)
        return self.best_value + height, 2.0 * height * away / max(float(away @ away), 1e-300)


class _NeverFiniteError(InternalError):
    """The objective is not finite at the start."""


def minimise_lbfgsb(
    objective: Callable[[Array], tuple[float, Array]],
    start: Array,
    bounds: Array,
    *,
    abs_tol: float,
    max_iterations: int,
    scale: Array | None = None,
    width: Array | None = None,
) -> OptimisationResult:
    """Minimise f(x) for x in a box.

    Args:
        objective: x `[p]` to (f, ∇f `[p]`). A non-finite f means "too far, step back". What it raises is passed on.
        start: where to begin, `[p]`.
        bounds: smallest and largest x, `[p, 2]`.
        abs_tol: stop when an iteration lowers f by less than this. (`phi.math.minimize` hands its `abs_tol` to
            SciPy, which reads it as relative to f.)
        max_iterations: iterations allowed; one that is begun counts.
        scale: typical change of each x, `[p]`; 1/√(∂²f/∂x²) is best, for the first step then is a Newton step.
            Default: such that the first step is a tenth of `width`.
        width: a large change of each x, `[p]`; default: that of the box, which then must be finite.
    """
    if scale is None:
        scale = _first_step_scale(objective, start, bounds[:, 1] - bounds[:, 0] if width is None else width)
    if scale is None:
        return _diverged(start, 1)
    memory = _Memory(objective, scale, bounds)
    values: list[float] = []

    def after_iteration(intermediate_result: OptimizeResult) -> None:
        values.append(float(intermediate_result.fun))
        if values[-2] - values[-1] < abs_tol:
            raise StopIteration

    try:
        values.append(memory(start / scale)[0])
        outcome = minimize(  # type: ignore[call-overload]
            memory,
            start / scale,
            jac=True,
            method="L-BFGS-B",
            bounds=np.sort(bounds / scale[:, None], axis=1),
            callback=after_iteration,
            options={
                "maxiter": max_iterations,
                "ftol": 0.0,
                "gtol": 0.0,
                "maxls": 30,
                "maxfun": 20 * max_iterations + 20,
            },
        )
    except _NeverFiniteError:
        return _diverged(start, len(memory.history))
    assert memory.best_x is not None
    status, reason = _read(outcome, memory, bounds, abs_tol, values)
    return OptimisationResult(
        x=memory.best_x,
        value=memory.best_value,
        initial_value=memory.first_value,
        status=status,
        reason=reason,
        iterations=len(values) - 1,
        evaluations=len(memory.history),
        history=memory.history,
    )


def _first_step_scale(objective: Callable[[Array], tuple[float, Array]], start: Array, width: Array) -> Array | None:
    """Scale that makes the first step, of length |∇f| in scaled coordinates, a tenth of the width."""
    value, gradient = objective(start)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        return None
    length = float(np.linalg.norm(gradient * width))
    return width * float(np.sqrt(0.1 / length)) if length > 0 else width


def _diverged(start: Array, evaluations: int) -> OptimisationResult:
    return OptimisationResult(
        x=start.copy(),
        value=np.nan,
        initial_value=np.nan,
        status=Status.DIVERGED,
        reason="the objective is not finite at the start",
        iterations=0,
        evaluations=evaluations,
        history=[{"x": start.tolist(), "value": None}],
    )


def _read(
    outcome: OptimizeResult, memory: _Memory, bounds: Array, abs_tol: float, values: list[float]
) -> tuple[Status, str]:
    """SciPy's status in our words."""
    stopped = len(values) > 1 and values[-2] - values[-1] < abs_tol
    if not stopped and outcome.status == 1:
        return Status.ITERATION_LIMIT, f"the limit of {len(values) - 1} iterations was reached"
    if not stopped and outcome.status == 0:
        return Status.CONVERGED, "the gradient vanishes inside the bounds"
    # Nothing lower was found, or hardly: convergence, unless the gradient promises far more. In coordinates of about
    # unit curvature a step along it lowers the objective by |∇f|²/2.
    assert memory.best_x is not None
    y, g = memory.best_x / memory.scale, memory.best_gradient * memory.scale
    inside = np.clip(y - g, *np.sort(bounds / memory.scale[:, None], axis=1).T) - y
    promise = 0.5 * float(inside @ inside)
    if promise > 1e3 * abs_tol:
        return Status.LINE_SEARCH_FAILED, "the line search found no lower point although the gradient does not vanish"
    return Status.CONVERGED, f"an iteration lowered the objective by less than abs_tol = {abs_tol:g}"
