"""Levenberg-Marquardt in a box, for one guess or many at once.

Each iteration solves min over δ of ‖r + Jδ‖² + λ‖Dδ‖², with D the largest column norms of J so far. It is solved
through a QR factorisation of J, not through JᵀJ, whose condition number is the square of J's. The damping λ follows the
ratio of the real to the predicted decrease. Coordinates that would leave the box stop at its edge.

Sources: D. Marquardt, SIAM J. Appl. Math. 11 (1963) 431, doi:10.1137/0111030; H. B. Nielsen, Damping Parameter in
Marquardt's Method, report IMM-REP-1999-05, Technical University of Denmark, equation 2.5 (update of λ); J. J. Moré, in
Numerical Analysis, Lecture Notes in Mathematics 630 (1978) 105, doi:10.1007/BFb0067700 (the largest norms so far).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from hyco.inversion.jacobian import forward_jacobian
from hyco.inversion.optimisers.minimiser import Jacobian, Minimiser, Objective, OptimiserConfig
from hyco.inversion.optimisers.result import OptimisationResult, Status

# Above this many coordinates a trial point is evaluated before its Jacobian; below, both in one batch.
_TOGETHER = 8
_FIRST_DAMPING, _LARGEST_DAMPING = 1e-3, 1e12

Residuals = Callable[[Tensor], Tensor]


class LevenbergMarquardtConfig(OptimiserConfig):
    """Keys of `physical.method` for `name: Levenberg-Marquardt`."""

    most_unknowns = 5000  # it stores the whole Jacobian

    name: Literal["Levenberg-Marquardt"] = "Levenberg-Marquardt"
    jacobian: Literal["auto", "differences", "reverse"] = Field(
        default="auto", description="a batch of perturbed copies, or reverse mode row by row; auto: the shorter"
    )


class LevenbergMarquardt(Minimiser[LevenbergMarquardtConfig]):
    """Levenberg-Marquardt in the box, from all guesses at once. See `minimise_levenberg_marquardt`."""

    config_class = LevenbergMarquardtConfig

    def minimise(
        self, objective: Objective, guesses: Tensor, *, abs_tol: float, rel_tol: float, max_iterations: int
    ) -> OptimisationResult:
        """Minimise from `[K, q]`."""
        return minimise_levenberg_marquardt(
            objective.residuals,
            guesses,
            objective.lower,
            objective.upper,
            abs_tol=abs_tol,
            max_iterations=max_iterations,
            rel_tol=rel_tol,
            jacobian=objective.jacobian(self.config.jacobian),
        )


@dataclass
class _State:
    """K problems side by side: points `[K, p]`, residuals `[K, N]`, Jacobians `[K, N, p]`, damping, scale `[K, p]`."""

    z: Tensor
    r: Tensor
    J: Tensor
    damping: Tensor
    growth: Tensor
    scale: Tensor

    @property
    def value(self) -> Tensor:
        """‖r‖² of each, infinite where it is not finite."""
        return torch.nan_to_num(self.r.square().sum(dim=1), nan=torch.inf, posinf=torch.inf)


def minimise_levenberg_marquardt(
    residuals: Residuals,
    guesses: Tensor,
    lower: Tensor,
    upper: Tensor,
    *,
    abs_tol: float,
    max_iterations: int,
    rel_tol: float = 0.0,
    difference: float = 1e-6,
    jacobian: Jacobian | None = None,
) -> OptimisationResult:
    """Minimise ‖r(z)‖² over a box, from every guess, and return the best.

    Args:
        residuals: `[K, p]` to `[K, N]`, without gradient; not finite means "too far, step back".
        guesses: `[K, p]`, K independent searches that share every batch of evaluations.
        lower, upper: the box, `[p]`, infinite where there is none.
        abs_tol: stop when an iteration lowers ‖r‖² by less than this, or promises to.
        max_iterations: iterations allowed, each with one Jacobian.
        rel_tol: the same relative to ‖r‖²; the larger of both counts.
        difference: step of the difference quotients, in units of z.
        jacobian: points `[K, p]` and their residuals to J `[K, N, p]`; default: forward differences in one batch.
    """
    search = _Search(residuals, lower, upper, difference, jacobian)
    guesses = torch.maximum(torch.minimum(guesses, upper), lower)
    r = search.evaluate(guesses)
    first = torch.nan_to_num(r.square().sum(dim=1), nan=torch.inf, posinf=torch.inf)
    if not bool(torch.isfinite(first).any()):
        return _diverged(guesses, search)
    # A guess where it is not finite is given up.
    keep = torch.isfinite(first)
    guesses, r = guesses[keep], r[keep]
    count = len(guesses)
    state = _State(
        guesses.clone(),
        r,
        search.differentiate(guesses, r),
        torch.full((count,), _FIRST_DAMPING, dtype=guesses.dtype, device=guesses.device),
        torch.full((count,), 2.0, dtype=guesses.dtype, device=guesses.device),
        torch.zeros_like(guesses),
    )
    sloped = torch.isfinite(state.J).flatten(1).all(dim=1)
    statuses: list[tuple[Status, str] | None] = [None if ok else _SLOPELESS for ok in sloped.tolist()]
    iterations = 0
    while iterations < max_iterations and any(s is None for s in statuses):
        iterations += 1
        active = torch.tensor([i for i, s in enumerate(statuses) if s is None])
        search.iterate(state, active, statuses, abs_tol, rel_tol)
    limit = (Status.ITERATION_LIMIT, f"the limit of {max_iterations} iterations was reached")
    final = [limit if s is None else s for s in statuses]
    best = int(state.value.argmin())
    return OptimisationResult(
        x=state.z[best].cpu().numpy().copy(),
        value=float(state.value[best]),
        initial_value=float(first[0]) if bool(torch.isfinite(first[0])) else np.nan,
        status=final[best][0],
        reason=final[best][1],
        iterations=iterations,
        evaluations=search.evaluations,
        history=search.history,
        ends=[
            {"x": z.tolist(), "value": float(v), "status": str(status)}
            for z, v, (status, _) in zip(state.z, state.value, final, strict=True)
        ],
    )


class _Search:
    """Evaluations, counted and recorded, and one iteration."""

    def __init__(
        self, residuals: Residuals, lower: Tensor, upper: Tensor, difference: float, jacobian: Jacobian | None
    ) -> None:
        self.residuals, self.lower, self.upper = residuals, lower, upper
        self.difference, self.own_jacobian = difference, jacobian
        self.evaluations = 0
        self.history: list[dict[str, object]] = []

    def evaluate(self, z: Tensor) -> Tensor:
        """Residuals `[K, N]`."""
        r = self.residuals(z)
        self._record(z, r)
        return r

    def _record(self, z: Tensor, r: Tensor) -> None:
        self.evaluations += len(z)
        for point, value in zip(z.tolist(), r.square().sum(dim=1).tolist(), strict=True):
            self.history.append({"x": point, "value": value if np.isfinite(value) else None})

    def differentiate(self, z: Tensor, r: Tensor) -> Tensor:
        """J `[K, N, p]` at points with their residuals."""
        self.evaluations += z.numel()
        if self.own_jacobian is not None:
            return self.own_jacobian(z, r)
        return forward_jacobian(self.residuals, z, r, self.lower, self.upper, self.difference)

    def _both(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """Residuals, and the Jacobian where it comes in the same batch."""
        if self.own_jacobian is not None or z.shape[1] > _TOGETHER:
            return self.evaluate(z), None
        r, J = forward_jacobian(self.residuals, z, None, self.lower, self.upper, self.difference)
        self._record(z, r)
        self.evaluations += z.numel()
        return r, J

    def iterate(
        self,
        state: _State,
        active: Tensor,
        statuses: list[tuple[Status, str] | None],
        abs_tol: float,
        rel_tol: float,
    ) -> None:
        """One accepted step for each active problem, or the end of its search; damping grows until one is found."""
        # What counts problems stays on the CPU: `active`, `pending`, `accepted`, and the masks that choose from them.
        pending = active
        factors = {int(k): _factorise(state, int(k), self.lower, self.upper) for k in active}
        while len(pending):
            steps, promised = [], []
            for k in pending.tolist():
                step, gain = _step(factors[k], state, k, self.lower, self.upper)
                steps.append(step)
                promised.append(gain)
            trial, gains = torch.stack(steps), torch.tensor(promised, dtype=state.z.dtype)
            # A promise below zero is that of a step cut off by the box: a shorter one follows.
            relative = rel_tol * state.value[pending]
            tolerance, worth = (relative.clamp_min(v).to(gains) for v in (abs_tol, 0.1 * abs_tol))
            uphill = gains < -worth
            done = (gains <= worth) & ~uphill
            for k in pending[done].tolist():
                stuck = float(state.damping[k]) > 1.0
                statuses[k] = _stuck(factors[k], abs_tol) if stuck else _converged(abs_tol)
            refused = pending[uphill]
            pending, trial, gains, tolerance = (v[~done & ~uphill] for v in (pending, trial, gains, tolerance))
            if not len(pending):
                pending = self._shorten(state, refused, factors, statuses, abs_tol)
                continue
            r, J = self._both(trial)
            new = torch.nan_to_num(r.square().sum(dim=1), nan=torch.inf, posinf=torch.inf)
            better = (new < state.value[pending]).cpu()
            if J is not None:
                better &= torch.isfinite(J).flatten(1).all(dim=1).cpu()
            accepted = pending[better]
            if len(accepted):
                old = state.value[accepted]
                state.z[accepted], state.r[accepted] = trial[better], r[better]
                state.J[accepted] = J[better] if J is not None else self.differentiate(trial[better], r[better])
                ratio = (old - new[better]) / gains[better].to(old.device)
                state.damping[accepted] *= (1 - (2 * ratio - 1) ** 3).clamp(min=1 / 3)
                state.growth[accepted] = 2.0
                small = (old - new[better]).to(tolerance) < tolerance[better.cpu()]
                # A step that damping made short gains little anywhere: it says nothing.
                small &= state.damping[accepted].to(tolerance) <= 1
                for k in accepted[small].tolist():
                    statuses[k] = _converged(abs_tol)
                for k in accepted.tolist():
                    if not bool(torch.isfinite(state.J[k]).all()):
                        statuses[k] = _SLOPELESS
            refused = torch.cat([pending[~better], refused])
            pending = self._shorten(state, refused, factors, statuses, abs_tol)

    @staticmethod
    def _shorten(
        state: _State,
        refused: Tensor,
        factors: dict[int, _Factor],
        statuses: list[tuple[Status, str] | None],
        abs_tol: float,
    ) -> Tensor:
        """More damping after a step that was refused; those problems that are to go on."""
        state.damping[refused] *= state.growth[refused]
        state.growth[refused] *= 2
        for k in refused.tolist():
            if float(state.damping[k]) > _LARGEST_DAMPING:
                statuses[k] = _stuck(factors[k], abs_tol)
        return torch.tensor([k for k in refused.tolist() if statuses[k] is None], dtype=torch.long)


@dataclass
class _Factor:
    """J = QR of one problem with fixed coordinates left out: R `[m, p]`, Qᵀr `[m]`, scale D `[p]`, which move."""

    R: Tensor
    Qr: Tensor
    scale: Tensor
    free: Tensor


def _factorise(state: _State, k: int, lower: Tensor, upper: Tensor) -> _Factor:
    J, r, z = state.J[k], state.r[k], state.z[k]
    slope = J.T @ r
    free = ~(((z <= lower) & (slope > 0)) | ((z >= upper) & (slope < 0)))
    J = J * free
    Q, R = torch.linalg.qr(J)
    state.scale[k] = torch.maximum(state.scale[k], torch.linalg.vector_norm(J, dim=0))
    smallest = 1e-8 * float(state.scale[k].max().clamp_min(1e-300))
    return _Factor(R, Q.T @ r, state.scale[k].clamp_min(smallest), free)


def _step(f: _Factor, state: _State, k: int, lower: Tensor, upper: Tensor) -> tuple[Tensor, float]:
    """The trial point `[p]`, and the decrease of ‖r‖² that the linear model promises there.

    Coordinates that the step takes out of the box stop at its edge, and the others are solved for again: cut off
    afterwards, a step between correlated coordinates may well lead uphill.
    """
    root, z = torch.sqrt(state.damping[k]), state.z[k]
    stacked = torch.cat([f.R, torch.diag(root * f.scale)])
    right = torch.cat([-f.Qr, torch.zeros_like(f.scale)])
    moving, trial = f.free.clone(), z.clone()
    while bool(moving.any()):
        Q, R = torch.linalg.qr(stacked[:, moving])
        rest = right - stacked[:, ~moving] @ (trial - z)[~moving]
        trial[moving] = z[moving] + torch.linalg.solve_triangular(R, (Q.T @ rest)[:, None], upper=True)[:, 0]
        inside = torch.maximum(torch.minimum(trial, upper), lower)
        outside, trial = trial != inside, inside
        if not bool(outside.any()):
            break
        moving &= ~outside
    change = f.R @ (trial - z)
    return trial, float(-(change @ (2 * f.Qr + change)))


_SLOPELESS = (
    Status.LINE_SEARCH_FAILED,
    "the objective is not finite next to the best point: there is no slope to follow",
)


def _converged(abs_tol: float) -> tuple[Status, str]:
    return Status.CONVERGED, f"an iteration lowers the objective by less than abs_tol = {abs_tol:g}"


def _stuck(f: _Factor, abs_tol: float) -> tuple[Status, str]:
    """No lower point was found: convergence, unless the undamped model promises far more."""
    promise = float(f.Qr @ f.Qr)
    if not promise <= 1e3 * abs_tol:
        return Status.LINE_SEARCH_FAILED, "no lower point was found although the gradient does not vanish"
    return _converged(abs_tol)


def _diverged(guesses: Tensor, search: _Search) -> OptimisationResult:
    return OptimisationResult(
        x=guesses[0].cpu().numpy().copy(),
        value=np.nan,
        initial_value=np.nan,
        status=Status.DIVERGED,
        reason="the objective is not finite at the start",
        iterations=0,
        evaluations=search.evaluations,
        history=search.history,
    )
