"""What stands in a wall or a source is recovered from the data of an independent solver on a much finer grid."""

import numpy as np
import pytest
import scipy.integrate

import hyco

D, SIZE, NOISE = 0.1, 2.0, 0.01
SENSORS, TIMES = np.array([0.13, 0.41, 0.77, 1.2, 1.71]), np.linspace(0, 2, 21)


def start(x):
    return 0.5 + 0.3 * np.cos(np.pi * x / SIZE)


def rod(lower, upper, source=lambda t, x, u: 0.0 * u, n=801):
    """Temperatures at sensors [times, sensors], by finite volumes with nodes on the walls and SciPy's BDF.

    Each wall is a function of t that gives a, b and c of a u + b ∂u/∂n = c, b > 0, or a value.
    """
    x = np.linspace(0, SIZE, n)
    h = x[1] - x[0]

    def rate(t, u):
        inner = (u[2:] - 2 * u[1:-1] + u[:-2]) / h**2
        ends = []
        for wall, own, other in ((lower, u[0], u[1]), (upper, u[-1], u[-2])):
            a, b, c = wall(t)
            ends.append(2 * (other - own + h * (c - a * own) / b) / h**2)
        return D * np.concatenate([ends[:1], inner, ends[1:]]) + source(t, x, u)

    found = scipy.integrate.solve_ivp(
        rate, (0, TIMES[-1]), start(x), "LSODA", TIMES, rtol=1e-9, atol=1e-10, lband=1, uband=1
    )
    return np.stack([np.interp(SENSORS, x, state) for state in found.y.T])


def insulated(t):
    return 0.0, 1.0, 0.0


def held(value):
    """A value, as a condition with next to no slope."""
    return lambda t: (1.0, 1e-7, value(t) if callable(value) else value)


# What is unknown and its value, the equation's walls and further keys, the solver's walls and source.
CASES = {
    "value": ("inlet", 1.2, {"lower": "inlet", "upper": "neumann"}, {}, (held(1.2), insulated)),
    "value in time": (
        "inlet",
        1.2,
        {"lower": "inlet*(1 + sin(3*t)/2)", "upper": "neumann"},
        {},
        (held(lambda t: 1.2 * (1 + np.sin(3 * t) / 2)), insulated),
    ),
    "flux": (
        "q",
        0.8,
        {"lower": {"flux": "q*(1 + t)"}, "upper": 0.2},
        {},
        (lambda t: (0.0, 1.0, 0.8 * (1 + t)), held(0.2)),
    ),
    "robin": (
        "k",
        0.6,
        {"lower": {"robin": {"a": "k", "b": "diffusivity", "c": "2*k"}}, "upper": "neumann"},
        {},
        (lambda t: (0.6, D, 1.2), insulated),
    ),
    "source": (
        "A",
        0.7,
        "neumann",
        {"source": "A*exp(-t)*x*(1 - u)"},
        (insulated, insulated, lambda t, x, u: 0.7 * np.exp(-t) * x * (1 - u)),
    ),
}


def fitted(tmp_path, case, seed, exact):
    name, true, walls, keys, _ = CASES[case]
    equation = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": SIZE, "resolution": 40}},
            "boundary": {"x": walls},
            "dt": 0.1,
            # The wall and the start disagree at t = 0, which takes short steps.
            "substeps": 4,
            "parameters": {"diffusivity": D, name: 0.5},
        }
        | keys
    )
    noisy = exact + NOISE * np.random.default_rng(seed).standard_normal(exact.shape)
    np.savez(tmp_path / "mine.npz", t=TIMES[1:], x=SENSORS, u=noisy[1:])
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "u"}, "std": NOISE, "start": 0.0}
    section["initial"] = {"temperature": f"0.5 + 0.3*cos(pi*x/{SIZE})"}
    observation = {"train_sim": [0], "interpolation": "cubic"}
    observations = hyco.read_measurements(tmp_path / "mine.npz", equation, section, observation)
    learn = [{"name": name, "initial_guess": 0.5 * true, "bounds": [0.0, 3.0]}]
    return hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate[name]


@pytest.mark.parametrize("case", CASES)
def test_what_stands_in_a_wall_or_a_source_is_recovered(tmp_path, case):
    true = CASES[case][1]
    estimate = fitted(tmp_path, case, 0, rod(*CASES[case][4]))
    assert estimate.identifiable
    assert abs(estimate.value - true) < 2 * estimate.std
    assert estimate.std < 0.05 * true


@pytest.mark.study
def test_intervals_of_an_unknown_wall_value_cover_it(tmp_path):
    exact, true = rod(*CASES["value"][4]), CASES["value"][1]
    estimates = [fitted(tmp_path, "value", seed, exact) for seed in range(40)]
    pulls = np.array([(e.value - true) / e.std for e in estimates])
    covered = sum(e.interval[0] <= true <= e.interval[1] for e in estimates)
    assert covered >= 35
    assert abs(pulls.mean()) < 0.5
