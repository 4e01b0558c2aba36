"""The error of grid and time step in an estimate: against truths that come from no grid."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import hyco
from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.linearisation import Linearisation
from hyco.observations import Observations
from hyco.stepping.refinement import Refinement, refined

DIFFUSIVITY, TIMES = 0.08, np.array([0.25, 0.5, 0.75, 1.0])


class Plate:
    """Heat on 3 × 2: the left wall at 0, the right one insulated, periodic along y; exact, by its waves."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.waves = [
            (
                (k + 0.5) * np.pi / 3,
                np.pi * m,
                self.rng.normal() * np.exp(-0.15 * ((k + 0.5) ** 2 * (np.pi / 3) ** 2 + (np.pi * m) ** 2)),
                self.rng.uniform(0, 2 * np.pi),
            )
            for k in range(4)
            for m in range(3)
        ]

    def values(self, t, x, y):
        return sum(
            a * np.sin(k * x) * np.cos(m * y + phase) * np.exp(-DIFFUSIVITY * t * (k**2 + m**2))
            for k, m, a, phase in self.waves
        )

    @property
    def formula(self):
        return " + ".join(
            f"{float(a)!r} * sin({float(k)!r} * x) * cos({float(m)!r} * y + {float(phase)!r})"
            for k, m, a, phase in self.waves
        )

    def fit(self, folder, cells, *, sensors, interpolation="linear", resolution=None, profile="auto", **keys):
        """The diffusivity from values with 1 % noise, in the cells or at 60 places; second order unless told so."""
        if sensors:
            x, y = self.rng.uniform(0, 3, 60), self.rng.uniform(0, 2, 60)
        else:
            grid = [(np.arange(n) + 0.5) * size / n for n, size in zip(cells, (3, 2), strict=True)]
            x, y = (c.ravel() for c in np.meshgrid(*grid, indexing="ij"))
        t, x, y = (c.ravel() for c in np.broadcast_arrays(TIMES[:, None], x, y))
        values = self.values(t, x, y)
        noise = 0.01 * values.std()
        values = values + noise * self.rng.normal(size=values.shape)
        file = folder / "plate.csv"
        np.savetxt(file, np.stack([t, x, y, values], axis=1), delimiter=",", header="t,x,y,T", comments="")
        equation = hyco.equation(
            {
                "name": "heat",
                "domain": {a: {"size": s, "resolution": n} for a, s, n in zip("xy", (3.0, 2.0), cells, strict=True)},
                "boundary": {"x": {"lower": 0.0, "upper": "neumann"}, "y": "periodic"},
                "dt": 0.05,
                "parameters": {"diffusivity": 0.2},
                "max_diffusivity": 0.4,
                "order": 2,
                **keys,
            }
        )
        section = {
            "time": "t",
            "axes": {"x": "x", "y": "y"},
            "fields": {"temperature": "T"},
            "std": {"temperature": float(noise)},
            "start": 0.0,
            "initial": {"temperature": self.formula},
        }
        observation = {"train_sim": [0], "interpolation": interpolation}
        observations = hyco.read_measurements(str(file), equation, section, observation)
        learn = [{"name": "diffusivity", "initial_guess": 0.2, "bounds": [0.005, 0.4]}]
        options = {"method": "Levenberg-Marquardt", "resolution": resolution, "profile": profile}
        return hyco.fit(equation, observations, learn, **options).estimate["diffusivity"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cells", "sensors", "keys"),
    [
        ((18, 10), True, {}),
        ((18, 10), False, {}),
        ((36, 20), False, {}),
        ((36, 20), True, {"form": "nondivergence", "order": 4}),
    ],
    ids=["coarse-sensors", "coarse-cells", "cells", "sensors-read-linearly"],
)
def test_the_predicted_error_is_the_actual_one_and_the_interval_holds_the_truth(tmp_path, cells, sensors, keys):
    found = [Plate(seed).fit(tmp_path, cells, sensors=sensors, **keys) for seed in range(3)]
    actual = np.array([(e.value - DIFFUSIVITY) / e.std for e in found])
    predicted = np.array([e.discretisation / e.std for e in found])
    assert abs(actual.mean()) > 2  # the noise's error bar alone would miss the truth
    # Beside 30 % of it, the mean of three has the noise of 1/√3.
    assert abs(predicted.mean() - actual.mean()) < 0.3 * abs(predicted.mean()) + 2 / np.sqrt(3)
    assert all(e.interval[0] <= DIFFUSIVITY <= e.interval[1] for e in found)


def test_with_the_defaults_the_grid_adds_next_to_nothing(tmp_path):
    """Of sixty sensors on 18 × 10 cells, where second-order differences are ten standard deviations off."""
    found = Plate(1).fit(tmp_path, (18, 10), sensors=True, interpolation="cubic", order="auto")
    assert abs(found.value - DIFFUSIVITY) < 3 * found.std
    assert abs(found.discretisation) < 0.7 * found.std
    assert found.interval[0] <= DIFFUSIVITY <= found.interval[1]


@pytest.mark.parametrize("sensors", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_error_of_a_model_on_a_coarser_grid_than_the_data_is_covered(tmp_path, sensors):
    keys = {"sensors": sensors, "interpolation": "cubic", "resolution": {"x": 18, "y": 10}}
    found = Plate(2).fit(tmp_path, (36, 20), **keys)
    actual, predicted = (found.value - DIFFUSIVITY) / found.std, found.discretisation / found.std
    assert abs(actual) > 4
    assert abs(predicted - actual) < 0.3 * abs(predicted) + 2
    assert found.interval[0] <= DIFFUSIVITY <= found.interval[1]


@pytest.mark.slow
def test_the_error_of_a_learnt_field_is_a_map_and_its_interval_covers_it(tmp_path):
    """A diffusivity m + c cos(πx/2) in a rod, of second-order differences in 16 cells, from a fine solution."""
    n, cells = 720, 16  # an odd multiple: the centres of the cells are among those of the fine ones
    x, h = (np.arange(n) + 0.5) * 2 / n, 2 / n
    face = (0.05 + 0.03 * np.cos(np.pi * np.arange(1, n) * h / 2)) / h**2
    matrix = np.diag(np.r_[0.0, -face]) + np.diag(np.r_[-face, 0.0]) + np.diag(face, 1) + np.diag(face, -1)
    values, vectors = np.linalg.eigh(matrix)
    waves = [(1.0, np.pi / 2), (0.7, np.pi), (-0.8, 2 * np.pi), (0.5, 2.5 * np.pi)]
    states = np.exp(np.outer(TIMES, values)) * (vectors.T @ sum(a * np.cos(w * x) for a, w in waves)) @ vectors.T
    seen, rng = states[:, 22::45], np.random.default_rng(0)
    noise = 0.005 * seen.std()
    t, place = np.meshgrid(TIMES, x[22::45], indexing="ij")
    table = np.stack([t.ravel(), place.ravel(), (seen + noise * rng.normal(size=seen.shape)).ravel()], axis=1)
    np.savetxt(tmp_path / "rod.csv", table, delimiter=",", header="t,x,T", comments="")
    section = {"name": "heat", "domain": {"x": {"size": 2.0, "resolution": cells}}, "boundary": "neumann", "dt": 0.05}
    equation = hyco.equation(section | {"max_diffusivity": 0.3, "parameters": {"diffusivity": 0.06}})
    start = " + ".join(f"{a!r} * cos({float(w)!r} * x)" for a, w in waves)
    keys = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": float(noise), "start": 0.0}
    keys["initial"] = {"temperature": start}
    observations = hyco.read_measurements(str(tmp_path / "rod.csv"), equation, keys, {"train_sim": [0]})
    numbers = [
        {"name": "m", "initial_guess": 0.06, "bounds": [0.01, 0.2]},
        {"name": "c", "initial_guess": 0.0, "bounds": [-0.06, 0.06]},
    ]
    learn = [{"name": "diffusivity", "kind": "expression", "expression": "m + c*cos(pi*x/2)", "scalars": numbers}]
    estimate = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate
    found, true = estimate["diffusivity"], 0.05 + 0.03 * np.cos(np.pi * x[22::45] / 2)
    actual, predicted = (found.value.numpy() - true) / found.std.numpy(), (found.discretisation / found.std).numpy()
    assert np.abs(actual).max() > 3
    assert np.abs(predicted - actual).max() < 0.3 * np.abs(predicted).max() + 2
    low, high = (end.numpy() for end in found.interval)
    assert ((low <= true) & (true <= high)).all()
    kept = PhysicalEstimate.from_bundle(estimate.to_bundle())["diffusivity"]
    assert torch.equal(kept.discretisation, found.discretisation)
    assert PhysicalEstimate.from_json(estimate.to_json())["diffusivity"].interval[0].tolist() == low.tolist()


def burgers(places, times, waves, viscosity, length):
    """Exact to six digits: a Fourier method of lines on 256 points, integrated by SciPy; `[times, places]`."""
    n = 256
    x = np.arange(n) * length / n
    k = 2 * np.pi * np.fft.rfftfreq(n, length / n)
    kept = k < 2 / 3 * k.max()

    def rate(t, spectrum):
        u = np.fft.irfft(spectrum, n)
        return -0.5j * k * kept * np.fft.rfft(u * u) - viscosity * k**2 * spectrum

    begun = np.fft.rfft(sum(a * np.sin(w * x + phase) for w, a, phase in waves))
    tolerances = {"rtol": 1e-7, "atol": 1e-8 * np.abs(begun).max()}
    spectra = solve_ivp(rate, (0, times[-1]), begun, t_eval=times, **tolerances).y.T / n
    spectra[:, 1:-1] *= 2
    return (spectra[:, None] * np.exp(1j * np.outer(places, k))).real.sum(axis=2)


@pytest.mark.slow
def test_the_convection_of_upwind_differences_is_covered(tmp_path):
    """Viscosity and convection from a truth without upwind differences: χ² is 1, and the noise's bar misses it."""
    length, cells, true = 10.0, 128, {"viscosity": 0.1, "convection": 1.0}
    places, times = (np.arange(cells) + 0.5) * length / cells, np.array([0.5, 1.0, 1.5, 2.0])
    section = {"name": "burgers", "domain": {"x": {"size": length, "resolution": cells}}, "dt": 0.05}
    section |= {"scheme": "upwind", "max_convection": 2.0, "parameters": {"viscosity": 0.2, "convection": 1.0}}
    equation = hyco.equation(section)
    learn = [
        {"name": "viscosity", "initial_guess": 0.3, "bounds": [0.005, 1.0]},
        {"name": "convection", "initial_guess": 0.8, "bounds": [0.3, 2.0]},
    ]
    held = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        waves = [
            (w := 2 * np.pi * m / length, 1.2 * rng.normal() * np.exp(-0.25 * w**2), rng.uniform(0, 6.28))
            for m in range(1, 7)
        ]
        values = burgers(places, times, waves, true["viscosity"], length)
        noise = 0.01 * values.std()
        values = values + noise * rng.normal(size=values.shape)
        t, x = np.meshgrid(times, places, indexing="ij")
        table = np.stack([t.ravel(), x.ravel(), values.ravel()], axis=1)
        np.savetxt(tmp_path / "flow.csv", table, delimiter=",", header="t,x,u", comments="")
        start = " + ".join(f"{float(a)!r} * sin({float(w)!r} * x + {float(phase)!r})" for w, a, phase in waves)
        keys = {"time": "t", "axes": {"x": "x"}, "fields": {"velocity x": "u"}, "std": {"velocity x": float(noise)}}
        keys |= {"start": 0.0, "initial": {"velocity x": start}}
        observations = hyco.read_measurements(str(tmp_path / "flow.csv"), equation, keys, {"train_sim": [0]})
        estimate = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate
        assert estimate.reduced_chi_square < 1.3
        for name, value in true.items():
            found = estimate[name]
            held.append(found.interval[0] <= value <= found.interval[1])
            assert abs(found.value - found.discretisation - value) < 3.5 * found.std
    assert sum(held) >= 5


def test_without_it_the_interval_is_that_of_the_noise(tmp_path):
    plate = Plate(0)
    with_grid = plate.fit(tmp_path, (18, 10), sensors=False)
    half = 1.96 * with_grid.std
    ends = sorted([with_grid.value, with_grid.value - 1.25 * with_grid.discretisation])
    assert with_grid.interval == pytest.approx((ends[0] - half, ends[1] + half), rel=1e-2)


@pytest.mark.parametrize("walls", ["periodic", "neumann"])
def test_states_come_to_the_finer_grid_and_back_at_sixth_order(walls):
    errors = []
    for n in (16, 32):
        grid = Grid(("x",), (0.5,), (2.0,), (n,))
        equation = build_equation(
            {
                "name": "heat",
                "domain": {"x": {"size": 2.0, "lower": 0.5, "resolution": n}},
                "boundary": walls,
                "dt": 0.1,
                "parameters": {"diffusivity": 0.1},
            }
        )
        finer = Refinement(refined(equation, 1.0, {"diffusivity": torch.tensor(0.1)}), equation.layout, equation.dt)
        fine = Layout(finer.layout.grid, (FieldSpec("u"),)).grid

        def wave(g):
            return torch.sin(2 * torch.pi * torch.from_numpy(g.centers("x")) + 0.3)[None, None]

        assert fine.resolution == (2 * n,)
        errors.append(float((finer.prolong(wave(grid)) - wave(fine)).abs().max()))
        assert float((finer.restrict(wave(fine)) - wave(grid)).abs().max()) < 0.1 * errors[-1]
    assert np.log2(errors[0] / errors[1]) > 5.5


def smoke(cells, dt):
    """A puff in a closed box, with its velocity on the faces."""
    domain = {axis: {"size": 1.0, "resolution": cells} for axis in "xy"}
    parameters = {"buoyancy": 1.0, "viscosity": 0.01, "diffusivity": 0.01}
    return build_equation({"name": "smoke", "domain": domain, "dt": dt, "parameters": parameters})


def velocities(layout):
    """A smooth state `[1, C, *space]` that is no puff: 0 at walls that hold the velocity."""
    grid = layout.grid
    x, y = (torch.from_numpy(grid.centers(axis)) for axis in "xy")
    faces = torch.arange(1, grid.resolution[0], dtype=torch.float64) * grid.spacing[0]
    states = torch.zeros((1, len(layout.channels), *layout.shape), dtype=torch.float64)
    along, across = torch.sin(torch.pi * faces), torch.cos(2 * x)
    values = (torch.outer(torch.cos(x), torch.exp(y)), torch.outer(along, across), torch.outer(across, along))
    for channel, value in enumerate(values):
        states[layout.index(channel, 1)] = value
    return states


def test_states_on_faces_come_to_the_finer_grid_and_back_too():
    errors = []
    for n in (12, 24):
        equation = smoke(n, 0.05)
        finer = Refinement(refined(equation, 1.0, {"viscosity": torch.tensor(0.01)}), equation.layout, equation.dt)
        own, fine = velocities(equation.layout), velocities(finer.layout)
        errors.append((finer.prolong(own) - fine).abs().amax(dim=(0, 2, 3)))
        assert bool(((finer.restrict(fine) - own).abs().amax(dim=(0, 2, 3)) < 0.2 * errors[-1]).all())
        assert bool((finer.prolong(own)[0][~finer.layout.valid] == 0).all())
    assert bool((torch.log2(errors[0] / errors[1]) > 5.0).all())


@pytest.mark.slow
def test_the_error_of_a_grid_with_values_on_faces_is_predicted():
    """Measured where a grid of three times as many cells has values too."""
    own, fine = smoke(12, 0.05), smoke(36, 0.025)
    x, y = (torch.from_numpy(fine.layout.grid.centers(axis)) for axis in "xy")
    start = torch.zeros((3, *fine.layout.shape), dtype=torch.float64)
    start[0, :-1, :-1] = torch.exp(-8 * ((x[:, None] - 0.5) ** 2 + (y - 0.4) ** 2))
    states = torch.as_tensor(hyco.simulate(fine, initial_states=start[None], steps=16).states)[0, ::2]
    truth = Refinement(fine, own.layout, own.dt).restrict(states)
    noise = 0.01 * truth.std(dim=(0, 2, 3))
    random = torch.randn(truth.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = own.layout.valid.expand(truth.shape).clone()
    values = (truth + noise[:, None, None] * random) * mask
    mask[0] = False
    given = {"train": [0], "val": [], "dt": own.dt, "initial_state": "exact", "initial_states": truth[None, 0]}
    seen = Observations(values=values[None], mask=mask[None], noise_std=noise, layout=own.layout, **given)
    learn = [{"name": "viscosity", "initial_guess": 0.02, "bounds": [0.001, 0.05]}]
    found = hyco.fit(own, seen, learn, method="Levenberg-Marquardt").estimate["viscosity"]
    assert found.value - 0.01 > 5 * found.std
    assert found.discretisation == pytest.approx(found.value - 0.01, rel=0.3)
    assert found.interval[0] <= 0.01 <= found.interval[1]


def test_what_a_training_owes_is_worked_out_with_one_jacobian(tmp_path, monkeypatch):
    """Covariance, tests of the residuals and the error of the grid."""
    columns, counts = Linearisation.columns, []

    def counted(self, which=None):
        counts.append(1)
        return columns(self, which)

    conclude = Calibrator.conclude

    def concluded(self):
        counts.clear()
        self.model.assessor.forget()
        conclude(self)
        assert len(counts) == 1

    monkeypatch.setattr(Linearisation, "columns", counted)
    monkeypatch.setattr(Calibrator, "conclude", concluded)
    found = Plate(0).fit(tmp_path, (9, 6), sensors=False, profile=False)
    assert found.discretisation is not None
    assert counts


def test_the_finer_equation_takes_eulers_method_where_that_was_asked_for():
    keys = {"domain": {"x": {"size": 1.0, "resolution": 16}}, "boundary": "neumann", "dt": 0.1, "scheme": "differences"}
    keys |= {"order": 2, "rates": {"u": "D*laplace(u)"}, "parameters": {"D": 0.05}, "integrator": "explicit"}
    for stages, order in ((1, 1.0), ("auto", 2.0)):
        equation = build_equation({"name": "formula", **keys, "stages": stages})
        finer = refined(equation, 1.0, {"D": torch.tensor(0.05)})
        assert (finer.config.stages == 1) == (stages == 1)
        assert equation.config.convergence_order == order
        if stages == 1:
            shortest = 4 * 0.05 * 32**2
            assert finer.dt / finer.substeps * shortest <= 2.0


def test_the_finer_equation_has_half_the_step_and_its_own_ranges():
    section = {"name": "gray_scott", "domain": {"x": {"size": 51.2, "resolution": 32}}, "dt": 4.0, "substeps": 10}
    rates = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
    equation = build_equation({**section, "parameters": rates})
    values = {name: torch.tensor(value) for name, value in rates.items()}
    finer = refined(equation, 1.0, values)
    assert finer.layout.grid.resolution == (64,)
    assert finer.dt / finer.substeps <= 0.5 * equation.dt / equation.substeps * (1 + 1e-9)
    assert 4.0 / finer.dt == pytest.approx(round(4.0 / finer.dt))
