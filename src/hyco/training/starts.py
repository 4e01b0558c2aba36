"""States at t = 0 that rollouts of validation and test simulations begin with, from noisy measurements of them.

Those of the training simulations are unknowns of an inversion, which finds them with all that was measured later. What
is scored on later states must not see these: here a state is estimated from its own measurements at t = 0 alone, and
from what the training simulations say of the noise and of how smooth states are.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import Layout
from hyco.inversion.initial_given_values import GivenValues
from hyco.inversion.initial_prior import InitialStatePrior, with_data
from hyco.observations import ObservationConfig, Observations, observe, observe_on_disk
from hyco.observations.denoising import denoised, ends_of, noise_of_states
from hyco.observations.filling import in_cells
from hyco.observations.measure import Measured
from hyco.runtime.storage import Bundle
from hyco.training.bounds import at_bounds

log = logging.getLogger(__name__)

# States of which the noise is told, where it is not known.
_STATES = 64
# A channel is measured all over the grid where this part of its entries is: the others are filled.
_DENSE = 0.9
# σ of these, of that of the others: as a mean with weights w of those nearby they repeat their noise, and add 2 + Σ w²
# times its variance to that of a sum of all.
_FILLED = 1.5
_TOLD = "estimated"


class Starts:
    """Estimates of states at t = 0, each from its own measurements.

    - A channel measured on the grid, in nine of ten entries: what the noise does not explain of it, scale by scale
      (`denoised`), once the others are filled. Where σ is not known, how rough the whole states of the training
      simulations are tells it, if it does.
    - One measured in some places, with noise of known size: the mean, given these, of a Gaussian field of which the
      training simulations tell mean, amplitude and correlation length, where that predicts each value from the others
      better than the values nearby do (`GivenValues`); else what was measured, filled between.
    - What cannot be told from a bound of its field is at the bound (`at_bounds`): cut off there, noise about an empty
      plateau would have a mean of 0.4 σ, which grows where the equation has growth.

    Without noise it is what was measured.

    Args:
        seen: what was measured.
        equation: of it.
    """

    def __init__(self, seen: Observations, equation: Equation) -> None:
        self._seen, self._equation = seen, equation
        # How many states are estimated, and how many are not, for which reason.
        self.outcomes: Counter[str] = Counter()

    def __call__(self, begun: Measured, guess: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Of some simulations, `[S, C, *space]`.

        Args:
            begun: their measurements, of which the first state counts.
            guess: their states as measured, and filled where they were not.
            sigma: of each of these measurements, `[S, C, K…]`; None: that of the channels.
        """
        found = [self._one(begun, s, state, None if sigma is None else sigma[s]) for s, state in enumerate(guess)]
        return self._equation.admissible(torch.stack(found) if found else guess)

    @cached_property
    def _noise(self) -> Tensor:
        """σ of each channel of states on the grid, `[C]`; 0 where there is none, or nothing tells it."""
        seen = self._seen
        if seen.noise_known or not seen.from_file:
            return seen.noise_std
        states, count = [], 0
        for values, mask in seen.training_parts:
            states.append(values[(mask | ~seen.layout.valid).flatten(2).all(dim=2)])
            count += len(states[-1])
            if count >= _STATES:
                break
        whole, channels = torch.cat(states)[:_STATES], range(len(seen.layout.channels))
        found = [noise_of_states(whole[seen.layout.index(c, 1)]) if len(whole) else 0.0 for c in channels]
        return torch.tensor(found, dtype=torch.float64)

    @cached_property
    def _given(self) -> GivenValues | str:
        """What tells states from measurements in some places, and from the training; or why there is none."""
        layout, equation = self._seen.layout, self._equation
        alike = all(field.boundary == layout.fields[0].boundary for field in layout.fields)
        if layout.shape != layout.grid.resolution or not alike:
            return "no prior suits the fields"
        prior = with_data(InitialStatePrior(), self._seen, tell=False)
        far = torch.full((len(layout.channels), *layout.shape), torch.inf, dtype=torch.float64)
        ends = zip(equation.admissible(far), equation.admissible(-far), strict=True)
        bounded = [not bool(upper.isinf().all() and lower.isinf().all()) for upper, lower in ends]
        if GivenValues.too_large(prior, layout, bounded):
            return "too large for their correlation length"
        return GivenValues(
            prior, layout, method=self._seen.interpolation, bounded=bounded, open_walls=equation.open_walls
        )

    def _one(self, begun: Measured, s: int, guess: Tensor, sigma: Tensor | None) -> Tensor:
        """One state; what is not estimated of it is as it was, with the noise of what was measured, at its bounds."""
        layout, values, mask = self._seen.layout, begun.values[s, 0], begun.mask[s, 0]
        places = None if begun.positions is None or begun.whole is not None else begun.positions[s, 0]
        if sigma is None:
            sigma = self._noise if places is None else self._seen.noise_std
            sigma = sigma.reshape(-1, *[1] * (mask.ndim - 1)).expand(mask.shape)
        if not bool(mask.any()):
            self.outcomes["nothing measured then"] += 1
            return guess
        if not bool((sigma > 0).any()):
            if self._seen.from_file:
                self.outcomes["noise not told, or none"] += 1
            return guess
        if places is None:
            values, mask, sigma = (
                of.flatten(1)[:, : guess[0].numel()].reshape(guess.shape) for of in (values, mask, sigma)
            )
            measured, of_cells = torch.where(mask, values, torch.nan), sigma
            dense = torch.tensor([bool(mask[c][layout.valid[c]].double().mean() >= _DENSE) for c in range(len(guess))])
        else:
            measured, of_cells = (
                in_cells(layout, places[None], of[None], mask[None], whole_start=False)[0] for of in (values, sigma)
            )
            dense = torch.zeros(len(guess), dtype=torch.bool)
        typical = torch.where(mask, sigma, 0.0).flatten(1).amax(dim=1) * torch.where(dense, _FILLED, 1.0)
        of_cells = torch.where(measured.isnan(), typical.reshape(-1, *[1] * (guess.ndim - 1)), of_cells)
        state, std, left = guess.clone(), of_cells.clone(), {}
        for c in (typical > 0).nonzero().flatten().tolist():
            given = None if bool(dense[c]) else self._given
            if given is None:
                state[c], std[c] = _denoised(torch.where(mask[c], values[c], guess[c]), of_cells[c], c, layout)
            elif isinstance(given, str):
                left[c] = given
            elif (found := given(c, values[c], mask[c], sigma[c], places)) is not None:
                state[c], std[c] = found
            else:
                left[c] = "those nearby tell as much"
        for c in left:  # only to tell areas, of which single cells would stick out, from bounds
            state[c], _ = _denoised(guess[c], of_cells[c], c, layout)
        result = at_bounds(state, std, measured, of_cells, self._equation)
        for c in left:
            result[c] = torch.where(result[c] == state[c], guess[c], result[c])
        self.outcomes[next(iter(left.values()), _TOLD)] += 1
        return result

    def tell(self) -> None:
        """Log how many states are estimated, and why others are not."""
        left = {reason: count for reason, count in self.outcomes.items() if reason != _TOLD}
        told, words = self.outcomes[_TOLD], ", ".join(f"{count} ({reason})" for reason, count in left.items())
        if told or left:
            log.info(
                "Of %d states that validation and tests begin with %d are estimated from measurements of them%s.",
                self.outcomes.total(),
                told,
                f", others are as measured, and filled between: {words}" if words else "",
            )


def _denoised(measured: Tensor, sigma: Tensor, c: int, layout: Layout) -> tuple[Tensor, Tensor]:
    """An estimate of a channel and its standard deviation, `[*space]` all."""
    state, std, at = measured.clone(), torch.zeros_like(measured), layout.index(c, 0)[1:]
    found = denoised(measured[at], sigma[at], ends_of(layout, c))
    state[at], std[at] = found.state, found.std
    return state, std


def of_whole(measured: Tensor, sigma: Tensor, layout: Layout, equation: Equation) -> Tensor:
    """An estimate of a state `[C, *space]` from one measurement of every entry; one without noise is returned as it is.

    Args:
        measured: what was measured.
        sigma: standard deviation of the noise of each channel, `[C]`.
        layout, equation: of the state.
    """
    sigma = sigma.reshape(-1, *[1] * (measured.ndim - 1)).expand(measured.shape)
    state, std = measured.clone(), torch.zeros_like(measured)
    for c in range(len(measured)):
        if bool((sigma[c] > 0).any()):
            state[c], std[c] = _denoised(measured[c], sigma[c], c, layout)
    return at_bounds(state, std, torch.where(layout.valid, measured, torch.nan), sigma, equation)


def with_starts(seen: Observations, equation: Equation, starts: Starts | None = None) -> Observations:
    """Observations whose validation and test simulations begin with estimates, see `Starts`.

    The initial states of the training simulations, where they are measured ones, have values that the equation's fields
    may have. What was measured is left as it is.

    Args:
        seen, equation: see `Starts`.
        starts: those of them, which estimated test simulations already; None: made here.
    """
    if seen.initial_state == "exact":
        return seen
    states, judged = equation.admissible(seen.initial_states).clone(), [*seen.val, *seen.test]
    guess = seen.initial_states[judged]
    positions = None if seen.positions is None else seen.positions[judged, :1]
    whole = guess if seen.initial_state == "full" else None
    begun = Measured(seen.values[judged, :1], seen.mask[judged, :1], positions, whole)
    sigma = None if seen.sigma_of_values is None else seen.sigma_of_values[judged, 0]
    starts = starts or Starts(seen, equation)
    found = starts(begun, guess, sigma)
    starts.tell()
    estimated = seen.starts_estimated or not torch.equal(found, states[judged])
    states[judged] = found
    tests = seen.test_initial_states
    if tests is not None:
        tests = states[seen.test] if seen.test else equation.admissible(tests)
    return replace(seen, initial_states=states, test_initial_states=tests, starts_estimated=estimated)


def observed(trajectories: Bundle, config: ObservationConfig, seed: int, equation: Equation) -> Observations:
    """What `hyco.observations.observe` measures, with such starts; see there."""
    starts, estimated = None, False

    def tests(seen: Observations, begun: Measured, guess: Tensor) -> Tensor:
        nonlocal starts, estimated
        starts = Starts(seen, equation)
        found = starts(begun, guess)
        estimated = not torch.equal(found, equation.admissible(guess))
        return found

    seen = with_starts(observe(trajectories, config, seed, tests=tests), equation, starts)
    return replace(seen, starts_estimated=True) if estimated and not seen.starts_estimated else seen


def observed_on_disk(
    trajectories: Bundle, config: ObservationConfig, seed: int, equation: Equation, folder: Path
) -> Bundle:
    """What `hyco.observations.observe_on_disk` measures, with such starts; see there."""
    layout = equation.layout

    def begin(states: Tensor, sigma: Tensor) -> Tensor:
        return equation.admissible(torch.stack([of_whole(state, sigma, layout, equation) for state in states]))

    return observe_on_disk(trajectories, config, seed, folder, admissible=equation.admissible, begin=begin)
