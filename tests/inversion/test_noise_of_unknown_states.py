"""A rod that is warmed at one end, by SciPy: neither its noise nor its state at t = 0 is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

import hyco
from hyco.inversion.initial_prior import InitialStatePrior, with_data

D, LOSS, NOISE = 0.9, 0.01, 0.3


def measured(seed):
    """Five thermometers between the cells, at irregular times, about 20 °C; the left end is held at 60 °C."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 30, 301)
    h = x[1]

    def rate(_, u):
        change = np.zeros_like(u)
        change[1:-1] = D * (u[2:] - 2 * u[1:-1] + u[:-2]) / h**2 - LOSS * (u[1:-1] - 20)
        change[-1] = 2 * D * (u[-2] - u[-1]) / h**2 - LOSS * (u[-1] - 20)
        return change

    t = np.sort(random.uniform(1, 120, 22))
    start = np.where(x == 0, 60.0, 20.0)
    u = solve_ivp(rate, (0, 120), start, method="BDF", t_eval=t, rtol=1e-7, atol=1e-7).y
    rows = [(t[k], p, np.interp(p, x, u[:, k])) for k in range(len(t)) for p in (2.0, 5.3, 11.0, 17.7, 26.0)]
    table = pd.DataFrame(rows, columns=["t", "x", "u"])
    return table.assign(u=table.u + NOISE * random.standard_normal(len(table)))


@pytest.fixture
def rod(tmp_path):
    equation = hyco.equation(
        {
            "name": "formula",
            "domain": {"x": {"size": 30.0, "resolution": 60}},
            "boundary": {"x": {"lower": 60.0, "upper": "neumann"}},
            "fields": {"u": {"lower": 0.0}},
            "rates": {"u": "D*laplace(u) - h*(u - 20)"},
            "parameters": {"D": 0.5, "h": 0.01},
            "dt": 1.0,
        }
    )
    names = {"time": "t", "axes": {"x": "x"}, "fields": {"u": "u"}, "std": "estimate"}

    def read(seed):
        measured(seed).to_csv(tmp_path / "rod.csv", index=False)
        return equation, hyco.read_measurements(tmp_path / "rod.csv", equation, names, {"train_sim": [0]})

    return read


@pytest.mark.slow
@pytest.mark.parametrize("length", ["auto", 2.5])
def test_unknown_states_do_not_follow_the_noise_in_place_of_the_equation(rod, length):
    equation, seen = rod(102)
    learn = [
        {"name": "D", "initial_guess": 0.05, "bounds": [5e-4, 5.0]},
        {"name": "h", "initial_guess": 0.009, "bounds": [1.7e-4, 0.17]},
    ]
    start = {"length_scale": length, "amplitude": "auto", "mean": "auto"}
    estimate = hyco.fit(equation, seen, learn, method="Levenberg-Marquardt", initial_state=start).estimate
    for name, truth in (("D", D), ("h", LOSS)):
        assert abs(estimate[name].value - truth) < 3 * estimate[name].std
        assert estimate[name].std < 0.15 * truth
        assert estimate[name].identifiable


def test_later_values_of_a_place_say_nothing_of_the_state_at_the_start(rod):
    """Five places do not tell a length; their values at all times together would tell one as long as the rod."""
    _, seen = rod(3)
    assert with_data(InitialStatePrior(), seen).length_scale == pytest.approx(0.2 * 30.0)
