"""What predictions need of a finished inversion beside its estimates: initial states, and draws for error bars.

Near the optimum the unknowns z, coordinates of parameters and of unknown initial states together, are normally
distributed with the covariance of the least-squares fit (the Laplace approximation). Draws of z keep what goes
together: rollouts of them have the spread that a prediction has.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessor import Assessor
from hyco.inversion.inverse_problem import InverseProblem
from hyco.runtime.storage import prefixed, unprefixed

log = logging.getLogger(__name__)

# Draws that are kept, in blocks: of few unknowns the mean and the covariance of each block are exact.
DRAWS, BLOCK = 100, 50
# Numbers that the drawn initial states may have; where a state is so large that fewer than a block fit, there are none.
_MOST_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Posterior:
    """Initial states of the training simulations, and draws of all unknowns.

    Attributes:
        initial_states: `[S, C, *space]`, the estimate where they are unknown, else as they are known.
        initial_std: their standard deviation `[S, C, *space]`, infinite where nothing tells; None where they are known,
            or too many to say.
        parameters: draws of the learnt parameters by name, `[K]` or `[K, *space]`; empty where they have no covariance.
        initial_draws: initial states of the same draws, `[K, S, C, *space]`; None where they are known, or were not
            drawn.
    """

    initial_states: Tensor
    initial_std: Tensor | None = None
    parameters: dict[str, Tensor] = field(default_factory=dict)
    initial_draws: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for files."""
        named = {"initial_states": self.initial_states, **prefixed("draws/parameters", self.parameters)}
        optional = {"initial_states_std": self.initial_std, "draws/initial_states": self.initial_draws}
        return named | {name: value for name, value in optional.items() if value is not None}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Posterior:
        """The inverse of `tensors`; further ones are ignored."""
        return cls(
            tensors["initial_states"],
            tensors.get("initial_states_std"),
            unprefixed("draws/parameters", tensors),
            tensors.get("draws/initial_states"),
        )


@torch.no_grad()
def posterior(problem: InverseProblem, assessor: Assessor, coordinates: Tensor) -> Posterior:
    """The posterior at an optimum whose error bars are worked out.

    Args:
        problem: the inverse problem.
        assessor: of its error bars.
        coordinates: the optimum, `[q]`.
    """
    p, space = problem.parameter_count, problem.forward.space
    states = _initial(problem, coordinates[None])[0]
    covariance = assessor.covariance(coordinates)
    joint = None if problem.initial_states is None else assessor.joint_covariance(coordinates)
    std = None if joint is None else _initial_std(problem, coordinates, joint)
    own = joint is not None and DRAWS * states.numel() <= _MOST_NUMBERS and bool(torch.isfinite(joint).all())
    if problem.initial_states is not None and not own:
        log.info("Unknown initial states were not drawn: error bars of predictions are those of the parameters alone.")
    spread = joint if own else covariance
    if spread is None:
        return Posterior(states, std)
    z = coordinates[: len(spread)] + _normal(spread)
    theta = z[:, :p].clamp(space.lower, space.upper)
    values = {name: value.detach().clone() for name, value in space.to_values(theta).items()}
    return Posterior(states, std, values, _initial(problem, torch.cat([theta, z[:, p:]], dim=1)) if own else None)


def described(observations: Any, *, estimated: bool) -> dict[str, Any]:
    """What initial states in a file are of: the metadata beside them.

    Args:
        observations: the `Observations` that they belong to.
        estimated: whether they were unknown.
    """
    return {
        "kind": "initial_states",
        "estimated": estimated,
        "layout": observations.layout.to_dict(),
        "dt": observations.dt,
        "steps": observations.steps,
        "train": list(observations.train),
    }


def _initial(problem: InverseProblem, z: Tensor) -> Tensor:
    return problem.initial(z.to(problem.device)).cpu().clone()


def _initial_std(problem: InverseProblem, coordinates: Tensor, joint: Tensor) -> Tensor:
    """Standard deviations `[S, C, *space]` of initial states, which are affine in their coordinates."""
    p = problem.parameter_count
    at = _initial(problem, coordinates[None])[0]
    of_states = joint[p:, p:]
    unknown = ~torch.isfinite(of_states.diagonal())
    root = _root(torch.where(unknown[:, None] | unknown, 0.0, of_states)).T

    def squares(moves: Tensor) -> Tensor:
        total = torch.zeros_like(at)
        for part in torch.split(moves, max(1, int(_MOST_NUMBERS / at.numel()))) if len(moves) else ():
            points = coordinates.repeat(len(part), 1)
            points[:, p:] += part
            total += (_initial(problem, points) - at).square().sum(dim=0)
        return total

    untold = squares(torch.eye(len(unknown), dtype=at.dtype)[unknown])
    return torch.where(untold > 0, torch.inf, squares(root).sqrt())


def _normal(covariance: Tensor) -> Tensor:
    """Draws `[K, n]` of a normal distribution with mean zero."""
    generator, n = torch.Generator().manual_seed(0), len(covariance)
    blocks = [torch.randn((BLOCK, n), generator=generator, dtype=covariance.dtype) for _ in range(DRAWS // BLOCK)]
    if n <= BLOCK // 2:
        blocks = [_exact(block) for block in blocks]
    return torch.cat(blocks) @ _root(covariance).T


def _exact(block: Tensor) -> Tensor:
    """Random numbers `[K, n]` shifted and mixed, so that their mean is zero and their covariance one."""
    directions, _ = torch.linalg.qr(block - block.mean(dim=0))
    mixed: Tensor = directions * (len(block) - 1) ** 0.5
    return mixed


def _root(covariance: Tensor) -> Tensor:
    """R `[n, n]` with R Rᵀ = the covariance; rounding errors below zero are cut off."""
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp_min(0).sqrt()
    return root
