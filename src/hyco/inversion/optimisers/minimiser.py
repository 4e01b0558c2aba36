"""What every optimiser is: a configuration, and `minimise`, which sees nothing of the problem but its objective.

To add one, write one file, anywhere on the path, with a subclass of `OptimiserConfig` (its keys in YAML) and one of
`Minimiser` that names it as `config_class`. Inside the package it gets one line in
`hyco.inversion.optimisers.registry`; from outside `physical.method` names it as `package.module:Class`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hyco.inversion.optimisers.result import OptimisationResult

# Points `[K, q]` and their residuals `[K, M]` to Jacobians `[K, M, q]`.
Jacobian = Callable[[Tensor, Tensor], Tensor]


class OptimiserConfig(BaseModel):
    """What every optimiser has; the file of each adds its own keys.

    Attributes:
        most_unknowns: how many it can bear; None: any number.
        uses_information: whether it asks for `Objective.curvature_scale`, which is worked out beforehand then.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)
    most_unknowns: ClassVar[int | None] = None
    uses_information: ClassVar[bool] = False

    name: str = Field(description="name of the optimiser in the registry")


class Objective(Protocol):
    """A sum of squares f(z) = ‖r(z)‖² over coordinates z `[q]` in a box; batches of K points at once.

    The coordinates are scaled so that 1 is a large change. A value that is not finite means "too far, step back".
    """

    @property
    def lower(self) -> Tensor:
        """Smallest coordinates allowed, `[q]`; minus infinity where there is no bound."""

    @property
    def upper(self) -> Tensor:
        """Largest coordinates allowed, `[q]`."""

    @property
    def width(self) -> Tensor:
        """How far each may be off beforehand, `[q]`."""

    def residuals(self, z: Tensor) -> Tensor:
        """R `[K, M]` at `[K, q]`, without gradient."""

    def values_and_gradients(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """F `[K]` and ∇f `[K, q]` at `[K, q]`."""

    def first_values(self, guesses: Tensor) -> Tensor:
        """F on real data alone, `[K]`, to choose one of several guesses `[K, q]`."""

    def jacobian(self, method: Literal["auto", "differences", "reverse"]) -> Jacobian | None:
        """How r is differentiated where there is a better way than forward differences in one batch; None: there isn't.

        Args:
            method: `reverse` row by row; `auto` where that is shorter.
        """

    def curvature_scale(self) -> NDArray[np.float64] | None:
        """1/√(∂²f/∂z²) for each coordinate, `[q]`, in the Gauss-Newton approximation; None where there is none."""


C = TypeVar("C", bound=OptimiserConfig)


class Minimiser(ABC, Generic[C]):
    """An optimiser with its settings."""

    config_class: ClassVar[type[OptimiserConfig]]

    def __init__(self, config: C) -> None:
        self.config = config

    @abstractmethod
    def minimise(
        self, objective: Objective, guesses: Tensor, *, abs_tol: float, rel_tol: float, max_iterations: int
    ) -> OptimisationResult:
        """Minimise f in its box, and return the best point that was evaluated, with a status: it does not raise.

        Args:
            guesses: points to begin from, `[K, q]`, K >= 1.
            abs_tol: smallest decrease of f worth going on for.
            rel_tol: the same relative to f, where the larger of both counts; an optimiser may ignore it.
            max_iterations: iterations allowed.
        """
