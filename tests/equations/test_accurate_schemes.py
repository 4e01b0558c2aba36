"""The default schemes of heat, advection-diffusion and Gray-Scott: against exact solutions and SciPy."""

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.integrate import solve_ivp

from hyco.equations.registry import build_equation, equation_config
from hyco.stepping.generation import simulate
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper


def heat(boundary, resolution=(18, 11), **keys):
    domain = {a: {"size": s, "resolution": n} for a, s, n in zip("xy", (3.0, 2.0), resolution, strict=True)}
    section = {"name": "heat", "domain": domain, "boundary": boundary, "dt": 0.1, "parameters": {"diffusivity": 0.08}}
    return build_equation(section | keys)


def centers(equation):
    grid = equation.layout.grid
    return np.meshgrid(*[grid.centers(a) for a in grid.axes], indexing="ij")


@pytest.mark.parametrize(
    ("boundary", "rest", "wave", "decay"),
    [
        (
            {"x": {"lower": 0.4, "upper": "neumann"}, "y": "periodic"},
            lambda x, y: 0.4,
            lambda x, y: np.sin(np.pi * x / 2) * np.cos(np.pi * y + 0.3),
            1.25 * np.pi**2,
        ),
        (
            {"x": {"lower": 0.2, "upper": 1.7}, "y": "neumann"},
            lambda x, y: 0.2 + x / 2,
            lambda x, y: np.sin(2 * np.pi * x / 3) * np.cos(np.pi * y / 2),
            (4 / 9 + 1 / 4) * np.pi**2,
        ),
        (0.3, lambda x, y: 0.3, lambda x, y: np.sin(np.pi * x / 3) * np.sin(np.pi * y), (1 / 9 + 1) * np.pi**2),
    ],
    ids=["value and closed", "two values", "values all around"],
)
def test_heat_is_exact_where_waves_keep_the_walls(boundary, rest, wave, decay):
    equation = heat(boundary)
    x, y = centers(equation)
    start = torch.from_numpy(rest(x, y) + wave(x, y))
    end = simulate(equation, start[None, None], 5)[0, -1, 0].numpy()
    assert equation.config.scheme == "spectral"
    assert np.abs(end - rest(x, y) - wave(x, y) * math.exp(-0.08 * decay * 0.5)).max() < 1e-13


@pytest.mark.parametrize(
    ("change", "scheme", "order"),
    [
        ({}, "spectral", 4),
        ({"source": "1 + x"}, 4, 4),
        ({"boundary": {"x": 0.0, "y": 1.0}}, 4, 4),  # the values meet in a corner
        ({"boundary": {"x": {"robin": {"a": 1.0, "b": 1.0, "c": 0.0}}, "y": "periodic"}}, 2, 2),
        ({"boundary": {"x": "sin(t)", "y": "periodic"}}, 2, 2),
        ({"parameters": {"diffusivity": "0.1 + 0.01*x"}}, 2, 2),
        ({"order": 2}, 2, 2),
    ],
)
def test_the_order_of_heat_follows_from_walls_source_and_diffusivity(change, scheme, order):
    config = heat(**{"boundary": "periodic"} | change).config
    assert (config.scheme, config.convergence_order) == (scheme, order)


def test_a_diffusivity_in_every_cell_is_taken_by_differences_whatever_serves_a_number():
    for boundary in ("periodic", {"x": {"lower": 0.4, "upper": "neumann"}, "y": "periodic"}):
        waves, differences = heat(boundary), heat(boundary, order=2)
        assert waves.config.for_fields({"diffusivity"}) == {"order": 2}
        state = torch.randn(2, 1, 18, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        field = 0.08 * torch.rand(1, 18, 11, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        ends = [Stepper(e)(state, {"diffusivity": field}) for e in (waves, differences)]
        assert torch.equal(*ends)


def test_waves_are_refused_where_they_do_not_keep_the_walls():
    with pytest.raises(ValidationError, match="order: spectral is for walls that are periodic"):
        heat({"x": {"flux": 1.0}, "y": "periodic"}, order="spectral")
    with pytest.raises(ValidationError, match="order: spectral is for a periodic boundary"):
        carried(8, boundary=0.0, order="spectral")
    keys = {"domain": {"x": {"size": 1.0, "resolution": 513}}, "scheme": "spectral"}
    with pytest.raises(ValidationError, match="spectral is for up to 512 cells"):
        equation_config(reaction(64).config.model_dump() | keys)


def carried(n, boundary="periodic", dt=0.1, **keys):
    section = {
        "name": "advection_diffusion",
        "domain": {"x": {"size": 3.0, "resolution": n}},
        "boundary": boundary,
        "dt": dt,
        "parameters": {"velocity_x": 0.7, "diffusivity": 0.3},
    }
    return build_equation(section | keys)


@pytest.mark.parametrize("n", [14, 15])
def test_advection_and_diffusion_on_a_ring_are_exact(n):
    equation, k = carried(n), 2 * np.pi / 3
    x = centers(equation)[0]

    def state(t):
        return np.exp(-0.3 * k**2 * t) * np.sin(k * (x - 0.7 * t) + 0.2)

    end = simulate(equation, torch.from_numpy(state(0))[None, None], 5)[0, -1, 0].numpy()
    assert (equation.config.scheme, equation.substeps) == ("spectral", 1)
    assert np.abs(end - state(0.5)).max() < 1e-14


def test_between_walls_the_fourth_order_of_diffusion_halves_the_error():
    n, k = 32, np.pi / 3
    x = (np.arange(n) + 0.5) * 3 / n
    start, end = (np.exp(0.7 * x / 0.6 - (0.49 / 1.2 + 0.3 * k**2) * t) * np.sin(k * x) for t in (0.0, 0.2))
    errors = []
    for order in ("auto", 2):
        equation = carried(n, boundary=0.0, order=order)
        errors.append(np.abs(simulate(equation, torch.from_numpy(start)[None, None], 2)[0, -1, 0].numpy() - end).max())
    assert carried(n, boundary=0.0).config.scheme == 4
    assert errors[0] < 0.5 * errors[1]


def test_parameters_in_every_cell_are_learnt_with_differences():
    equation = carried(8)
    assert equation.config.for_fields({"velocity_x"}) == {"order": 4}
    assert equation.config.for_fields({"diffusivity"}) == {"order": 2}
    values = {"velocity_x": torch.full((1, 8), 0.7).double(), "diffusivity": torch.tensor(0.3).double()}
    with pytest.raises(ValueError, match="velocity_x has a value in every cell"):
        Stepper(equation)(torch.ones(1, 1, 8, dtype=torch.float64), values)


TRUE = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}


def reaction(n, boundary="periodic", dt=20.0, size=100.0, **keys):
    section = {"name": "gray_scott", "domain": {"x": {"size": size, "resolution": n}}, "boundary": boundary, "dt": dt}
    return build_equation({**section, "parameters": TRUE} | keys)


def pulses(x):
    v = 0.4 * np.exp(-(((x - 31) / 6) ** 2)) + 0.3 * np.exp(-(((x - 64) / 7) ** 2))
    return np.stack([1 - v, v])


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_gray_scott_follows_an_independent_solution(boundary):
    """Fourier modes of 384 points, by SciPy; between walls of the mirrored state."""
    mirrored = boundary == "neumann"
    n, length = (768, 200.0) if mirrored else (384, 100.0)
    x = (np.arange(n) + 0.5) * length / n
    begun = pulses(np.minimum(x, 200.0 - x) if mirrored else x)
    k2 = (2 * np.pi * np.fft.rfftfreq(n, length / n)) ** 2

    def rate(t, state):
        u, v = np.split(state, 2)
        spread = [np.fft.irfft(-d * k2 * np.fft.rfft(w), n) for d, w in ((0.2, u), (0.08, v))]
        return np.concatenate([spread[0] - u * v * v + 0.018 * (1 - u), spread[1] + u * v * v - 0.069 * v])

    found = solve_ivp(rate, (0, 100), begun.ravel(), method="LSODA", rtol=1e-6, atol=1e-8, t_eval=[100]).y[:, 0]
    truth = found.reshape(2, n)[:, 1:384:3]  # every third point is the centre of one of 128 cells
    errors = {}
    for scheme in ("auto", "euler"):
        equation = reaction(128, boundary, scheme=scheme, substeps=29 if scheme == "auto" else 200)
        start = torch.from_numpy(pulses(centers(equation)[0]))[None]
        errors[scheme] = np.abs(simulate(equation, start, 5)[0, -1].numpy() - truth).max()
    assert errors["auto"] < 1e-4
    assert errors["auto"] < 0.02 * errors["euler"]


def test_the_reaction_is_of_fourth_order_in_time():
    ends = []
    for substeps in (10, 20, 40):
        equation = reaction(64, dt=10.0, substeps=substeps)
        ends.append(simulate(equation, torch.from_numpy(pulses(centers(equation)[0]))[None], 4)[0, -1])
    ratio = float((ends[0] - ends[1]).norm() / (ends[1] - ends[2]).norm())
    assert math.log2(ratio) == pytest.approx(4, abs=0.3)


def test_u_rests_at_one_and_the_sum_is_kept_without_feed_and_kill():
    equation = reaction(32, "neumann", dt=10.0, substeps=8, parameters=TRUE | {"feed": 0.0, "kill": 0.0})
    start = torch.from_numpy(pulses(centers(equation)[0]))[None]
    states = simulate(equation, start, 6)
    assert torch.allclose(states.sum(2).mean(-1), start.sum(1).mean(), rtol=1e-13)
    rest = torch.stack([torch.ones(32, dtype=torch.float64), torch.zeros(32, dtype=torch.float64)])[None]
    assert torch.allclose(simulate(reaction(32), rest, 3), rest, rtol=0, atol=1e-14)


def test_every_rate_and_state_is_stable_and_steps_follow_the_concentrations():
    equation = reaction(32, dt=20.0, substeps=5)
    assert equation.config.limits["diffusivity_u"] == (0.0, math.inf)
    start = 5 * torch.rand(3, 2, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stepper = Stepper(equation)
    values = {name: torch.tensor([0.0, 1.0, 50.0], dtype=torch.float64) for name in TRUE}
    end = rollout(lambda s: stepper(s, values), start, 20)[:, -1]
    assert bool(torch.isfinite(end).all())
    assert float(end.abs().max()) < 20
    config = reaction(32, dt=20.0).config
    assert config.ranges(2.0, {})["substeps"] > 2 * config.ranges(1.0, {})["substeps"]
