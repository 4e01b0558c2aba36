"""The look around before the first update: out of the basin of a first guess that is far off."""

import numpy as np
import pandas as pd
import pytest

import hyco
from hyco.observations import Observations

TRUE, DAY = 0.02, 2 * np.pi
EQUATION = hyco.equation(
    {
        "name": "heat",
        "domain": {"x": {"size": 1.0, "resolution": 40}},
        "boundary": {"x": {"lower": f"cos({DAY}*t)", "upper": "neumann"}},
        "dt": 0.05,
        "max_diffusivity": 0.2,
        "parameters": {"diffusivity": TRUE},
    }
)


@pytest.fixture(scope="module")
def soil(tmp_path_factory):
    """Daily waves below a surface, exp(-x/d) cos(ωt - x/d) with d² = 2 D/ω (Carslaw and Jaeger, 1959, section 2.6)."""
    depth = np.sqrt(2 * TRUE / DAY)
    t, x = (v.ravel() for v in np.meshgrid(0.05 * np.arange(41), [0.11, 0.23, 0.41], indexing="ij"))
    u = np.exp(-x / depth) * np.cos(DAY * t - x / depth) + 0.01 * np.random.default_rng(3).standard_normal(len(t))
    file = tmp_path_factory.mktemp("soil") / "soil.csv"
    pd.DataFrame({"t": t, "x": x, "T": u}).to_csv(file, index=False)
    section = {
        "time": "t",
        "axes": {"x": "x"},
        "fields": {"temperature": "T"},
        "std": 0.01,
        "initial": {"temperature": f"exp(-x/{depth}) * cos(x/{depth})"},
    }
    return hyco.read_measurements(file, EQUATION, section, {"train_sim": [0], "interpolation": "cubic"})


def fitted(soil, **options):
    learn = [{"name": "diffusivity", "initial_guess": 3e-5, "bounds": [1e-6, 0.2]}]
    method = options.pop("method", "Levenberg-Marquardt")
    return hyco.fit(EQUATION, soil, learn, method=method, profile=False, **options).estimate["diffusivity"]


def test_a_search_alone_stays_where_waves_do_not_reach_a_sensor(soil):
    assert fitted(soil, scan=0).value < 0.1 * TRUE


def test_a_fit_to_a_file_looks_around_unless_it_has_several_guesses(soil, caplog):
    with caplog.at_level("INFO"):
        found = fitted(soil)
        assert "Of 33 points" in caplog.text
        caplog.clear()
        fitted(soil, starts=2)
    assert found.interval[0] < TRUE < found.interval[1]
    assert "the search begins" not in caplog.text
    assert Observations.from_bundle(soil.to_bundle()).from_file


@pytest.mark.parametrize("method", ["Levenberg-Marquardt", "L-BFGS-B"])
def test_a_search_that_looks_around_first_finds_the_truth(method, soil, caplog):
    with caplog.at_level("INFO"):
        found = fitted(soil, scan=16, method=method)
    assert found.interval[0] < TRUE < found.interval[1]
    assert "Of 17 points the search begins at the best, another one" in caplog.text
