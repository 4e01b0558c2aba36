"""The inverse problem as least squares: residuals of data, prior and predictions as functions of coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.inversion.initial_state import InitialStatePrior, InitialStates
from hyco.inversion.jacobian import central_jacobian, forward_jacobian
from hyco.inversion.targets import SyntheticTargets
from hyco.observations import Observations
from hyco.observations.operators import Operator
from hyco.parameters import Learnable, ParameterSpace
from hyco.runtime.monitoring import unwatched
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.stepper import Path, Stepper

# Numbers that one batch of rollouts may hold; more copies than fit go one chunk after the other.
_LARGEST_BATCH = 5e7


class StepCorrection(Protocol):
    """What a network adds to a state after each physical step."""

    @property
    def active(self) -> bool:
        """Whether it adds anything yet."""

    def __call__(self, states: Tensor) -> Tensor:
        """`[B, C, *space]` to `[B, C, *space]`, with gradient with respect to the states."""

    def state(self) -> dict[str, Tensor]:
        """What changes during training."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""


class InverseProblem:
    """What the physical model's coordinates z are held against.

    z `[q]` are the coordinates θ of the learnable parameters, `[p]`, and, where the initial states of the training
    simulations are not known exactly, those of the initial states, ξ. The real residuals are (H(u) - y)/σ with the
    rollout u from t = 0, the observation operator H and the noise σ per channel.

    Args:
        equation: that of the physical model; its grid may be coarser than that of the observations.
        steps: of the rollout; horizons may be shorter.
        execution, iterations: how the step is run, and how many iterations of an optimiser are to be expected, of two
            rollouts each; see `Stepper`.
        memory_budget: bytes that the gradient of a rollout may take, see `PhysicalModel`.
        prior: knowledge of unknown initial states.
        open_walls: whether these need not keep the boundary conditions of the data, see `Equation`.
        correction: of the physical step, learnt by a network; None: none.

    Attributes:
        times: numbers of the states of which anything was measured; no other ones are kept.
        targets, mask: what was measured of them, `[S, R, C, K…]`.
        known_noise: whether σ is the noise, not only a unit; see `Observations.noise_known`.
        start, lower, upper, width: of z, `[q]`; see `Coordinates`.
        work: steps computed so far for residuals and their derivatives, summed over the batch; `simulations` is the
            same in whole simulations.
    """

    def __init__(
        self,
        equation: Equation,
        observations: Observations,
        learnable: Sequence[Learnable],
        *,
        steps: int,
        execution: Path = "auto",
        iterations: int = 0,
        memory_budget: float = math.inf,
        prior: InitialStatePrior | None = None,
        open_walls: bool = False,
        correction: StepCorrection | None = None,
        device: torch.device,
    ) -> None:
        self.steps, self.device = steps, device
        self.model = PhysicalModel(equation, observations.layout, execution, 2 * iterations * steps)
        self.space = ParameterSpace(learnable, equation.layout.grid)
        known = equation.parameter_tensors(torch.float64, device)
        self.fixed = {k: v for k, v in known.items() if k not in self.space.names}
        self.memory_budget = memory_budget
        self.known_noise = observations.noise_known
        self.sigma = observations.unit.to(device)
        self.observations = observations
        train = observations.train
        self.starts = observations.initial_states[train].to(device)
        self.initial_states = None
        if not observations.initial_known:
            layout = observations.layout
            self.initial_states = InitialStates(self.starts, self.sigma, layout, prior, open_walls=open_walls)
        self.first = 1 if self.initial_states is None else 0
        self._operators: dict[int, Operator] = {}
        measured = observations.mask[train, : steps + 1].flatten(2).any(dim=2).any(dim=0)
        self.times = [n for n in range(self.first, steps + 1) if measured[n]]
        self.targets = observations.values[train][:, self.times].to(device)
        self.mask = observations.mask[train][:, self.times].to(device)
        valid = observations.layout.valid
        self.valid = None if bool(valid.all()) else valid.to(device)
        self.unit = observations.unit_of_entries.to(device)
        extra = 0 if self.initial_states is None else len(self.initial_states)
        nothing, infinite = torch.zeros(extra, dtype=torch.float64), torch.full((extra,), math.inf, dtype=torch.float64)
        more = nothing if self.initial_states is None else self.initial_states.initial.cpu()
        self.start = torch.cat([self.space.initial, more])
        self.lower = torch.cat([self.space.lower, -infinite])
        self.upper = torch.cat([self.space.upper, infinite])
        self.width = torch.cat([self.space.width, nothing + 3.92])
        self.work = 0
        self.correction = correction
        self.before_evaluation: Callable[[], None] = unwatched

    @property
    def stepper(self) -> Stepper:
        """What runs the equation's step, on the equation's own grid."""
        return self.model.stepper

    @property
    def parameters(self) -> int:
        """Number p of coordinates of the parameters."""
        return len(self.space)

    @property
    def simulations(self) -> float:
        """Work so far, in forward simulations of all training data."""
        return self.work / (len(self.starts) * self.steps)

    def data(self, steps: int) -> tuple[Tensor, Tensor]:
        """Targets and mask up to a horizon."""
        last = len(self.read(steps))
        return self.targets[:, :last], self.mask[:, :last]

    def read(self, steps: int) -> list[int]:
        """The times of the data up to a horizon."""
        return [n for n in self.times if n <= steps]

    def operator(self, steps: int) -> Operator:
        """H for the training simulations at the times of the data up to a horizon."""
        if steps not in self._operators:
            train, times = self.observations.train, torch.tensor(self.read(steps), dtype=torch.long)
            found = self.observations.operator(train, self.first, steps)
            self._operators[steps] = found.select(torch.arange(len(train))[:, None], times - self.first).to(self.device)
        return self._operators[steps]

    def count(self, steps: int) -> int:
        """Number of real residuals up to a horizon."""
        return int(self.data(steps)[1].sum())

    def noisy(self, steps: int | None = None) -> Tensor | None:
        """Which real residuals tell how large the noise is, a mask `[N]`; None: all."""
        channels = self.observations.tells_noise_of_entries
        if bool(channels.all()):
            return None
        mask = self.data(steps or self.steps)[1]
        return channels.to(mask.device).expand(mask.shape)[mask]

    def values(self, theta: Tensor) -> dict[str, Tensor]:
        """All parameters of the equation as the stepper takes them, for coordinates `[p]` or `[B, p]`."""
        return {**self.space.for_stepper(theta), **self.fixed}

    def roll_out(
        self, starts: Tensor, theta: Tensor, steps: int, read: Sequence[int] | None = None, *, corrected: bool = False
    ) -> Tensor:
        """Rollout `[B, steps, C, *space]`, with gradient; or of its states only those with the numbers `read`.

        Args:
            theta: `[p]`, or `[B, p]` with values for each start.
            corrected: apply `correction` after each step, as the residuals of real data do.
        """
        self.work += starts.shape[0] * steps
        correction = self.correction if corrected and self.correction is not None and self.correction.active else None
        return self.model.rollout(
            starts, self.values(theta), steps, memory_budget=self.memory_budget, read=read, correction=correction
        )

    def _roll_out_copies(
        self, starts: Tensor, theta: Tensor, steps: int, count: int, read: Sequence[int] | None = None
    ) -> Tensor:
        """The same for a number of copies that changes from call to call: filled up, so that few graphs are compiled.

        Args:
            count: starts of one copy.
        """
        size = len(starts)
        fill = (_filled(size // count) * count - size) if self.stepper.path == "compiled" else 0
        if fill == 0:
            return self.roll_out(starts, theta, steps, read, corrected=True)
        starts = torch.cat([starts, starts[-1:].expand(fill, *starts.shape[1:])])
        theta = torch.cat([theta, theta[-1:].expand(fill, -1)])
        states = self.roll_out(starts, theta, steps, read, corrected=True)
        self.work -= fill * steps
        return states[:size]

    def initial(self, z: Tensor) -> Tensor:
        """Initial states of the training simulations for coordinates `[K, q]`, `[K, S, C, *space]`."""
        if self.initial_states is None:
            return self.starts.expand(z.shape[0], *self.starts.shape)
        return self.initial_states.states(z[:, self.parameters :])

    def real(self, z: Tensor, steps: int | None = None) -> Tensor:
        """Whitened residuals of the real data `[K, N]` for `[K, q]`, with gradient where z has one."""
        steps = steps or self.steps
        size = self.starts.numel() * (len(self.read(steps)) + 1)
        chunks = [self._real(part, steps) for part in torch.split(z, max(1, int(_LARGEST_BATCH / size)))]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def _real(self, z: Tensor, steps: int) -> Tensor:
        starts = self.initial(z)
        count = starts.shape[1]
        flat, read = starts.flatten(0, 1), [n for n in self.read(steps) if n > 0]
        if len(z) == 1:  # then no start needs parameters of its own
            states = self.roll_out(flat, z[0, : self.parameters], steps, read, corrected=True)
        else:
            theta = z[:, : self.parameters].repeat_interleave(count, dim=0)
            states = self._roll_out_copies(flat, theta, steps, count, read)
        return self._whitened(flat, states, steps, z.shape[0])

    def _whitened(self, starts: Tensor, states: Tensor, steps: int, copies: int) -> Tensor:
        """(H(u) - y)/σ where observed, `[K, N]`, of the states `[K·S, R, …]` at the times of the data but t = 0."""
        if self.times[:1] == [0]:
            states = torch.cat([starts[:, None], states], dim=1)
        targets, mask = self.data(steps)
        found = self.operator(steps)(states)
        residuals = (found.reshape(copies, -1, *found.shape[1:]) - targets) / self.unit
        return residuals[:, mask]

    def prior(self, z: Tensor) -> Tensor:
        """Residuals of all priors and regularisations `[K, M]` for `[K, q]`."""
        own = self.space.prior_residuals(z[:, : self.parameters])
        if self.initial_states is None:
            return own
        return torch.cat([own, self.initial_states.prior_residuals(z[:, self.parameters :])], dim=1)

    def objective(
        self, z: Tensor, steps: int | None = None, alpha: float = 1.0, interaction: SyntheticTargets | None = None
    ) -> Tensor:
        """Residuals `[K, M]` whose squares sum to the loss.

        The loss is α · mean of real² + (1 - α) · mean of other², with the residuals of predictions (u - v)/σ; the
        squares of the prior's residuals count as α/N each, so that the minimum is the maximum a posteriori. A group of
        weight 0 is not computed.
        """
        self.before_evaluation()
        steps = steps or self.steps
        if interaction is None:
            weight = 1 / math.sqrt(self.count(steps))
            return torch.cat([self.real(z, steps), self.prior(z)], dim=1) * weight
        size = interaction.targets.numel()
        chunks = [
            self._weighted(part, steps, alpha, interaction)
            for part in torch.split(z, max(1, int(_LARGEST_BATCH / size)))
        ]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def _weighted(self, z: Tensor, steps: int, alpha: float, interaction: SyntheticTargets) -> Tensor:
        """The residuals of `objective` with predictions."""
        copies, count = z.shape[0], len(interaction.starts)
        length = interaction.targets.shape[1]
        if copies == 1:  # then no start needs parameters of its own
            states = self.roll_out(interaction.starts, z[0, : self.parameters], length)[None]
        else:
            starts = interaction.starts.repeat(copies, *[1] * (interaction.starts.ndim - 1))
            theta = z[:, : self.parameters].repeat_interleave(count, dim=0)
            flat = self._roll_out_copies(starts, theta, length, count)
            states = flat.reshape(copies, count, *flat.shape[1:])
        parts = []
        if alpha > 0:
            if self.initial_states is None and length == steps:
                own, begun = states[:, interaction.initial], interaction.starts[interaction.initial]
                own = own[:, :, [n - 1 for n in self.read(steps)]]
                real = self._whitened(begun, own.flatten(0, 1), steps, copies)
            else:
                real = self.real(z, steps)
            parts.append(torch.cat([real, self.prior(z)], dim=1) * math.sqrt(alpha / self.count(steps)))
        other = (states - interaction.targets) / self.sigma
        counted = interaction.entries
        if counted is None and self.valid is not None:
            counted = self.valid.expand(interaction.targets.shape)
        other = other.flatten(1) if counted is None else other[:, counted]
        parts.append(other * math.sqrt((1 - alpha) / other.shape[1]))
        return torch.cat(parts, dim=1)

    def linearised(self, z: Tensor, steps: int | None = None) -> tuple[Tensor, Tensor]:
        """The real residuals `[N]` at `[q]` and their Jacobian `[N, q]`, by differences in one batch.

        One-sided ones where σ is the noise; central ones where it is only a unit that the noise is far below.

        A coordinate of the initial states moves one simulation only, so that one copy of all simulations serves one
        coordinate of each.
        """
        r, left = self.linearised_parameters(z, steps)
        if self.initial_states is None:
            return r, left
        return r, torch.cat([left, self._initial_jacobian(z, steps or self.steps)], dim=1)

    def linearised_parameters(
        self, z: Tensor, steps: int | None = None, which: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The same for the columns of the parameters alone, `[N, p]`, or of the coordinates `which` `[k]`, `[N, k]`."""
        which = torch.arange(self.parameters) if which is None else which

        def of_some(values: Tensor) -> Tensor:
            points = z.repeat(len(values), 1)
            points[:, which] = values
            return self.real(points, steps)

        lower, upper = self.lower.to(z)[which], self.upper.to(z)[which]
        if not self.known_noise:
            return central_jacobian(of_some, z[which], lower, upper)
        residual, slopes = forward_jacobian(of_some, z[None, which], None, lower, upper, 1e-6)
        return residual[0], slopes[0]

    def _initial_jacobian(self, z: Tensor, steps: int) -> Tensor:
        """Columns of the initial states' coordinates, `[N, S·n]`, by central differences."""
        assert self.initial_states is not None
        n, count, h = self.initial_states.per_simulation, self.initial_states.simulations, 1e-3
        together = torch.eye(n, dtype=z.dtype, device=z.device).repeat(1, count)
        moved = torch.cat([torch.zeros(n, self.parameters, dtype=z.dtype, device=z.device), together], dim=1)
        slopes = ((self.real(z + h * moved, steps) - self.real(z - h * moved, steps)) / (2 * h)).T
        owner = self.data(steps)[1].nonzero()[:, 0]
        columns = slopes.new_zeros((slopes.shape[0], count, n))
        rows = torch.arange(len(owner), device=z.device)
        columns[rows, owner] = slopes
        return columns.flatten(1)

    def prior_jacobian(self, z: Tensor) -> Tensor:
        """Jacobian `[M, q]` of the prior's residuals at `[q]`."""
        found: Tensor = torch.func.jacfwd(lambda point: self.prior(point[None])[0])(z)
        return found

    def objective_jacobian(self, z: Tensor, steps: int, alpha: float, interaction: SyntheticTargets | None) -> Tensor:
        """Jacobian `[M, q]` of `objective` at `[q]`, made of its parts: for unknown initial states."""
        weight = math.sqrt((alpha if interaction is not None else 1.0) / self.count(steps))
        parts = []
        if interaction is None or alpha > 0:
            parts.append(weight * torch.cat([self.linearised(z, steps)[1], self.prior_jacobian(z)]))
        if interaction is not None:
            p = self.parameters

            def other(theta: Tensor) -> Tensor:
                rest = z[None, p:].expand(theta.shape[0], -1)
                return self.objective(torch.cat([theta, rest], dim=1), steps, 0.0, interaction)

            _, slopes = central_jacobian(other, z[:p], self.space.lower.to(z), self.space.upper.to(z))
            columns = math.sqrt(1 - alpha) * slopes
            parts.append(torch.cat([columns, columns.new_zeros((len(columns), len(z) - p))], dim=1))
        return torch.cat(parts)


def _filled(copies: int) -> int:
    """The next number that is a power of two, or three halves of one; up to four, the number itself."""
    if copies <= 4:
        return copies
    power = 1 << (copies - 1).bit_length()
    return 3 * power // 4 if copies <= 3 * power // 4 else power
