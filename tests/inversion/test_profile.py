"""The profile likelihood: right where it can be known, asked for where the linearised interval is not."""

import math
from functools import cache

import pytest
import torch

from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.profile_curve import LIMIT
from hyco.inversion.uncertainty import quantile
from hyco.observations import Observations
from hyco.stepping.physical_model import PhysicalModel
from hyco.training.physical import PhysicalConfig

LENGTH, CELLS, NOISE = 5.0, 48, 0.05
MODES = {1: 3.0, 2: 1.5}


class FadedWave:
    """Heat between cold walls, two waves; measured so late that hardly anything is left of them."""

    def __init__(self, times=(18, 20)):
        self.times, self.steps = times, max(times)
        self.equation = equation_of_waves()

    def states(self):
        """`[T+1, 1, x]`."""
        return trajectory()[: self.steps + 1]

    def values(self, seed):
        generator = torch.Generator().manual_seed(seed)
        return self.states() + NOISE * torch.randn(self.states().shape, generator=generator, dtype=torch.float64)

    def calibrator(self, seed, noise=NOISE, **physical):
        values = self.values(seed)
        mask = torch.zeros_like(values, dtype=torch.bool)
        mask[list(self.times)] = True
        seen = Observations(
            values=values[None],
            mask=mask[None],
            noise_std=torch.tensor([noise], dtype=torch.float64),
            train=[0],
            val=[],
            layout=self.equation.layout,
            dt=1.0,
            initial_state="exact",
            initial_states=self.states()[:1],
        )
        section = {
            "learnable_parameters": [{"name": "diffusivity", "initial_guess": 0.6, "bounds": [0.3, 2.0]}],
            "method": "Levenberg-Marquardt",
            "execution": "traced",
            "num_predict_steps": self.steps,
            "discretisation": False,
        }
        config = PhysicalConfig.model_validate(section | physical)
        return Calibrator(self.equation, seen, config, num_predict_steps=self.steps, device=torch.device("cpu"))

    def fitted(self, seed, **options):
        physics = self.calibrator(seed, **options)
        physics.update()
        physics.conclude()
        return physics


@cache
def equation_of_waves():
    """Made once, as its step is recorded for each anew."""
    return build_equation(
        {
            "name": "heat",
            "domain": {"x": {"size": LENGTH, "resolution": CELLS}},
            "boundary": {"x": 0.0},
            "dt": 1.0,
            "max_diffusivity": 2.0,
            "parameters": {"diffusivity": 1.0},
        }
    )


@cache
def trajectory():
    """Twenty steps of the model itself, `[21, 1, x]`: nothing but the noise stands between it and the data."""
    equation = equation_of_waves()
    x = (torch.arange(CELLS, dtype=torch.float64) + 0.5) * LENGTH / CELLS
    start = sum(a * torch.sin(k * math.pi * x / LENGTH) for k, a in MODES.items())[None]
    model = PhysicalModel(equation, equation.layout, "traced", 0)
    states = model.rollout(start[None], equation.parameter_tensors(torch.float64), 20)[0]
    return torch.cat([start[None], states])


def rise(physics, diffusivity):
    """χ² with a diffusivity, less that at the estimate."""
    z = torch.tensor(
        [[math.log(d / 0.3) / math.log(2.0 / 0.3)] for d in (diffusivity, physics.model.values["diffusivity"])]
    )
    squares = physics.problem.fit(z.double()).square().sum(dim=1)
    return float(squares[0] - squares[1])


@pytest.mark.parametrize("seed", range(700, 706))
def test_none_of_a_faded_wave_is_called_identifiable_whose_profile_reaches_a_bound(seed, caplog):
    found = FadedWave().fitted(seed).estimate["diffusivity"]
    assert found.interval[1] == 2.0
    assert not found.identifiable
    assert "bound 2" in caplog.text


def test_the_linearised_interval_of_a_faded_wave_is_far_too_narrow():
    case = FadedWave()
    linear = case.fitted(707, profile=False).estimate["diffusivity"]
    assert linear.profile is None
    assert linear.identifiable
    assert linear.interval[1] < 1.1
    physics = case.fitted(707)
    found = physics.estimate["diffusivity"]
    assert found.interval[1] == 2.0
    assert rise(physics, 2.0) < LIMIT
    assert rise(physics, found.interval[0]) == pytest.approx(LIMIT, rel=0.04)


@pytest.mark.parametrize("noise", [NOISE, 0.0])
def test_a_curved_interval_ends_where_the_misfit_has_risen_enough(noise):
    """By the sum of squares itself; where the residuals tell the noise, in units of it, by Student's t."""
    physics = FadedWave(times=(11, 12)).fitted(3, noise=noise)
    estimate, found = physics.estimate, physics.estimate["diffusivity"]
    assert found.profile is not None
    assert found.identifiable
    unit = 1.0
    if not noise:
        unit = estimate.reduced_chi_square * quantile(estimate.degrees_of_freedom) ** 2 / LIMIT
        assert unit > 1e3  # in units of a thousandth of the values' spread
    for end in found.interval:
        assert rise(physics, end) == pytest.approx(LIMIT * unit, rel=0.04)
    low, high = found.interval
    assert high - found.value > 1.2 * (found.value - low)
    for value, height in zip(found.profile["values"], found.profile["chi_square"], strict=True):
        assert height * unit == pytest.approx(rise(physics, value), rel=1e-4, abs=1e-4 * unit)


def test_a_strong_signal_needs_no_profile_and_has_the_same_interval_with_one():
    case = FadedWave(times=(1, 2))
    # The model's own: else the error of its step would be told as correlated noise.
    equation, start = case.equation, case.states()[:1]
    model = PhysicalModel(equation, equation.layout, "traced", 0)
    states = torch.cat([start, model.rollout(start, equation.parameter_tensors(torch.float64), 2)[0]])
    case.states = lambda: states
    plain, asked = case.fitted(1).estimate["diffusivity"], case.fitted(1, profile=True).estimate["diffusivity"]
    assert plain.profile is None
    assert asked.profile is not None
    assert asked.interval == pytest.approx(plain.interval, rel=2e-3)


def test_a_profile_takes_about_as_much_as_the_fit():
    physics = FadedWave().calibrator(707)
    physics.update()
    before = physics.problem.simulations
    physics.conclude()
    assert physics.problem.simulations - before < 40


def test_a_run_goes_on_with_its_profiles_to_the_bit():
    case = FadedWave()
    first = case.fitted(707)
    other = case.calibrator(707)
    other.load(first.state())
    assert other.estimate["diffusivity"] == first.estimate["diffusivity"]
    assert other.estimate["diffusivity"].profile is not None


@pytest.mark.slow
def test_two_numbers_follow_each_other():
    """A wave that is carried along and spreads, from few sensors: the intervals are those of a search over a grid."""
    equation = build_equation(
        {
            "name": "advection_diffusion",
            "domain": {"x": {"size": 1.0, "resolution": 16}},
            "dt": 0.05,
            "parameters": {"velocity_x": 0.5, "diffusivity": 0.02},
        }
    )
    x = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    start = torch.sin(2 * math.pi * x)[None]
    states = PhysicalModel(equation, equation.layout, "traced", 0).rollout(
        start[None], equation.parameter_tensors(torch.float64), 6
    )
    values = torch.cat([start[None], states[0]])
    values += 0.3 * torch.randn(values.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[4:, :, ::4] = True
    seen = Observations(
        values=values[None],
        mask=mask[None],
        noise_std=torch.tensor([0.3], dtype=torch.float64),
        train=[0],
        val=[],
        layout=equation.layout,
        dt=0.05,
        initial_state="exact",
        initial_states=start[None],
    )
    section = {
        "learnable_parameters": [
            {"name": "velocity_x", "initial_guess": 0.3, "bounds": [-1.0, 1.5]},
            {"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.0, 0.2]},
        ],
        "method": "Levenberg-Marquardt",
        "execution": "traced",
        "num_predict_steps": 6,
        "discretisation": False,
        "profile": True,
    }
    config = PhysicalConfig.model_validate(section)
    physics = Calibrator(equation, seen, config, num_predict_steps=6, device=torch.device("cpu"))
    physics.update()
    physics.conclude()
    velocity, other = physics.estimate["velocity_x"], physics.estimate["diffusivity"]
    # By brute force: the smallest χ² over a grid of the other number.
    grid = torch.linspace(0, 1, 201, dtype=torch.float64)
    space = physics.problem.forward.space

    def least(i, end):
        at = (end - space.learnable[i].bounds[0]) / (space.learnable[i].bounds[1] - space.learnable[i].bounds[0])
        points = torch.stack([torch.full_like(grid, at), grid], dim=1)
        return float(physics.problem.fit(points if i == 0 else points.flip(1)).square().sum(dim=1).min())

    lowest = float(physics.problem.fit(physics.model.coordinates[None]).square().sum())
    for i, number in enumerate((velocity, other)):
        for end, bound in zip(number.interval, space.learnable[i].bounds, strict=True):
            rise = least(i, end) - lowest
            assert rise == pytest.approx(LIMIT, rel=0.06) if end != bound else rise < LIMIT
