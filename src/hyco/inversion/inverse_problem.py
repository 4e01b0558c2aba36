"""The inverse problem as least squares: residuals of data, prior and predictions as functions of coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.inversion.config import InversionConfig
from hyco.inversion.forward_model import ForwardModel, StepCorrection
from hyco.inversion.initial_prior import InitialStatePrior, first_guess, with_data
from hyco.inversion.initial_state import InitialStates
from hyco.inversion.jacobian import central_jacobian
from hyco.inversion.linearisation import Box, Linearisation, Residuals
from hyco.inversion.loss import Huber
from hyco.inversion.measured_residuals import MeasuredResiduals
from hyco.inversion.prior_doubt import other_priors
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import Observations
from hyco.runtime.monitoring import unwatched

# Numbers that one batch of rollouts may hold; more copies than fit go one chunk after the other.
_LARGEST_BATCH = 5e7


class InverseProblem:
    """The residuals of the physical model as functions of its coordinates z.

    z `[q]` are the coordinates θ of the learnable parameters, `[p]`, and, where the initial states of the training
    simulations are not known exactly, those of the initial states, ξ. The real residuals are (H(u) - y)/σ with the
    rollout u from t = 0, the observation operator H and the noise σ of each measurement, or of its channel.

    Args:
        equation: that of the physical model; its grid may be coarser than that of the observations.
        steps: of the rollout; horizons may be shorter.
        iterations: of an optimiser, as many as are to be expected, of two rollouts each; see `Stepper`.
        open_walls: whether unknown initial states need not keep the boundary conditions of the data, see `Equation`.
        correction: of the physical step, learnt by a network; None: none.

    Attributes:
        forward: from parameters to states.
        data: what was measured.
        initial_states: the unknown initial states; None where they are known.
        starts: initial states of the training simulations as measured, or exact, `[S, C, *space]`.
        box: start, bounds and width of z.
        loss: of the real residuals.
    """

    def __init__(
        self,
        equation: Equation,
        observations: Observations,
        config: InversionConfig,
        *,
        steps: int,
        iterations: int = 0,
        open_walls: bool = False,
        correction: StepCorrection | None = None,
        device: torch.device,
    ) -> None:
        self.steps, self.device, self.loss = steps, device, config.loss
        layout = observations.layout
        self.forward = ForwardModel(
            equation,
            layout,
            config.learnable_parameters,
            execution=config.execution,
            work=2 * iterations * steps,
            memory_budget=1e6 * config.memory_budget,
            correction=correction,
            device=device,
        )
        first = 1 if observations.initial_known else 0
        self.data = MeasuredResiduals(observations, steps=steps, first=first, device=device)
        self.starts = observations.initial_states[observations.train].to(device)
        self.initial_states = None
        self._other_priors: Tensor | None = None
        if not observations.initial_known:
            prior = config.initial_state
            if prior is None and observations.initial_state == "observed":
                prior = InitialStatePrior()
            guess = self.starts
            told = prior
            if prior is not None:
                prior = with_data(prior, observations)
                guess = first_guess(prior, observations).to(device)
            found = told is not None and told.length_scale == "auto"
            self.initial_states = InitialStates(
                guess, self.data.sigma, layout, prior, open_walls=open_walls, found=found
            )
            if told is not None:
                self._other_priors = other_priors(
                    self.initial_states, length=found, amplitude=told.own_amplitude == "auto"
                )
        self.box = _box(self.forward, self.initial_states)
        valid = layout.valid
        self._valid = None if bool(valid.all()) else valid.to(device)
        self._before_evaluation: Callable[[], None] = unwatched
        self._kept: dict[Any, Linearisation] | None = None

    def watch(self, call: Callable[[], None]) -> None:
        """Call this before each evaluation of the objective."""
        self._before_evaluation = call

    @property
    def parameter_count(self) -> int:
        """Number p of coordinates of the parameters."""
        return len(self.forward.space)

    @property
    def simulations(self) -> float:
        """Work so far, in forward simulations of all training data."""
        return self.forward.work / (len(self.starts) * self.steps)

    def copies(self, steps: int) -> int:
        """How many coordinates one batch of rollouts may be for."""
        return max(1, int(_LARGEST_BATCH / (self.starts.numel() * (len(self.data.needed(steps)) + 1))))

    def initial(self, z: Tensor) -> Tensor:
        """Initial states of the training simulations for coordinates `[K, q]`, `[K, S, C, *space]`."""
        if self.initial_states is None:
            return self.starts.expand(z.shape[0], *self.starts.shape)
        return self.initial_states.states(z[:, self.parameter_count :])

    def real(self, z: Tensor, steps: int | None = None) -> Tensor:
        """Whitened residuals of the real data `[K, N]` for `[K, q]`, with gradient where z has one."""
        steps = steps or self.steps
        chunks = [self._real(part, steps) for part in torch.split(z, self.copies(steps))]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def _real(self, z: Tensor, steps: int) -> Tensor:
        starts = self.initial(z)
        count = starts.shape[1]
        flat, read = starts.flatten(0, 1), [n for n in self.data.needed(steps) if n > 0]
        if len(z) == 1:  # then no start needs parameters of its own
            states = self.forward.rollout(flat, z[0, : self.parameter_count], steps, read)
        else:
            theta = z[:, : self.parameter_count].repeat_interleave(count, dim=0)
            states = self.forward.rollout_copies(flat, theta, steps, count, read)
        return self.data.whitened(flat, states, steps, z.shape[0])

    def fit(self, z: Tensor, steps: int | None = None) -> Tensor:
        """The same as the loss has them, `[K, N]`: their squares sum to twice the loss."""
        return self._as_lost(self.real(z, steps))

    def _as_lost(self, real: Tensor) -> Tensor:
        return self.loss.transformed(real) if isinstance(self.loss, Huber) else real

    def prior(self, z: Tensor) -> Tensor:
        """Residuals of all priors and regularisations `[K, M]` for `[K, q]`."""
        own = self.forward.space.prior_residuals(z[:, : self.parameter_count])
        if self.initial_states is None:
            return own
        return torch.cat([own, self.initial_states.prior_residuals(z[:, self.parameter_count :])], dim=1)

    def objective(
        self, z: Tensor, steps: int | None = None, alpha: float = 1.0, synthetic: SyntheticTargets | None = None
    ) -> Tensor:
        """Residuals `[K, M]` whose squares sum to the loss.

        The loss is α · mean of real² + (1 - α) · mean of other², with the residuals of predictions (u - v)/σ; a robust
        loss takes 2ρ(real) for real². The squares of the prior's residuals count as α/N each, so that the minimum is
        the maximum a posteriori. A group of weight 0 is not computed.
        """
        self._before_evaluation()
        steps = steps or self.steps
        if synthetic is None:
            weight = 1 / math.sqrt(self.data.count(steps))
            return torch.cat([self.fit(z, steps), self.prior(z)], dim=1) * weight
        size = synthetic.targets.numel()
        chunks = [
            self._weighted(part, steps, alpha, synthetic) for part in torch.split(z, max(1, int(_LARGEST_BATCH / size)))
        ]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def _weighted(self, z: Tensor, steps: int, alpha: float, synthetic: SyntheticTargets) -> Tensor:
        """The residuals of `objective` with predictions."""
        copies, count = z.shape[0], len(synthetic.starts)
        length = synthetic.targets.shape[1]
        if copies == 1:  # then no start needs parameters of its own
            theta = z[0, : self.parameter_count]
            states = self.forward.rollout(synthetic.starts, theta, length, time=synthetic.time)[None]
        else:
            starts = synthetic.starts.repeat(copies, *[1] * (synthetic.starts.ndim - 1))
            theta = z[:, : self.parameter_count].repeat_interleave(count, dim=0)
            flat = self.forward.rollout_copies(starts, theta, length, count, time=synthetic.time_of_copies(copies))
            states = flat.reshape(copies, count, *flat.shape[1:])
        parts = []
        if alpha > 0:
            if self.initial_states is None and length == steps:
                own, begun = states[:, synthetic.initial], synthetic.starts[synthetic.initial]
                own = own[:, :, [n - 1 for n in self.data.needed(steps) if n > 0]]
                begun = begun.expand(copies, *begun.shape).flatten(0, 1)
                real = self._as_lost(self.data.whitened(begun, own.flatten(0, 1), steps, copies))
            else:
                real = self.fit(z, steps)
            parts.append(torch.cat([real, self.prior(z)], dim=1) * math.sqrt(alpha / self.data.count(steps)))
        other = (states - synthetic.targets) / self.data.sigma
        other = other if self.data.scale == 1 else other / self.data.scale
        counted = synthetic.entries
        if counted is None and self._valid is not None:
            counted = self._valid.expand(synthetic.targets.shape)
        other = other.flatten(1) if counted is None else other[:, counted]
        parts.append(other * math.sqrt((1 - alpha) / other.shape[1]))
        return torch.cat(parts, dim=1)

    def objective_jacobian(self, z: Tensor, steps: int, alpha: float, synthetic: SyntheticTargets | None) -> Tensor:
        """Jacobian `[M, q]` of `objective` at `[q]`, made of its parts: for unknown initial states."""
        weight = math.sqrt((alpha if synthetic is not None else 1.0) / self.data.count(steps))
        parts = []
        if synthetic is None or alpha > 0:
            linear = self.linearised(z, steps, as_lost=True)
            parts.append(weight * torch.cat([linear.dense()[1], linear.prior()[1]]))
        if synthetic is not None:
            p = self.parameter_count

            def other(theta: Tensor) -> Tensor:
                rest = z[None, p:].expand(theta.shape[0], -1)
                return self.objective(torch.cat([theta, rest], dim=1), steps, 0.0, synthetic)

            bounds = self.forward.space
            _, slopes = central_jacobian(other, z[:p], bounds.lower.to(z), bounds.upper.to(z))
            columns = math.sqrt(1 - alpha) * slopes
            parts.append(torch.cat([columns, columns.new_zeros((len(columns), len(z) - p))], dim=1))
        return torch.cat(parts)

    @contextmanager
    def linearised_once(self) -> Iterator[None]:
        """Within it, the problem near a point is linearised once, and its Jacobian kept."""
        self._kept = {}
        try:
            yield
        finally:
            self._kept = None

    @contextmanager
    def corrected_by(self, correction: StepCorrection) -> Iterator[None]:
        """Within it, each step has this correction in place of any other; no Jacobian is kept of that."""
        before, kept = self.forward.correction, self._kept
        self.forward.correction, self._kept = correction, None
        try:
            yield
        finally:
            self.forward.correction, self._kept = before, kept

    def linearised(self, z: Tensor, steps: int | None = None, *, as_lost: bool = False) -> Linearisation:
        """The problem near `[q]`, on real data and prior alone.

        Args:
            as_lost: with the residuals as the loss has them, see `fit`.
        """
        steps, z = steps or self.steps, z.to(self.device)
        key = () if self._kept is None else (steps, as_lost, self.data.scale, *z.tolist())
        if self._kept and key in self._kept:
            return self._kept[key]
        residuals = self.fit if as_lost else self.real

        def real(points: Tensor) -> Tensor:
            return residuals(points, steps)

        linear = Linearisation(
            z,
            self.box,
            self.parameter_count,
            real=real,
            prior=self.prior,
            known_noise=self.data.known_noise,
            noisy=self.data.noisy(steps),
            initial_columns=None
            if self.initial_states is None
            else lambda point: _initial_columns(self, point, steps, real),
            other_priors=self._other_priors,
            loss=self.loss,
        )
        return linear if self._kept is None else self._kept.setdefault(key, linear)


def _initial_columns(problem: InverseProblem, z: Tensor, steps: int, residuals: Residuals) -> Tensor:
    """Columns of the initial states' coordinates, `[N, S·n]`, by central differences.

    A coordinate moves one simulation only, so that one copy of all simulations serves one coordinate of each.
    """
    states, p = problem.initial_states, problem.parameter_count
    assert states is not None
    n, count, h = states.per_simulation, states.simulations, 1e-3
    together = torch.eye(n, dtype=z.dtype, device=z.device).repeat(1, count)
    moved = torch.cat([torch.zeros(n, p, dtype=z.dtype, device=z.device), together], dim=1)
    slopes = ((residuals(z + h * moved) - residuals(z - h * moved)) / (2 * h)).T
    owner = problem.data.up_to(steps)[1].nonzero()[:, 0]
    columns = slopes.new_zeros((slopes.shape[0], count, n))
    rows = torch.arange(len(owner), device=z.device)
    columns[rows, owner] = slopes
    return columns.flatten(1)


def _box(forward: ForwardModel, initial_states: InitialStates | None) -> Box:
    """Start, bounds and width of the parameters' coordinates and of those of unknown initial states."""
    space, extra = forward.space, 0 if initial_states is None else len(initial_states)
    nothing, infinite = torch.zeros(extra, dtype=torch.float64), torch.full((extra,), math.inf, dtype=torch.float64)
    more = nothing if initial_states is None else initial_states.initial.cpu()
    return Box(
        start=torch.cat([space.initial, more]),
        lower=torch.cat([space.lower, -infinite]),
        upper=torch.cat([space.upper, infinite]),
        width=torch.cat([space.width, nothing + 3.92]),
    )
