"""A diffusivity that jumps from one cell to the next: of rest, and of an unknown layer in data of a finer grid."""

import numpy as np
import pytest
import scipy.integrate
import torch

import hyco
from hyco.equations.registry import build_equation
from hyco.stepping.generation import simulate

LOWER, UPPER = 0.01, 0.1


def layers(lower):
    return f"{lower} + ({UPPER} - {lower})*(1 + sign(x - 0.5))/2"


def section(cells, dt, **keys):
    domain = {"x": {"size": 1.0, "resolution": cells}}
    boundary = {"x": {"lower": 0.0, "upper": 1.0}}
    return {"name": "heat", "domain": domain, "boundary": boundary, "dt": dt} | keys


@pytest.mark.slow
def test_layers_that_meet_on_a_face_conduct_as_they_do():
    """Between the values 0 and 1, at rest, the flux is the same in both."""
    equation = build_equation(section(16, 5.0, parameters={"diffusivity": layers(LOWER)}))
    x = torch.from_numpy(equation.layout.grid.centers("x"))
    jump = 10 / 11
    exact = torch.where(x < 0.5, 2 * jump * x, jump + (1 - jump) * (2 * x - 1))
    assert float((simulate(equation, x[None, None], 30)[0, -1, 0] - exact).abs().max()) < 1e-6


def measured(sensors, times, n=1600):
    """Finite volumes on a grid on which a face lies on the jump, whose flux is that of two layers in a row."""
    h = 1 / n
    x = (np.arange(n) + 0.5) * h
    a = np.where(x < 0.5, LOWER, UPPER)
    faces = np.concatenate([[2 * a[0]], 2 / (1 / a[1:] + 1 / a[:-1]), [2 * a[-1]]])

    def rate(_, u):
        return np.diff(faces * np.diff(np.concatenate([[0.0], u, [1.0]]))) / h**2

    found = scipy.integrate.solve_ivp(rate, (0, times[-1]), x, "LSODA", times, rtol=1e-9, atol=1e-10, lband=1, uband=1)
    return np.stack([np.interp(sensors, x, state) for state in found.y.T])


@pytest.mark.slow
@pytest.mark.parametrize(("cells", "allowed"), [(64, 0.005), (16, 0.02)])
def test_an_unknown_layer_is_found_to_half_a_percent(tmp_path, cells, allowed):
    equation = hyco.equation(section(cells, 0.1, parameters={"diffusivity": layers(0.03)}, substeps=2))
    sensors, times = np.array([0.1, 0.2, 0.3, 0.42, 0.6, 0.8]), np.linspace(0, 3, 31)
    values = measured(sensors, times)
    np.savez(tmp_path / "mine.npz", t=times[1:], x=sensors, u=values[1:])
    given = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "u"}, "std": 1e-3, "start": 0.0}
    observation = {"train_sim": [0], "interpolation": "cubic"}
    file = tmp_path / "mine.npz"
    observations = hyco.read_measurements(file, equation, given | {"initial": {"temperature": "x"}}, observation)
    number = {"name": "a", "initial_guess": 0.03, "bounds": [0.002, 0.09]}
    learn = [{"name": "diffusivity", "kind": "expression", "expression": layers("a"), "scalars": [number]}]
    fitted = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate["diffusivity.a"]
    assert fitted.value == pytest.approx(LOWER, rel=allowed)
