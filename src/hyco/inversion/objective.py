"""The objective of one search, as optimisers see it: an inverse problem with a horizon, a weight and predictions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.jacobian import forward_jacobian, reverse_jacobian
from hyco.inversion.optimisers.minimiser import Jacobian
from hyco.inversion.targets import SyntheticTargets

# So many copies of a rollout take no longer than its gradient by the tape; what they differ by in a coordinate.
_FEW_UNKNOWNS, _DIFFERENCE = 3, 1e-6


class LeastSquaresObjective:
    """f(z) = ‖r(z)‖² with the residuals r of `InverseProblem.objective`.

    Args:
        steps: horizon of the data.
        alpha: weight of the real data.
        synthetic: the network's predictions; None: real data alone.
        information: diagonal of the information of all coordinates, `[q]`; None: not computed.

    Attributes:
        lower, upper, width: of the coordinates, `[q]`, on the problem's device.
    """

    def __init__(
        self,
        problem: InverseProblem,
        steps: int,
        alpha: float = 1.0,
        synthetic: SyntheticTargets | None = None,
        information: Tensor | None = None,
    ) -> None:
        self._problem, self._steps, self._alpha = problem, steps, alpha
        self._synthetic, self._information = synthetic, information
        box = problem.box.to(problem.device)
        self.lower, self.upper, self.width = box.lower, box.upper, box.width

    @torch.no_grad()
    def residuals(self, z: Tensor) -> Tensor:
        """R `[K, M]` at `[K, q]`, without gradient."""
        return self._residuals(z)

    def _residuals(self, z: Tensor) -> Tensor:
        return self._problem.objective(z, self._steps, self._alpha, self._synthetic)

    def values_and_gradients(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """F `[K]` and ∇f `[K, q]` at `[K, q]`: 2 Jᵀr, J by difference quotients, where there are few unknowns.

        Then q + 1 copies in one batch take less time than one rollout and the way back, and no memory for a tape.
        """
        if z.shape[1] <= _FEW_UNKNOWNS:
            r, jacobian = forward_jacobian(self.residuals, z, None, self.lower, self.upper, _DIFFERENCE)
            return r.square().sum(dim=1), 2 * torch.einsum("knq,kn->kq", jacobian, r)
        leaf = z.detach().clone().requires_grad_(True)
        loss = self._residuals(leaf).square().sum(dim=1)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        return loss.detach(), gradient

    @torch.no_grad()
    def first_values(self, guesses: Tensor) -> Tensor:
        """F on real data alone, `[K]`, to choose one of several guesses `[K, q]`."""
        return self._problem.objective(guesses, self._steps, self._alpha, None).square().sum(dim=1)

    def jacobian(self, method: Literal["auto", "differences", "reverse"]) -> Jacobian | None:
        """How r is differentiated where there is a better way than forward differences in one batch; None: there isn't.

        Row by row in reverse mode where `method` says so, or where there are few residuals; by parts where initial
        states are unknown.
        """
        problem = self._problem
        few = problem.data.count(self._steps) < problem.parameter_count / 3 and self._synthetic is None
        if method == "reverse" or (method == "auto" and few):
            return self._by_rows
        return None if problem.initial_states is None else self._by_parts

    def _by_rows(self, z: Tensor, r: Tensor) -> Tensor:
        return torch.stack([reverse_jacobian(lambda y: self._residuals(y[None])[0], point) for point in z])

    @torch.no_grad()
    def _by_parts(self, z: Tensor, r: Tensor) -> Tensor:
        problem = self._problem
        return torch.stack(
            [problem.objective_jacobian(point, self._steps, self._alpha, self._synthetic) for point in z]
        )

    def curvature_scale(self) -> NDArray[np.float64] | None:
        """1/√(∂²f/∂z²) for each coordinate, `[q]`, in the Gauss-Newton approximation; None where there is none."""
        if self._information is None:
            return None
        curvature = 2 * self._information.numpy() / self._problem.data.count(self._steps)
        if not np.isfinite(curvature).all() or not (curvature > 0).all():
            return None
        width = self._problem.box.width.numpy()
        return np.asarray(np.minimum(1 / np.sqrt(curvature), 0.25 * width))
