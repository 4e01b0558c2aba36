"""A first guess of the parameters from dense states, by the weak form of one step after the other.

A step Φ of the equation takes each measured state u_n to a prediction of the next one. The parameters that make
u_{n+1} - Φ(u_n) small would be biased by noise, which second derivatives amplify. Weighed with smooth functions of time
and space that are zero beyond a few cells, these differences are those of the weak form: derivatives act on the weights
instead of the noise, and steps follow each other without an error that grows. That is a least-squares problem nearly
linear in the parameters, whose cost is that of few rollouts, all steps at once.

Sources: P. A. K. Reinbold, D. R. Gurevich and R. O. Grigoriev, Phys. Rev. E 101 (2020) 010203,
doi:10.1103/PhysRevE.101.010203; D. A. Messenger and D. M. Bortz, J. Comput. Phys. 443 (2021) 110525,
doi:10.1016/j.jcp.2021.110525.
"""

from __future__ import annotations

import logging
import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.optimisers.levenberg_marquardt import minimise_levenberg_marquardt

log = logging.getLogger(__name__)

# Cells on either side of the middle of a weight, as a part of those of the axis, and how often it is laid within.
_HALF_WIDTH, _PER_WIDTH = 1 / 16, 2
# (1 - s²)^4 has as many derivatives as any of our equations has.
_POWER = 4
# More unknowns than these are no few numbers; more numbers than these are no small batch; iterations allowed.
_MOST_UNKNOWNS, _LARGEST_BATCH, _ITERATIONS = 20, 2e6, 20


class WeakForm:
    """The weighed differences between measured states and those that one step predicts, as functions of θ.

    Args:
        problem: its measurements are of whole states on the grid, one step of the data after the other.

    Attributes:
        steps: how many there are.

    Raises:
        ValueError: they are not, or the equation is none for this; it says why.
    """

    def __init__(self, problem: InverseProblem) -> None:
        self._forward = problem.forward
        states, self._first, self._gap = _whole_states(problem)
        self._states, self.steps = states, states.shape[0] * (states.shape[1] - 1)
        grid = problem.data.observations.layout.grid
        periodic = problem.data.observations.layout.periodic
        weights = [(bump(states.shape[1] - 1), False)]
        weights += [(bump(n), wraps) for n, wraps in zip(grid.resolution, periodic, strict=True)]
        self._weights = [(w.to(states), wraps) for w, wraps in weights]
        changes = self._weighed(states[:, 1:] - states[:, :-1])
        size = changes.movedim(2, 0).flatten(1).square().mean(dim=1).sqrt()
        self._scale = torch.where(size > 0, size, 1.0).reshape(-1, *[1] * grid.dimensions)

    def residuals(self, theta: Tensor) -> Tensor:
        """Of coordinates `[K, p]`, `[K, N]`, in units of the changes from one state to the next."""
        return torch.stack([self._of_one(point) for point in theta])

    def _of_one(self, theta: Tensor) -> Tensor:
        starts = self._states[:, :-1]
        count, pairs = starts.shape[:2]
        dt = self._forward.model.equation.dt
        times = dt * (self._first + self._gap * torch.arange(pairs, dtype=torch.float64)).repeat(count)
        flat, ends = starts.flatten(0, 1), []
        size = max(1, int(_LARGEST_BATCH / flat[0].numel()))
        for part, time in zip(torch.split(flat, size), torch.split(times, size), strict=True):
            ends.append(self._forward.rollout(part, theta, self._gap, [self._gap], time)[:, 0])
        differences = self._states[:, 1:] - torch.cat(ends).reshape(starts.shape)
        residuals: Tensor = (self._weighed(differences) / self._scale).flatten()
        return residuals / math.sqrt(len(residuals))

    def _weighed(self, differences: Tensor) -> Tensor:
        """The sums of `[S, J, C, *space]` with each weight along time and each axis."""
        dims = [1, *range(3, differences.ndim)]
        for dim, (weight, wraps) in zip(dims, self._weights, strict=True):
            half = len(weight) // 2
            lines = differences.movedim(dim, -1)
            shape = lines.shape[:-1]
            lines = lines.reshape(-1, 1, lines.shape[-1])
            if wraps:
                lines = pad(lines, (half, half), mode="circular")
            lines = conv1d(lines, weight[None, None], stride=max(1, half // _PER_WIDTH))
            differences = lines.reshape(*shape, -1).movedim(-1, dim)
        return differences


def bump(cells: int) -> Tensor:
    """The weight (1 - s²)⁴ in the middles of some of so many cells, of an odd number, with the sum 1."""
    half = min((cells - 1) // 2, max(2, round(cells * _HALF_WIDTH)))
    s = torch.arange(-half, half + 1, dtype=torch.float64) / (half + 1)
    weight = (1 - s * s) ** _POWER
    return weight / weight.sum()


@torch.no_grad()
def weak_form_guess(problem: InverseProblem, guess: Tensor) -> Tensor:
    """Coordinates `[q]` near those that fit best, or `guess` where that fits the data better or states are not dense.

    Args:
        guess: where the search would start without, `[q]`.
    """
    p = problem.parameter_count
    try:
        if p > _MOST_UNKNOWNS:
            raise ValueError(f"{p} unknowns are more than {_MOST_UNKNOWNS}")
        weak = WeakForm(problem)
    except ValueError as error:
        log.warning("physical.first_guess: weak_form is not possible (%s): the search starts at initial_guess.", error)
        return guess
    box = problem.box.to(problem.device)
    result = minimise_levenberg_marquardt(
        weak.residuals,
        guess[None, :p].to(problem.device),
        box.lower[:p],
        box.upper[:p],
        abs_tol=1e-12,
        rel_tol=1e-4,
        max_iterations=_ITERATIONS,
    )
    found = torch.cat([torch.from_numpy(result.x.copy()), guess[p:].cpu()])
    both = torch.stack([guess.cpu(), found]).to(problem.device)
    values = problem.objective(both).square().sum(dim=1).nan_to_num(nan=torch.inf)
    if not bool(values[1] < values[0]):
        log.warning("The weak form has found nothing better than initial_guess: the search starts there.")
        return guess
    log.info("The search starts where the weak form of %d steps is best.", weak.steps)
    return found.to(guess)


def _whole_states(problem: InverseProblem) -> tuple[Tensor, int, int]:
    """Measured states `[S, J + 1, C, *space]` at equal distances, the number of the first one and the distance.

    Raises:
        ValueError: there are no three of them.
    """
    data = problem.data
    observations = data.observations
    if not observations.on_grid or observations.offsets is not None:
        raise ValueError("measurements are at points, not of whole states")
    if problem.forward.model.equation.config.is_static:
        raise ValueError("a static problem has no steps")
    if not bool(observations.layout.valid.all()):
        raise ValueError("components on faces are no whole states")
    complete = data.mask.transpose(0, 1).flatten(1).all(dim=1)
    times = [n for n, whole in zip(data.times, complete.tolist(), strict=True) if whole]
    states = [data.targets[:, i] for i, whole in enumerate(complete.tolist()) if whole]
    if observations.initial_known:
        times, states = [0, *times], [problem.starts, *states]
    gaps = {later - earlier for earlier, later in pairwise(times)}
    if len(times) < 3 or len(gaps) != 1:
        raise ValueError("there are no three whole states at equal distances in time")
    return torch.stack(states, dim=1), times[0], gaps.pop()
