"""The profile likelihood: how χ² rises with one number while all other unknowns follow.

The Laplace interval takes χ² for a parabola. Where the data say little it is none: the interval then is where the
profile, min over the others of χ²(z_i), is less than 3.84 above its minimum. The other unknowns are found anew at each
point by Levenberg-Marquardt, from where the parabola has them.

Sources: D. J. Venzon and S. H. Moolgavkar, Appl. Statist. 37 (1988) 87, doi:10.2307/2347496; A. Raue et al.,
Bioinformatics 25 (2009) 1923, doi:10.1093/bioinformatics/btp358. Where the residuals tell the noise: D. M. Bates and
D. G. Watts, Nonlinear Regression Analysis and Its Applications (1988), section 6.1. Where the noise is correlated χ² is
scaled so that it has the curvature of the sandwich: R. E. Chandler and S. Bate, Biometrika 94 (2007) 167,
doi:10.1093/biomet/asm015; so is twice a robust loss: S. Heritier and E. Ronchetti, J. Am. Stat. Assoc. 89 (1994) 897,
doi:10.1080/01621459.1994.10476822.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE, Assessment
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.limits import NEAR
from hyco.inversion.loss import Huber
from hyco.inversion.optimisers.levenberg_marquardt import minimise_levenberg_marquardt
from hyco.inversion.profile_curve import LIMIT, Profile, ProfileFound

log = logging.getLogger(__name__)

Wanted = bool | Literal["auto"]
# Coordinates of numbers, other minima and the rollouts that each may take, to their profiles.
Profiler = Callable[[Sequence[int], Sequence[Tensor], float], list[ProfileFound]]

# Without being asked for: up to so many numbers, and unknowns in all.
_MOST_NUMBERS, _MOST_UNKNOWNS = 5, 500
# χ² at the end of the Laplace interval may differ by this part from that of a parabola.
_CURVED = 0.25
# The root of the rise at an end is that of the limit to this part; points at most on each side.
_EXACT, _MOST_POINTS = 0.015, 12
# Without a bound a profile ends so many widths of the prior knowledge away.
_FAR = 10.0
# A pull from which on the minimum on the measurements alone is searched for, in standard deviations.
_PULLED = 0.1
# Iterations for the other unknowns, and what one must lower χ² by.
_ITERATIONS, _GAIN = 8, 0.02
# Where the residuals tell the noise, σ being a thousandth of the values' spread: such a χ² is that of rounding errors.
_ROUNDING = 1e-16
# Rollouts of all training data that the profile of a number may take in any case; else as many as the fit.
_LEAST_BUDGET = 300.0


@torch.no_grad()
def profiled(
    problem: InverseProblem,
    assessment: Assessment,
    coordinates: Tensor,
    wanted: Wanted,
    minima: Sequence[Tensor] = (),
    elsewhere: Profiler | None = None,
) -> dict[str, Profile]:
    """The profiles of learnt numbers, by full name; `auto`: of those whose Laplace interval is suspect.

    It is where χ² at one of its ends is not that of a parabola, where it reaches the edge of the number's range, where
    the data do not determine the number, and where there are other minima.

    Args:
        assessment: of the coordinates.
        coordinates: the estimate, `[q]`.
        minima: coordinates `[q]` of others that fit as well: the profile covers them.
        elsewhere: works out several profiles, as `profile_of` does each; None: this process, one after the other.
    """
    numbers = problem.forward.space.of_numbers
    if wanted is False or not numbers or not assessment.uncertainty.noise_told:
        return {}
    if not problem.data.known_noise and assessment.uncertainty.reduced_chi_square < _ROUNDING:
        return {}
    unknowns = len(coordinates)
    weighed = isinstance(problem.loss, Huber) and problem.prior(coordinates[None].to(problem.device)).shape[1] > 0
    if unknowns > LARGEST_DENSE or assessment.joint is None or weighed:
        if wanted is True:
            log.warning(
                "physical.profile: there is none for a robust loss beside a prior, or for more than %d unknowns.",
                LARGEST_DENSE,
            )
        return {}
    if wanted == "auto" and (len(numbers) > _MOST_NUMBERS or unknowns > _MOST_UNKNOWNS):
        return {}
    search = _ProfileSearch(problem, assessment, coordinates, problem.simulations)
    chosen = numbers if wanted is True or len(minima) else search.suspect(numbers)
    if not chosen:
        return {}
    if elsewhere is None or len(chosen) == 1:
        found = [search.profile(i, minima) for i in chosen]
    else:
        found = elsewhere(chosen, minima, search.budget)
    profiles = {problem.forward.space.labels[i]: one.profile for i, one in zip(chosen, found, strict=True)}
    search.tell(list(profiles), found)
    return profiles


@torch.no_grad()
def profile_of(
    problem: InverseProblem,
    assessment: Assessment,
    coordinates: Tensor,
    number: int,
    minima: Sequence[Tensor],
    budget: float,
) -> ProfileFound:
    """The profile of one number, as `profiled` works it out; see there.

    Args:
        number: its coordinate.
        budget: rollouts of all training data that it may take, as many as the fit took, whoever did it.
    """
    return _ProfileSearch(problem, assessment, coordinates, budget).profile(number, minima)


class _ProfileSearch:
    """χ² and its minima with one coordinate held.

    Args:
        budget: rollouts of all training data that each number may take.
    """

    def __init__(self, problem: InverseProblem, assessment: Assessment, coordinates: Tensor, budget: float) -> None:
        assert assessment.joint is not None
        uncertainty, device = assessment.uncertainty, problem.device
        self._problem, self._assessment, self._box = problem, assessment, problem.box.to(device)
        self._root = uncertainty.unit
        joint = torch.nan_to_num(assessment.joint, posinf=0.0)
        self._joint = joint.to(device)
        # Each number may take the budget from where its profile is begun.
        self.budget, self._begun, self._since = budget, problem.simulations, problem.forward.work
        start, pulled = coordinates.clone().to(device), float(assessment.pull.abs().max()) > _PULLED
        self.best, self._least = self._minimum(start, None) if pulled else (start, self._values(start[None])[0])
        self._lowest, self.spent = float(self._least), False

    @property
    def _unit(self) -> float:
        """What makes the rise of χ² at the end of an interval `LIMIT`, also by Student's t."""
        return LIMIT / self._assessment.uncertainty.quantile**2

    def tell(self, names: Sequence[str], found: Sequence[ProfileFound]) -> None:
        """Log what it took, and whether something better was found."""
        work = self._problem.simulations - self._begun
        log.info("Profile likelihood of %s: %.0f rollouts of the training data.", ", ".join(names), work)
        if any(one.spent for one in found):
            log.warning(
                "The profile likelihood was stopped after as much work as the fit: an interval is at least as wide as "
                "it says."
            )
        gain = (float(self._least) - min(one.lowest for one in found)) * self._unit
        if gain > 1.0:
            log.warning(
                "The profile likelihood found a fit that is better by %.3g in χ²: the search ended too early, or in "
                "another minimum. Allow more iterations, or try other guesses (physical.scan, physical.starts).",
                gain,
            )

    def suspect(self, numbers: Sequence[int]) -> list[int]:
        """Those whose Laplace interval is not to be trusted."""
        points, expected, edges = [], [], []
        cut: set[int] = set()
        for i in numbers:
            for box in (self._box.lower, self._box.upper):
                # There may be something beyond what the parabola sees.
                edge = self.best.clone()
                edge[i] = box[i] if bool(torch.isfinite(box[i])) else self.best[i]
                edges.append(edge)
            for side in (-1, 1):
                reach = self._reach(i)
                point = self._clipped(self.best + side * reach * self._direction(i))
                moved = float((point[i] - self.best[i]).abs())
                if moved < reach - NEAR:
                    cut.add(i)
                points.append(point)
                expected.append(LIMIT * (moved / reach) ** 2)
        shares = torch.tensor([self._share(i) for i in numbers for _ in range(2)])
        rises = self._rises(torch.stack([*points, *edges])) * torch.cat([shares, shares]).to(self.best)
        away = torch.stack(edges) != self.best
        low = (rises[len(points) :] < LIMIT) & away.any(dim=1)
        chosen = []
        for k, i in enumerate(numbers):
            row = int((self._assessment.kept == i).nonzero()[0, 0])
            pairs = zip(rises[2 * k : 2 * k + 2].tolist(), expected[2 * k : 2 * k + 2], strict=True)
            straight = all(abs(rise - parabola) <= _CURVED * parabola for rise, parabola in pairs)
            reaches = bool(low[2 * k : 2 * k + 2].any())
            if i in cut or not straight or reaches or not bool(self._assessment.identifiability.determined[row]):
                chosen.append(i)
        return chosen

    def profile(self, i: int, minima: Sequence[Tensor]) -> ProfileFound:
        """That of coordinate i, from its edge or limit below to that above; it knows nothing of others."""
        self._since, self._lowest, self.spent = self._problem.forward.work, float(self._least), False
        points: dict[float, float] = {float(self.best[i]): 0.0}
        ends = []
        for side in (-1, 1):
            origin = self.best
            for other in minima:
                if len(other) == len(origin) and side * float(other[i] - origin[i].cpu()) > 0:
                    origin = other.to(origin)
                    points[float(origin[i])] = max(float(self._rises(origin[None])[0]) * self._share(i), 0.0)
            ends.append(self._or_edge(i, side, self._end(i, side, origin, points), points))
        rows = sorted(points.items())
        curve = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
        profile, work = Profile(float(self.best[i]), (ends[0], ends[1]), curve), self._problem.forward.work
        return ProfileFound(profile, self._lowest, self.spent, work - self._since)

    def _or_edge(self, i: int, side: int, end: float, points: dict[float, float]) -> float:
        """The edge of the range where χ² has come down again there: a profile need not rise all the way."""
        edge = float((self._box.lower, self._box.upper)[side > 0][i])
        if not math.isfinite(edge) or abs(edge - end) <= NEAR or self.spent or edge in points:
            return end
        _, rise = self._held(i, edge, self.best)
        if rise >= LIMIT:
            return end
        points[edge] = rise
        return edge

    def _end(self, i: int, side: int, origin: Tensor, points: dict[float, float]) -> float:
        """The coordinate on one side at which χ² has risen by the limit, or the edge of the range."""
        begin = float(origin[i])
        edge = float((self._box.lower, self._box.upper)[side > 0][i])
        room = abs(edge - begin)
        if room <= NEAR:
            return edge
        most = min(room, _FAR * float(self._box.width[i]))
        root = math.sqrt(LIMIT)
        first = distance = min(self._reach(i), most)
        below, above = (0.0, 0.0), (math.inf, math.inf)
        near = origin
        for _ in range(_MOST_POINTS):
            done = (self._problem.forward.work - self._since) / (len(self._problem.starts) * self._problem.steps)
            if done > max(self.budget, _LEAST_BUDGET):
                self.spent = True
                break
            target = edge if distance == room else begin + side * distance
            point, rise = self._held(i, target, near)
            points[target] = rise
            height = math.sqrt(max(rise, 0.0))
            if abs(height - root) <= _EXACT * root:
                return target
            if height < root:
                below, near = (distance, height), point
            else:
                above = distance, height
            if math.isinf(above[0]):
                if distance >= most:
                    return edge if most == room else begin + side * max(most, first)
                distance = min(distance * min(max(1.02 * root / max(height, 1e-3), 1.05), 3.0), most)
                continue
            gap = above[0] - below[0]
            if gap <= _EXACT * above[0]:
                break
            share = 0.5 if math.isinf(above[1]) else (root - below[1]) / (above[1] - below[1])
            distance = below[0] + gap * min(max(share, 0.1), 0.9)
        # Not found to the last digit: what is surely not narrower.
        return begin + side * min(above[0] if math.isfinite(above[0]) else max(below[0], first), room)

    def _reach(self, i: int) -> float:
        """Half the width of the Laplace interval of a coordinate."""
        half = self._assessment.uncertainty.quantile * float(self._joint[i, i].clamp_min(0).sqrt())
        return half if half > 0 else 0.1 * float(self._box.width[i])

    def _share(self, i: int) -> float:
        """What χ² of a coordinate counts in correlated noise: the white variance over its own."""
        if self._assessment.white is None:
            return 1.0
        row = int((self._assessment.kept == i).nonzero()[0, 0])
        ratio = float(self._assessment.white[row] / self._assessment.uncertainty.std[row])
        return ratio**2 if math.isfinite(ratio) else 1.0

    def _direction(self, i: int) -> Tensor:
        """How the others follow a coordinate on the parabola, `[q]`."""
        variance = self._joint[i, i]
        direction = self._joint[i] / variance if float(variance) > 0 else torch.zeros_like(self._joint[i])
        direction = direction.clone()
        direction[i] = 1.0
        return direction

    def _clipped(self, z: Tensor) -> Tensor:
        return torch.maximum(torch.minimum(z, self._box.upper), self._box.lower)

    def _held(self, i: int, target: float, near: Tensor) -> tuple[Tensor, float]:
        """The best point with coordinate i at the target, and the rise of χ² there; infinite where it is not finite."""
        start = self._clipped(near + (target - float(near[i])) * self._direction(i))
        start[i] = target
        point, value = self._minimum(start, i)
        rise = (float(value) - float(self._least)) * self._unit * self._share(i)
        if math.isfinite(rise):
            self._lowest = min(self._lowest, float(value))
        return point, rise if math.isfinite(rise) else math.inf

    def _minimum(self, start: Tensor, held: int | None) -> tuple[Tensor, Tensor]:
        """The minimum of χ² near a point `[q]`, with one coordinate held; the point itself where there is no other."""
        free = torch.ones(len(start), dtype=torch.bool, device=start.device)
        if held is not None:
            free[held] = False
        if not bool(free.any()):
            return start, self._values(start[None])[0]

        def placed(y: Tensor) -> Tensor:
            points = start.repeat(len(y), 1)
            points[:, free] = y
            return points

        def jacobian(y: Tensor, r: Tensor) -> Tensor:
            return torch.stack([self._jacobian(point)[:, free] for point in placed(y)])

        result = minimise_levenberg_marquardt(
            lambda y: self._residuals(placed(y)),
            start[free][None],
            self._box.lower[free],
            self._box.upper[free],
            abs_tol=_GAIN,
            max_iterations=_ITERATIONS,
            jacobian=None if self._problem.initial_states is None else jacobian,
        )
        found = placed(torch.from_numpy(result.x.copy()).to(start)[None])[0]
        return found, torch.as_tensor(result.value, dtype=start.dtype)

    def _residuals(self, z: Tensor) -> Tensor:
        """Of data and priors, `[K, M]`, in units of the noise."""
        return torch.cat([self._problem.fit(z) / self._root, self._problem.prior(z)], dim=1)

    def _jacobian(self, z: Tensor) -> Tensor:
        linear = self._problem.linearised(z, as_lost=True)
        return torch.cat([linear.dense()[1] / self._root, linear.prior()[1]])

    def _values(self, z: Tensor) -> Tensor:
        return self._residuals(z).square().sum(dim=1)

    def _rises(self, z: Tensor) -> Tensor:
        rises = (self._values(z) - self._least) * self._unit
        return torch.nan_to_num(rises, nan=math.inf)
