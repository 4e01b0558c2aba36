"""Ghost cells, differences on them, and the time stepping that goes with them."""

import math

import numpy as np
import pytest
from phi import math as phimath
from phi.math import spatial

from hyco.schemes.integrators import RK3_IMAGINARY, RK3_REAL, rkl2, rkl2_reach, rkl2_stages, ssp_rk3
from hyco.schemes.stencils import neighbours, pad, pad_flow, shifted
from hyco.schemes.transport import roughness, upwind

H = 0.25
CENTERS = (np.arange(8) + 0.5) * H


@pytest.fixture(autouse=True)
def _double_precision():
    with phimath.precision(64):
        yield


def line(values):
    return phimath.wrap(np.asarray(values, dtype=np.float64), spatial("x"))


def numbers(tensor):
    return np.asarray(tensor.numpy("x"))


def test_ghost_cells_mirror_the_cells_at_the_wall():
    values = line([1.0, 2.0, 4.0, 8.0])
    assert numbers(pad(values, "x", 2, "periodic", H)).tolist() == [4, 8, 1, 2, 4, 8, 1, 2]
    assert numbers(pad(values, "x", 2, "neumann", H)).tolist() == [2, 1, 1, 2, 4, 8, 8, 4]
    mixed = {"x": {"lower": 3.0, "upper": "neumann"}}
    assert numbers(pad(values, "x", 1, mixed, H)).tolist() == [5, 1, 2, 4, 8, 8]


def test_neighbours_are_the_shifted_values():
    left, middle, right = (numbers(v).tolist() for v in neighbours(line([1.0, 2.0, 4.0, 8.0]), "x", "periodic", H))
    assert (left, middle, right) == ([8, 1, 2, 4], [1, 2, 4, 8], [2, 4, 8, 1])


def parabola(x):
    return 0.7 - 1.3 * x + 0.9 * x**2


@pytest.mark.parametrize("speed", [1.0, -1.0])
def test_ghost_cells_of_a_flow_continue_a_parabola(speed):
    ends = {"x": {"lower": parabola(0.0), "upper": parabola(8 * H)}}
    wide = (np.arange(-2, 10) + 0.5) * H
    found = numbers(pad_flow(line(parabola(CENTERS)), "x", ends, H, line(np.full(8, speed))))
    assert np.allclose(found, parabola(wide), rtol=0, atol=1e-12)


def test_a_wall_that_the_flow_leaves_by_imposes_nothing():
    values = line(parabola(CENTERS))
    one, other = (
        numbers(pad_flow(values, "x", {"x": {"lower": 0.0, "upper": g}}, H, line(np.ones(8))))
        for g in (-7.0, "neumann")
    )
    assert (one == other).all()
    inward = numbers(pad_flow(values, "x", "neumann", H, line(np.ones(8))))
    assert inward[:2].tolist() == [*numbers(values)[1::-1]]


@pytest.mark.parametrize(("speed", "cell"), [(1.0, 0), (-1.0, -1)])
def test_at_a_wall_without_slope_that_the_flow_enters_by_the_first_cell_may_be_at_rest(speed, cell):
    velocity = line(np.full(8, speed))
    wide = pad_flow(line(parabola(CENTERS)), "x", "neumann", H, velocity, at_rest=True)
    rate = numbers(upwind(shifted(wide, "x", 2), velocity, H))
    assert abs(rate[cell]) < 1e-12
    assert abs(rate[3]) > 0.1


@pytest.mark.parametrize("speed", [2.0, -2.0])
def test_upwind_differences_are_exact_for_cubics_and_damp_what_they_do_not_resolve(speed):
    x = CENTERS[2:-2]
    shifted = [line((x + i * H) ** 3) for i in (-2, -1, 0, 1, 2)]
    assert np.allclose(numbers(upwind(shifted, line(np.full(4, speed)), H)), speed * 3 * x**2, rtol=0, atol=1e-12)
    sawtooth = [line((-1.0) ** (np.arange(4) + i)) for i in (-2, -1, 0, 1, 2)]
    rate = numbers(upwind(sawtooth, line(np.full(4, speed)), H)) / numbers(sawtooth[2])
    assert np.allclose(rate, 4 / 3 * abs(speed) / H)


def test_wholly_rough_velocities_get_first_order_upwind_differences():
    cells = [line(np.sin(np.arange(4) + i)) for i in (-2, -1, 0, 1, 2)]
    u = [numbers(c) for c in cells]
    found = numbers(upwind(cells, line([1.0, -1.0, 1.0, -1.0]), H, line(np.ones(4))))
    expected = [(u[2] - u[1])[i] / H if i % 2 == 0 else -(u[3] - u[2])[i] / H for i in range(4)]
    assert np.allclose(found, expected, rtol=0, atol=1e-13)


def test_roughness_is_1_for_noise_and_vanishes_with_the_eighth_power_of_the_cells_width():
    noise = np.random.default_rng(0).uniform(-1, 1, 64)
    assert numbers(roughness({"x": line(noise)}, "periodic", 1.0)).min() > 0.9
    worst = []
    for n in (64, 128):
        smooth = 1.5 + np.sin(2 * np.pi * (np.arange(n) + 0.5) / n)
        worst.append(numbers(roughness({"x": line(smooth)}, "periodic", 3.0)).max())
    assert math.log2(worst[0] / worst[1]) == pytest.approx(8, abs=0.1)
    # Through zero with the fourth power: it is multiplied by a velocity of the order h and differences of order h.
    worst = []
    for n in (128, 256):
        smooth = np.sin(2 * np.pi * (np.arange(n) + 0.5) / n) * np.exp(np.sin(2 * np.pi * (np.arange(n) + 0.5) / n + 1))
        worst.append(numbers(roughness({"x": line(smooth)}, "periodic", 3.0)).max())
    assert math.log2(worst[0] / worst[1]) > 3.9


@pytest.mark.parametrize("stages", [3, 5, 9, 21, 49])
def test_the_runge_kutta_legendre_method_is_stable_as_far_as_it_says(stages):
    z = -np.linspace(0, rkl2_reach(stages), 4001)
    factor = rkl2(np.ones_like(z), 1.0, lambda u: z * u, stages)
    assert np.abs(factor).max() <= 1 + 1e-12
    assert np.abs(factor[z < -0.5]).max() < 1
    beyond = rkl2(1.0, 1.0, lambda u: -1.2 * rkl2_reach(stages) * u, stages)
    assert abs(beyond) > 1


@pytest.mark.parametrize("stiffness", [0.0, 1.0, 17.0, 400.0, 1e4])
def test_the_stages_reach_the_stiffness_and_are_odd(stiffness):
    stages = rkl2_stages(0.3, stiffness)
    assert rkl2_reach(stages) >= 0.3 * stiffness
    assert stages % 2 == 1
    assert stages == 3 or rkl2_reach(stages - 2) < 0.3 * stiffness


@pytest.mark.parametrize(
    ("order", "step"),
    [(2, lambda u, h, rate: rkl2(u, h, rate, 3)), (2, lambda u, h, rate: rkl2(u, h, rate, 15)), (3, ssp_rk3)],
    ids=["rkl2-3", "rkl2-15", "ssp_rk3"],
)
def test_time_stepping_has_its_order(order, step):
    # du/dt = -u + 1 - u²/2 has no simple symmetry; the reference is 16 times finer.
    def run(steps):
        u = 0.2
        for _ in range(steps):
            u = step(u, 1.0 / steps, lambda v: -v + 1 - v**2 / 2)
        return u

    reference = run(2048)
    errors = [abs(run(n) - reference) for n in (16, 32)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


def test_the_third_order_method_is_stable_between_its_limits():
    share = np.linspace(0, 1, 200)
    z = -share * RK3_REAL + 1j * (1 - share) * RK3_IMAGINARY
    assert np.abs(ssp_rk3(np.ones_like(z), 1.0, lambda u: z * u)).max() <= 1 + 1e-12
