"""Gray-Scott against exact solutions of its parts, refinement, and a step written out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from hyco.equations.registry import build_equation
from hyco.stepping.generation import GenerationConfig, initial_states, simulate
from hyco.stepping.stepper import Stepper

TRUE = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
START = {
    "u": "0.7 + 0.2*sin(2*pi*x/30 + 0.3) + 0.1*cos(4*pi*x/30)",
    "v": "0.3 + 0.2*cos(2*pi*x/30 - 0.5) + 0.05*sin(6*pi*x/30)",
}
START_2D = {"u": START["u"] + " - 0.1*sin(2*pi*y/24 + x*0)", "v": START["v"] + " + 0.1*cos(4*pi*y/24 + 0.8)"}
# Slopes vanish at the walls.
WALLS = {"u": "0.7 + 0.2*cos(pi*x/30) + 0.1*cos(2*pi*y/24)", "v": "0.3 + 0.2*cos(2*pi*x/30) - 0.1*cos(pi*y/24)"}


def reaction(resolution, dt=1.0, substeps=2, size=(30.0, 24.0, 20.0), **parameters):
    keys = {k: parameters.pop(k) for k in ("boundary",) if k in parameters}
    return build_equation(
        {
            "name": "gray_scott",
            "domain": {a: {"size": s, "resolution": n} for a, s, n in zip("xyz", size, resolution, strict=False)},
            "dt": dt,
            "scheme": "euler",
            "substeps": substeps,
            "parameters": {**TRUE, **parameters},
            **keys,
        }
    )


def start(equation, formulas=None, simulations=1, length_scale=3.0, seed=0):
    config = GenerationConfig(simulations=simulations, steps=1, length_scale=length_scale, initial_state=formulas or {})
    return initial_states(equation, config, seed)


def order(results, factor):
    """Of three results, each `factor` times finer."""
    coarse, fine = (float((a - b).norm()) for a, b in itertools.pairwise(results))
    return math.log(coarse / fine) / math.log(factor)


def test_time_is_first_order():
    results = []
    for substeps in (12, 24, 48):
        equation = reaction((24, 20), 8.0, substeps)
        results.append(simulate(equation, start(equation, START_2D), 2)[0, -1])
    assert order(results, 2) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("resolution", "formulas", "boundary"),
    [
        pytest.param((20,), START, "periodic", marks=pytest.mark.slow),
        pytest.param((14, 12), START_2D, "periodic", marks=pytest.mark.slow),
        ((14, 12), WALLS, "neumann"),
    ],
    ids=["1d", "2d", "walls"],
)
def test_space_is_second_order(resolution, formulas, boundary):
    # With three times as many cells every third centre is one of the coarse grid.
    results = []
    for refinement in (1, 3, 9):
        equation = reaction([refinement * n for n in resolution], 2.0, 60, boundary=boundary)
        end = simulate(equation, start(equation, formulas), 2)[0, -1]
        for axis, n in enumerate(resolution, start=1):
            index = torch.arange(n) * refinement + refinement // 2
            end = end.index_select(axis, index)
        results.append(end)
    assert order(results, 3) == pytest.approx(2, abs=0.1)


def test_without_v_a_wave_of_u_decays_by_diffusion_and_feed():
    equation = reaction((60, 48), 1.0, 40)
    begin = start(equation, {"u": "1 + 0.3*cos(2*pi*x/30 + 4*pi*y/24 + 0.4)", "v": 0.0})
    end = simulate(equation, begin, 5)[0, -1]
    rate = TRUE["feed"] + TRUE["diffusivity_u"] * ((2 * math.pi / 30) ** 2 + (4 * math.pi / 24) ** 2)
    assert torch.allclose(end[0] - 1, (begin[0, 0] - 1) * math.exp(-5 * rate), atol=2e-3 * 0.3)
    assert end[1].abs().max() == 0


def test_without_u_a_wave_of_v_decays_by_diffusion_feed_and_kill():
    equation = reaction((60,), 1.0, 40, feed=0.0)
    begin = start(equation, {"u": 0.0, "v": "0.5 + 0.3*cos(4*pi*x/30 + 0.4)"})
    end = simulate(equation, begin, 5)[0, -1]
    wave = (begin[0, 1] - 0.5) * math.exp(-5 * TRUE["diffusivity_v"] * (4 * math.pi / 30) ** 2)
    assert torch.allclose(end[1], (0.5 + wave) * math.exp(-5 * TRUE["kill"]), atol=1e-3)
    assert end[0].abs().max() == 0


def test_a_uniform_state_follows_the_ordinary_differential_equation():
    feed, decay = TRUE["feed"], TRUE["feed"] + TRUE["kill"]

    def slope(_, y):
        u, v = y
        return [-u * v * v + feed * (1 - u), u * v * v - decay * v]

    expected = solve_ivp(slope, (0, 20), [0.6, 0.4], rtol=1e-10, atol=1e-12).y[:, -1]
    errors = []
    for substeps in (40, 80):
        equation = reaction((8, 8), 20.0, substeps)
        end = simulate(equation, start(equation, {"u": 0.6, "v": 0.4}), 1)[0, -1]
        assert (end - end[:, :1, :1]).abs().max() < 1e-13
        errors.append(np.abs(end[:, 0, 0].numpy() - expected).max())
    assert errors[1] < 2e-3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_the_step_is_the_one_written_out_by_hand():
    h = 0.4
    equation = reaction((30, 16, 10), h, 1)
    states = torch.cat([start(equation, START_2D), start(equation)])
    states[0] += 0.02 * torch.sin(torch.arange(10.0, dtype=torch.float64))
    found = Stepper(equation)(states, equation.parameter_tensors(torch.float64))
    u, v = states[:, 0], states[:, 1]

    def laplacian(w):
        spacing = dict(zip((1, 2, 3), (1.0, 1.5, 2.0), strict=True))
        return sum((w.roll(1, a) - 2 * w + w.roll(-1, a)) / d**2 for a, d in spacing.items())

    new_u = u + h * (0.2 * laplacian(u) - u * v**2 + 0.018 * (1 - u))
    new_v = v + h * (0.08 * laplacian(v) + u * v**2 - 0.069 * v)
    assert torch.allclose(found, torch.stack([new_u, new_v], 1), rtol=0, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_without_feed_and_kill_the_sum_of_both_is_conserved(boundary):
    equation = reaction((24, 16), 10.0, 20, feed=0.0, kill=0.0, boundary=boundary)
    states = simulate(equation, start(equation, START_2D), 5)
    assert states.sum(dim=2).mean(dim=(2, 3)).diff().abs().max() < 1e-13
    assert states[0, -1, 1].mean() > states[0, 0, 1].mean() + 0.01, "v grows on u"


@pytest.mark.parametrize("formulas", [None, {"u": 1.0, "v": "1.5 + sin(20*x)"}], ids=["discs", "far too much v"])
def test_the_step_is_stable_for_all_parameters_within_their_limits(formulas):
    equation = reaction((30, 24), 1.0, 2)
    limits = equation.config.parameter_limits
    corners = torch.tensor(list(itertools.product(*limits.values())), dtype=torch.float64)
    state = start(equation, formulas, simulations=len(corners))
    stepper = Stepper(equation)
    for _ in range(300):
        state = stepper(state, dict(zip(limits, corners.unbind(1), strict=True)))
    # Without feed, u can only fall; v takes up no more than all that was fed.
    assert (state.square().mean(dim=(2, 3)) < torch.tensor([1.01, 200.0])).all()
    without_feed = corners[:, 2] == 0
    assert (state[without_feed, 0].square().mean(dim=(1, 2)) < 1.0).all()


def test_parameters_beyond_what_is_stable_are_refused_and_more_substeps_admit_them():
    with pytest.raises(ValueError, match=r"parameters\.diffusivity_u leaves what is stable; allowed: 0 to 0\.2"):
        reaction((30,), 2.0, 1, diffusivity_u=0.3)
    assert reaction((30,), 2.0, 2, diffusivity_u=0.3).substeps == 2
    with pytest.raises(ValueError, match=r"parameters\.kill"):
        reaction((30,), 2.0, 1, kill=0.06)


def test_concentrations_too_large_for_the_step_are_refused_with_the_way_out():
    equation = reaction((30,), 0.5, 1)
    with pytest.raises(ValueError, match=r"set equation\.substeps higher"):
        simulate(equation, start(equation, {"v": 2.5}), 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TRUE))
def test_the_gradient_passes_the_taylor_test(name):
    equation = reaction((16, 12), 3.0, 4)
    begin, stepper = start(equation, START_2D), Stepper(equation)
    true = equation.parameter_tensors(torch.float64)

    def loss(value):
        state = begin
        for _ in range(4):
            state = stepper(state, {**true, name: value})
        return (state**3).mean()

    point = true[name].clone().requires_grad_(True)
    value = loss(point)
    (slope,) = torch.autograd.grad(value, point)
    steps = [TRUE[name] * s for s in (0.1, 0.05, 0.025)]
    remainders = [abs(float(loss(point.detach() - h) - value.detach() + h * slope)) for h in steps]
    orders = torch.tensor(remainders).log2().diff().neg()
    assert ((orders > 1.95) & (orders < 2.05)).all()


def test_all_four_parameters_come_back_from_noisy_states_within_their_standard_deviations():
    equation = reaction((40,), 10.0, 20)
    names, true = list(TRUE), torch.tensor(list(TRUE.values()), dtype=torch.float64)
    begin, stepper = start(equation, START), Stepper(equation)

    def states(values):
        state, found = begin.expand(len(values), -1, -1), []
        for _ in range(6):
            state = stepper(state, dict(zip(names, values.unbind(1), strict=True)))
            found.append(state)
        return torch.stack(found, 1).flatten(1)

    noise = 0.003
    data = states(true[None])[0]
    data = data + noise * torch.randn(data.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    guess = true * torch.tensor([0.8, 1.25, 1.2, 0.85], dtype=torch.float64)
    for _ in range(6):
        h = 1e-5 * guess
        found = states(torch.cat([guess[None], guess + torch.diag(h), guess - torch.diag(h)]))
        jacobian = ((found[1:5] - found[5:9]) / (2 * h[:, None])).T
        guess = guess + torch.linalg.lstsq(jacobian, (data - found[0])[:, None]).solution[:, 0]
    std = noise * torch.linalg.inv(jacobian.T @ jacobian).diagonal().sqrt()
    assert (std < 0.05 * true).all(), "the data determine all four"
    assert ((guess - true).abs() < 3 * std).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "resolution",
    [(20,), pytest.param((12, 10), marks=pytest.mark.slow), pytest.param((8, 6, 7), marks=pytest.mark.slow)],
    ids=["1d", "2d", "3d"],
)
def test_the_traced_step_of_a_batch_equals_the_plain_steps(resolution):
    equation = reaction(resolution, 0.5, 2, boundary="neumann")
    states = start(equation, simulations=2)
    values = {name: torch.tensor([v, 1.3 * v], dtype=torch.float64) for name, v in TRUE.items()}
    traced = Stepper(equation, "traced")
    found = traced(states, values)
    assert traced.execution == "traced"
    for i in range(2):
        one = {k: v[i] for k, v in values.items()}
        expected = Stepper(equation, "plain")(states[i : i + 1], one)
        assert torch.allclose(found[i], expected[0], rtol=0, atol=1e-14)


def test_initial_states_are_several_discs_that_respect_the_boundary_and_the_seed():
    equation = reaction((60, 48), 1.0, 4)
    states = start(equation, simulations=6)
    u, v = states.unbind(1)
    assert set(v.unique().tolist()) == {0.0, 0.5}
    assert torch.equal(u, 1 - v)
    share = (v > 0).double().mean(dim=(1, 2)) * 30 * 24 / (math.pi * 3.0**2)
    assert ((share > 0.3) & (share < 8)).all(), "between a small disc and four large ones"
    assert torch.equal(states, start(equation, simulations=6))
    assert not torch.equal(states, start(equation, simulations=6, seed=1))
    walls = start(reaction((60, 48), 1.0, 4, boundary="neumann"), simulations=6)
    assert not torch.equal(walls, states), "discs wrap around a periodic box only"
    assert (walls <= states.max()).all()


def test_a_formula_gives_a_disc_about_a_node():
    # A disc of radius 6.3 cells about the node (32, 32) of 64², cell width 100/63.
    width = 100 / 63
    axis = {"size": 64 * width, "lower": -width / 2, "resolution": 64}
    equation = build_equation(
        {"name": "gray_scott", "domain": {"x": axis, "y": axis}, "dt": 40.0, "substeps": 100, "parameters": TRUE}
    )
    disc = "0.25*(1 + sign(10 - sqrt((x - 3200/63)**2 + (y - 3200/63)**2)))"
    v = start(equation, {"v": disc})[0, 1]
    i, j = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    assert torch.equal(v > 0, (i - 32) ** 2 + (j - 32) ** 2 < 6.3**2)
