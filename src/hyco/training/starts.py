"""States at t = 0 that rollouts of validation and test simulations begin with, from noisy measurements of them.

Those of the training simulations are unknowns of an inversion, which finds them with all that was measured later. What
is scored on later states must not see these: here a state is estimated from its own measurements at t = 0 alone, and
from what the training simulations say of the noise and of how smooth states are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.fields import Layout
from hyco.inversion.initial_given_values import given_values
from hyco.inversion.initial_prior import InitialStatePrior, with_data
from hyco.observations import ObservationConfig, Observations, observe, observe_on_disk
from hyco.observations.denoising import denoised, ends_of, noise_of_states
from hyco.observations.filling import in_cells
from hyco.observations.measure import Measured
from hyco.runtime.storage import Bundle
from hyco.training.bounds import at_bounds

# States of which the noise is told, where it is not known.
_STATES = 64


class Starts:
    """Estimates of states at t = 0, each from its own measurements.

    - A state measured in every entry: what the noise does not explain of it, scale by scale (`denoised`). Where σ is
      not known, how rough the whole states of the training simulations are tells it, if it does.
    - One measured in some places, with noise of known size: the mean, given these, of a Gaussian field of which the
      training simulations tell mean, amplitude and correlation length, where that predicts each value from the others
      better than the values nearby do and agrees with all (`given_values`); else what was measured, filled between.
    - What cannot be told from a bound of its field is at the bound (`at_bounds`): cut off there, noise about an empty
      plateau would have a mean of 0.4 σ, which grows where the equation has growth.

    Without noise it is what was measured.

    Args:
        seen: what was measured.
        equation: of it.
    """

    def __init__(self, seen: Observations, equation: Equation) -> None:
        self._seen, self._equation = seen, equation

    def __call__(self, begun: Measured, guess: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Of some simulations, `[S, C, *space]`.

        Args:
            begun: their measurements, of which the first state counts.
            guess: their states as measured, and filled where they were not.
            sigma: of each of these measurements, `[S, C, K…]`; None: that of the channels.
        """
        found = [
            self._one(begun, s, state, self._noise if sigma is None else sigma[s]) for s, state in enumerate(guess)
        ]
        return self._equation.admissible(torch.stack(found) if found else guess)

    @cached_property
    def _noise(self) -> Tensor:
        """σ of each channel, `[C]`; 0 where there is none, or nothing tells it."""
        seen = self._seen
        if seen.noise_known or not seen.from_file:
            return seen.noise_std
        states, mask = seen.training_states()
        whole = (mask | ~seen.layout.valid).flatten(2).all(dim=2)
        states = states[whole][:_STATES]
        channels = range(len(seen.layout.channels))
        found = [noise_of_states(states[seen.layout.index(c, 1)]) if len(states) else 0.0 for c in channels]
        return torch.tensor(found, dtype=torch.float64)

    @cached_property
    def _prior(self) -> InitialStatePrior | None:
        """What the training simulations tell of states at t = 0; None where no prior suits the fields."""
        layout = self._seen.layout
        alike = all(field.boundary == layout.fields[0].boundary for field in layout.fields)
        if layout.shape != layout.grid.resolution or not alike:
            return None
        return with_data(InitialStatePrior(), self._seen, tell=False)

    def _one(self, begun: Measured, s: int, guess: Tensor, sigma: Tensor) -> Tensor:
        layout, mask = self._seen.layout, begun.mask[s, 0]
        if not bool((sigma > 0).any()) or not bool(mask.any()):
            return guess
        if begun.whole is not None or (begun.positions is None and bool((mask | ~layout.valid).all())):
            return of_whole(guess, sigma, layout, self._equation)
        if self._prior is None:
            return guess
        places = None if begun.positions is None else begun.positions[s, 0]
        sigma = sigma.reshape(len(mask), *[1] * (mask.ndim - 1)).expand(mask.shape) if sigma.ndim == 1 else sigma
        values = begun.values[s, 0]
        state, std = given_values(
            self._prior,
            guess,
            values,
            mask,
            sigma,
            places,
            layout,
            method=self._seen.interpolation,
            open_walls=self._equation.open_walls,
        )
        if places is None:
            return at_bounds(state, std, torch.where(mask, values, torch.nan), sigma, self._equation)
        measured = in_cells(layout, places[None], values[None], mask[None], whole_start=False)[0]
        # That of a cell without measurements is of no use but to tell where the estimate is a good one.
        typical = torch.where(mask, sigma, 0.0).amax(dim=1).reshape(-1, *[1] * layout.grid.dimensions)
        of_cells = in_cells(layout, places[None], sigma[None], mask[None], whole_start=False)[0]
        of_cells = torch.where(of_cells.isnan(), typical, of_cells)
        return at_bounds(state, std, measured, of_cells, self._equation)


def of_whole(measured: Tensor, sigma: Tensor, layout: Layout, equation: Equation) -> Tensor:
    """An estimate of a state `[C, *space]` from one measurement of every entry; one without noise is returned as it is.

    Args:
        measured: what was measured.
        sigma: standard deviation of the noise of each channel `[C]`, or of each entry `[C, K…]`, flattened perhaps.
        layout, equation: of the state.
    """
    cells = measured[0].numel()
    sigma = sigma[:, None].expand(-1, cells) if sigma.ndim == 1 else sigma.flatten(1)[:, :cells]
    sigma = sigma.reshape(measured.shape)
    state, std = measured.clone(), torch.zeros_like(measured)
    for c in range(len(measured)):
        at = layout.index(c, 0)
        if bool((sigma[at] > 0).any()):
            found = denoised(measured[at], sigma[at], ends_of(layout, c))
            state[at], std[at] = found.state, found.std
    return at_bounds(state, std, torch.where(layout.valid, measured, torch.nan), sigma, equation)


def with_starts(seen: Observations, equation: Equation) -> Observations:
    """Observations whose validation and test simulations begin with estimates, see `Starts`.

    The initial states of the training simulations, where they are measured ones, have values that the equation's fields
    may have. What was measured is left as it is.
    """
    if seen.initial_state == "exact":
        return seen
    states, judged = equation.admissible(seen.initial_states).clone(), [*seen.val, *seen.test]
    guess = seen.initial_states[judged]
    positions = None if seen.positions is None else seen.positions[judged, :1]
    whole = guess if seen.initial_state == "full" else None
    begun = Measured(seen.values[judged, :1], seen.mask[judged, :1], positions, whole)
    sigma = None if seen.sigma_of_values is None else seen.sigma_of_values[judged, 0]
    found = Starts(seen, equation)(begun, guess, sigma)
    estimated = seen.starts_estimated or not torch.equal(found, states[judged])
    states[judged] = found
    tests = seen.test_initial_states
    if tests is not None:
        tests = states[seen.test] if seen.test else equation.admissible(tests)
    return replace(seen, initial_states=states, test_initial_states=tests, starts_estimated=estimated)


def observed(trajectories: Bundle, config: ObservationConfig, seed: int, equation: Equation) -> Observations:
    """What `hyco.observations.observe` measures, with such starts; see there."""
    estimated = False

    def tests(seen: Observations, begun: Measured, guess: Tensor) -> Tensor:
        nonlocal estimated
        found = Starts(seen, equation)(begun, guess)
        estimated = not torch.equal(found, equation.admissible(guess))
        return found

    seen = with_starts(observe(trajectories, config, seed, tests=tests), equation)
    return replace(seen, starts_estimated=True) if estimated and not seen.starts_estimated else seen


def observed_on_disk(
    trajectories: Bundle, config: ObservationConfig, seed: int, equation: Equation, folder: Path
) -> Bundle:
    """What `hyco.observations.observe_on_disk` measures, with such starts; see there."""
    layout = equation.layout

    def begin(states: Tensor, sigma: Tensor) -> Tensor:
        return equation.admissible(torch.stack([of_whole(state, sigma, layout, equation) for state in states]))

    return observe_on_disk(trajectories, config, seed, folder, admissible=equation.admissible, begin=begin)
