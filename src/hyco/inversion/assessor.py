"""Error bars of coordinates that move: computed where they are asked for, and kept as long as they hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.assessment import LARGEST_DENSE, Assessment, assess
from hyco.inversion.correlated_noise import widened
from hyco.inversion.estimate import NumberEstimate
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.limits import edge_at, edges_of_numbers, warn_of_fields_on_limits
from hyco.inversion.noise_of_walls import spread_by_walls
from hyco.inversion.number_estimates import alternative_minima, number_estimates
from hyco.inversion.profile_curve import Profile
from hyco.inversion.residual_places import Places
from hyco.inversion.structure import ResidualStructure
from hyco.inversion.wall_places import OtherWalls, other_walls
from hyco.runtime.storage import Bundle, prefixed, unprefixed

log = logging.getLogger(__name__)

# The covariance is computed at once for up to so many unknowns, else at the end of the training.
_ASSESSED_ALWAYS = 64
# What is said where the noise is not known and nothing tells it.
NO_FREEDOM = (
    "%s: there are as many unknowns as measurements, so that the residuals say nothing of the noise, and nobody else "
    "does: there are no standard deviations and no intervals. Measure more, learn less, or say the noise."
)


class Assessor:
    """How sure the current coordinates of a problem are.

    Attributes:
        current: the assessment of the coordinates that were last asked for; None where there is none (yet).
        shift: what the error of the grid has moved the parameters' coordinates by, `[p]`; None: not worked out (yet).
        profiles: profile likelihoods of numbers at the current coordinates, by full name.
        spread: standard deviations of the parameters' coordinates by the noise of walls, `[p]`; None: there is none.
        walls: the fit with walls elsewhere; None: not looked at (yet), or not to be.
        structure: how the residuals differ from white noise; None likewise. Where they are correlated, `current` is
            that of correlated noise.
    """

    def __init__(self, problem: InverseProblem) -> None:
        self._problem, self._space = problem, problem.forward.space
        self.current: Assessment | None = None
        self.shift: Tensor | None = None
        self.spread: Tensor | None = None
        self.walls: OtherWalls | None = None
        self.profiles: dict[str, Profile] = {}
        self._edges = edges_of_numbers(self._space, problem.forward.model.equation.config)
        self.structure: ResidualStructure | None = None
        # The last ones: metrics and checkpoint of an epoch ask for the same.
        self._numbers: tuple[Assessment | None, Tensor, dict[str, NumberEstimate]] | None = None

    def forget(self) -> None:
        """The coordinates, or the problem, have changed."""
        self.current, self.shift, self.structure, self.walls, self.profiles = None, None, None, None, {}
        self.spread = None

    def take_shift(self, shift: Tensor | None) -> None:
        """What the error of the grid has moved the current coordinates by."""
        self.shift, self._numbers = shift, None

    def take_spread(self, spread: Tensor | None) -> None:
        """The standard deviations of the current coordinates by the noise of walls."""
        self.spread, self._numbers = spread, None

    def look_at_walls(self, coordinates: Tensor, *, elsewhere: bool) -> None:
        """What noise on them does to the current coordinates, and, if asked for, what other places of them would."""
        if self.current is None or not self.current.uncertainty.noise_told:
            return
        self.take_spread(spread_by_walls(self._problem, coordinates, self.current.uncertainty))
        if elsewhere:
            self.walls = other_walls(self._problem, coordinates, self.current.uncertainty)

    def take_profiles(self, profiles: Mapping[str, Profile]) -> None:
        """The profile likelihoods of numbers at the current coordinates, by full name."""
        self.profiles, self._numbers = dict(profiles), None

    def take_structure(self, structure: ResidualStructure | None, coordinates: Tensor) -> None:
        """How the residuals at the current coordinates, which are assessed, differ from white noise."""
        self.structure, self._numbers = structure, None
        if structure is None or structure.noise is None or self.current is None:
            return
        problem = self._problem
        linear, places = problem.linearised(coordinates), Places.of(problem.data, problem.steps)
        self.current = widened(self.current, linear, places, structure.noise, self._space)

    def state(self) -> Bundle:
        """What has been worked out at the current coordinates, beside what `assess` makes again to the same bits."""
        found = {"discretisation": self.shift, "spread": self.spread}
        tensors = {key: value for key, value in found.items() if value is not None}
        for label, profile in self.profiles.items():
            tensors |= prefixed(f"profile/{label}", profile.tensors())
        words = {"structure": self.structure, "walls": self.walls}
        return Bundle(tensors, {key: None if value is None else value.to_json() for key, value in words.items()})

    def load(self, state: Bundle, coordinates: Tensor) -> None:
        """Go on from a `state`, of coordinates that have been assessed again."""
        if (structure := state.metadata.get("structure")) is not None:
            self.take_structure(ResidualStructure.from_json(structure), coordinates)
        self.take_shift(state.tensors.get("discretisation"))
        self.take_spread(state.tensors.get("spread"))
        if (walls := state.metadata.get("walls")) is not None:
            self.walls = OtherWalls(**walls)
        labels = [
            key[len("profile/") : -len("/range")]
            for key in state.tensors
            if key.startswith("profile/") and key.endswith("/range")
        ]
        self.take_profiles({label: Profile.of(unprefixed(f"profile/{label}", state.tensors)) for label in labels})

    def assess(self, coordinates: Tensor) -> None:
        """Bring the covariance up to date, of numbers alone where fields have too many cells.

        There is none as long as a weight is to be chosen.
        """
        if self.current is not None or self._space.undecided:
            return
        if self._problem.parameter_count > LARGEST_DENSE:
            log.warning(
                "%d coordinates of parameters are too many for a covariance (at most %d): fields have no error bars.",
                self._problem.parameter_count,
                LARGEST_DENSE,
            )
            if not self._space.of_numbers:
                return
        self.current = assess(self._problem.linearised(coordinates), self._space)

    def assess_if_small(self, coordinates: Tensor) -> None:
        """The same where it takes a moment."""
        if len(coordinates) <= _ASSESSED_ALWAYS:
            self.assess(coordinates)

    def information(self, coordinates: Tensor) -> Tensor | None:
        """Diagonal of the information `[q]`; None where not all coordinates have one."""
        if self.current is None or len(self.current.uncertainty.information) != len(coordinates):
            return None
        return self.current.uncertainty.information.diagonal()

    def covariance(self, coordinates: Tensor) -> Tensor | None:
        """Covariance `[p, p]` of the parameters' coordinates, from real data and prior; None where not all have one.

        Where there is no information the variance is that of a uniform distribution over the bounds.
        """
        self.assess_if_small(coordinates)
        if self.current is None or len(self.current.kept) < self._problem.parameter_count:
            return None
        return self._determined(self.current.uncertainty.covariance)

    def joint_covariance(self, coordinates: Tensor) -> Tensor | None:
        """The same of all coordinates `[q, q]`, infinite where nothing tells of an initial state; None likewise."""
        self.assess_if_small(coordinates)
        if self.current is None or self.current.joint is None:
            return None
        return self._determined(self.current.joint)

    def _determined(self, covariance: Tensor) -> Tensor:
        """A covariance with the parameters' variances where they have no information."""
        p = len(self._space)
        unknown = ~torch.isfinite(covariance.diagonal())
        unknown[p:] = False
        determined = torch.where(unknown[:, None] | unknown[None, :], torch.zeros_like(covariance), covariance)
        variances = torch.zeros_like(covariance.diagonal())
        variances[:p] = torch.where(unknown[:p], self._space.width.square() / 12, 0.0)
        return determined + torch.diag(variances)

    def numbers(self, coordinates: Tensor) -> dict[str, NumberEstimate]:
        """Each learnt number with its error bar; see `number_estimates`."""
        self.assess_if_small(coordinates)
        theta, last = coordinates[: self._problem.parameter_count], self._numbers
        if last is None or last[0] is not self.current or not torch.equal(last[1], theta):
            numbers = number_estimates(
                self._space,
                theta,
                self.current,
                self.shift,
                edges=self._edges,
                profiles=self.profiles,
                walls=self.spread,
            )
            self._numbers = last = self.current, theta.clone(), numbers
        return last[2]

    def minima(self, coordinates: Tensor, ends: Sequence[Mapping[str, Any]]) -> list[Tensor]:
        """Coordinates `[p]` of other minima that fit the data as well, eight at most.

        Args:
            ends: where several searches on all data ended.
        """
        if self.current is None or not self.current.uncertainty.noise_told:
            return []
        theta, count = coordinates[: self._problem.parameter_count], self._problem.data.count(self._problem.steps)
        return alternative_minima(theta, self.current, ends, count)[:8]

    def warn(self, coordinates: Tensor, minima: Sequence[Tensor]) -> list[dict[str, float]]:
        """Say in words what the data do not determine, what sits on a limit, and which other minima fit them as well.

        Args:
            minima: coordinates `[p]` of these, of which the numbers are returned.
        """
        if self.current is None:
            return []
        if not self.current.uncertainty.noise_told:
            log.warning(NO_FREEDOM, "physical")
            return []
        for words in self.current.identifiability.words(most=4):
            log.warning("The data do not determine %s (in units of what was known beforehand).", words)
        self._warn_of_limits(coordinates)
        others = [{name: float(v) for name, v in self._space.numbers(place).items()} for place in minima]
        for numbers in others:
            text = ", ".join(f"{name} = {value:.4g}" for name, value in numbers.items()) or "another field"
            covered = set(numbers) <= set(self.profiles) and bool(numbers)
            reach = "The intervals reach there." if covered else "The error bars do not reach there."
            log.warning("Another minimum fits the data as well: %s. %s", text, reach)
        return others

    def _warn_of_limits(self, coordinates: Tensor) -> None:
        """Say which numbers and fields sit on an edge of their range, and whose profile reaches one."""
        space, theta = self._space, coordinates[: self._problem.parameter_count]
        for label, number in self.numbers(coordinates).items():
            i = space.labels.index(label)
            lower, upper, own = float(space.lower[i]), float(space.upper[i]), self._edges[label]
            if number.limit is None:
                continue
            edge = edge_at(float(theta[i]), lower, upper, own)
            advice = (
                "there it is cut off, and the data do not say how far it goes."
                if edge is None
                else f"its interval is one-sided. {edge.advice}"
            )
            log.warning("%s = %.4g: %s; %s", label, number.value, number.limit, advice)
        warn_of_fields_on_limits(space, theta, self._problem.forward.model.equation.config)
