"""Terms that an equation may lack: functions of its fields that are added to each step with a coefficient.

For half of its length before each physical step, and for the other half after it, the states follow
∂u/∂t = Σ c_k q_k(u), by four-stage Runge-Kutta steps: that splitting is of second order in the length. Derivatives are
differences, see `hyco.inversion.term_library`.

Source: G. Strang, SIAM J. Numer. Anal. 5 (1968) 506, doi:10.1137/0705041.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyco.fields import Layout

# The four-stage Runge-Kutta method is stable for decay of up to 2.78 per step.
_STABLE = 2.5
# Shorter steps for terms with second derivatives, at most so many.
_MOST_STEPS = 12


@dataclass(frozen=True)
class Term:
    """A term of the rate of change of one field.

    Attributes:
        field: whose rate it is in; of a vector's components where the term is one component's alone.
        formula: as the equations by formula have it, without its coefficient.
        names: what it is called where the coefficient is negative, and where it is positive.
        rate: from states `[B, C, *space]` to what it adds to their rate, likewise, with coefficient 1.
        order: of its highest derivative.
    """

    field: str
    formula: str
    names: tuple[str, str]
    rate: Callable[[Tensor], Tensor]
    order: int = 0

    def words(self, coefficient: float) -> str:
        """Such as "a drag -0.1*u"."""
        name = self.names[int(coefficient > 0)]
        formula = f"{coefficient:.3g}" if self.formula == "1" else f"{coefficient:.3g}*{self.formula}"
        return f"{name} {formula}"


class AddedTerms:
    """What terms with coefficients make of a state around a physical step; a `StepCorrection`.

    Args:
        terms: those.
        layout: of the states.
        dt: length of a step.

    Attributes:
        coefficients: `[1, m]`, or `[B, m]` with some for each state of a batch.
        steps: of half of that length.
    """

    active = True

    def __init__(self, terms: Sequence[Term], layout: Layout, dt: float) -> None:
        self.terms, self.dt = list(terms), dt
        self._stiffness = torch.tensor([_stiffness(term, layout) for term in terms], dtype=torch.float64)
        self.set(torch.zeros((1, len(self.terms)), dtype=torch.float64))

    def set(self, coefficients: Tensor) -> None:
        """Take other coefficients; steps are as short as the terms with second derivatives ask for."""
        largest = coefficients.abs().amax(dim=0).cpu().double()
        self.coefficients, self._present = coefficients, largest.nonzero().flatten().tolist()
        fastest = float((largest * self._stiffness).sum())
        self.steps = min(max(1, math.ceil(self.dt / 2 * fastest / _STABLE)), _MOST_STEPS)

    def before(self, states: Tensor) -> Tensor:
        """Half a step: `[B, C, *space]` to `[B, C, *space]`."""
        return self(states)

    def __call__(self, states: Tensor) -> Tensor:
        """The other half, which is the same."""
        if not self._present:
            return states
        c = self.coefficients.to(states)
        if 1 < len(c) < len(states):  # the batch was filled up with copies of the last
            c = torch.cat([c, c[-1:].expand(len(states) - len(c), -1)])
        terms = [(c[:, k].reshape(-1, *[1] * (states.ndim - 1)), self.terms[k].rate) for k in self._present]

        def rate(u: Tensor) -> Tensor:
            return torch.stack([(weight * of(u)).expand_as(u) for weight, of in terms]).sum(dim=0)

        h = self.dt / 2 / self.steps
        for _ in range(self.steps):
            first = rate(states)
            second = rate(states + h / 2 * first)
            third = rate(states + h / 2 * second)
            states = states + h / 6 * (first + 2 * (second + third) + rate(states + h * third))
        return states

    def state(self) -> dict[str, Tensor]:
        """The coefficients."""
        return {"coefficients": self.coefficients}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        self.set(state["coefficients"])


def _stiffness(term: Term, layout: Layout) -> float:
    """The largest rate of decay by a term of coefficient 1 [1/time]; 0 without second derivatives."""
    return sum(16 / 3 / h**2 for h in layout.grid.spacing) if term.order == 2 else 0.0
