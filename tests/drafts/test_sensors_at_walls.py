"""Where the field moves at an end of a grid, the outermost sensor is the wall; no number stands there."""

import numpy as np
import pytest
from scipy.special import erfc
from tests.drafts.test_wall_places import TIMES, rod

from hyco.drafts.geometry import Axis, reaching
from hyco.drafts.points import Points
from hyco.drafts.sensors_at_walls import end_sensors, ends_of_sensors
from hyco.drafts.wall_places import wall_places
from hyco.drafts.walls import ends_of

LATER = TIMES[1:, None]


def inflow(x):
    """What is carried into a column from its lower end, by an exact solution without walls."""
    return 0.5 * erfc((x + 0.02 - 0.35 * LATER) / (2 * np.sqrt(0.01 * LATER)))


def driven(x):
    """Heat that comes and goes at the lower end."""
    return 20 + 5 * np.exp(-6 * x) * np.sin(7 * LATER - 6 * x)


def found(values, axis):
    """The end sensors, and the condition that is guessed without them."""
    times, n = np.arange(len(values), dtype=float), len(axis.places)
    points = Points(
        simulation=np.zeros(values.size, dtype=np.int64),
        simulations=1,
        time=np.repeat(times, n),
        position={"x": np.tile(axis.places, len(values))},
        values={"u": values.ravel()},
        rounding={"x": 0.0},
    )
    guessed = ends_of(values, 0, wall_places(values, 0, axis))
    return end_sensors(points, "u", {"x": axis}, {"x": guessed}), guessed


@pytest.mark.parametrize(("solution", "noise"), [(inflow, 0.001), (inflow, 0.01), (driven, 0.01), (driven, 0.03)])
@pytest.mark.parametrize("reverse", [False, True])
def test_an_end_that_moves_is_the_sensor_there(solution, noise, reverse):
    x = (np.arange(25) + 0.5) / 25
    values = solution(x)
    values = values + noise * values.std() * np.random.default_rng(1).normal(size=values.shape)
    values = values[:, ::-1] if reverse else values
    sensors, guessed = found(values, Axis(0.0, 1.0, 25, x, True, ""))
    end, place = (1, 0.98) if reverse else (0, 0.02)
    assert sensors is not None
    assert end in sensors.places
    assert sensors.places[end] == pytest.approx(place)
    assert sensors.series[None, sensors.places[end]][1] == pytest.approx(values[:, -end])
    walls = ends_of_sensors({end: place}, guessed, known=True)
    assert walls.condition[("lower", "upper")[end]] == {"sensor": place}
    assert walls.condition[("upper", "lower")[end]] == "neumann"


@pytest.mark.parametrize("kind", ["cold", "held", "insulated"])
@pytest.mark.parametrize("on_positions", [True, False])
@pytest.mark.parametrize("noise", [0.001, 0.01, 0.1])
def test_walls_that_hold_a_value_or_let_nothing_through_are_no_sensors(kind, on_positions, noise):
    for seed in range(20):
        assert found(*rod(24, on_positions, kind, noise, 1.2345678, seed))[0] is None


def test_a_domain_reaches_to_the_sensor_and_its_cells_are_whole_parts_of_the_distances():
    x = (np.arange(25) + 0.5) * 8
    axis = reaching(Axis(0.0, 200.0, 75, x, True, "25 positions: centres", 3), {0: 4.0})
    assert (axis.lower, axis.size, axis.resolution) == (4.0, 196.0, 98)
    assert not axis.of_cells
    both = reaching(Axis(0.0, 200.0, 75, x, True, "25 positions: centres", 3), {0: 4.0, 1: 196.0})
    assert (both.lower, both.size, both.resolution) == (4.0, 192.0, 96)
