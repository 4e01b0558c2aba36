"""Every pipeline runs on a catalog in memory, and its nodes are called with what they name."""

from functools import cache
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
import xarray as xr
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

import hyco
from hyco.config import ConfigurationError
from hyco.fields import FieldSpec, Layout
from hyco.grid import Grid
from hyco.hybrid.correction import model_from_bundle
from hyco.observations import Observations
from hyco.pipeline_registry import register_pipelines
from hyco.pipelines.compare.nodes import compare_methods
from hyco.pipelines.evaluation import drawings
from hyco.pipelines.evaluation.figures import _free_share, _pictured, _sensors, plot_rollout_error
from hyco.pipelines.evaluation.nodes import roll_out_test_simulations
from hyco.pipelines.generation.nodes import generate_trajectories
from hyco.plots import predictions, to_png
from hyco.runtime.storage import Bundle, digest

TRAININGS = ["synthetic", "physical", "hybrid"]
PARAMETERS = {
    "experiment": "test",
    "seed": 0,
    "device": "cpu",
    "resume": False,
    "profile": False,
    "measurements": {},
    "equation": {
        "name": "burgers",
        "domain": {"x": {"size": 3.0, "resolution": 16}, "y": {"size": 2.0, "resolution": 12}},
        "dt": 0.05,
        "max_speed": 3.0,
        "parameters": {"viscosity": 0.1},
    },
    "generation": {"simulations": 3, "steps": 4, "length_scale": 0.5, "amplitude": 0.5},
    "observation": {"train_sim": [0], "val_sim": [1], "test_sim": [2], "noise": 0.01},
    "synthetic": {"network": {"name": "unet", "filters": 4, "levels": 1}, "epochs": 2, "num_predict_steps": 2},
    "physical": {
        "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.3, "bounds": [0.01, 1.0]}],
        "num_predict_steps": 2,
    },
    "hybrid": {"epochs": 2, "num_predict_steps": 2, "warmup_epochs": 1, "physical": {"max_iterations": 3}},
    "evaluation": {"simulation": 0, "channel": 1, "frames_per_second": 5.0},
    "compute": {},
}


# With physics there are more.
FIGURES = ["training_curves", "rollout_error", "predictions"]
PHYSICAL_FIGURES = [
    "parameter_estimates",
    "parameter_fields_figure",
    "identifiability",
    "profiles",
    "residuals",
    "residual_correlation",
]


class Kept(MemoryDataset):
    """Stands for a file: the runner cannot release it."""

    def _release(self):
        pass


class Collected(Kept):
    """Stands for a metrics file: what a generator saves accumulates."""

    def save(self, data):
        super().save([*(self.load() if self.exists() else []), data])


@cache
def simulated():
    """What the first node makes of these parameters; nobody changes it."""
    sections = {name: PARAMETERS[name] for name in ("equation", "generation", "measurements", "seed")}
    return generate_trajectories(None, None, **sections)


def catalog(parameters=PARAMETERS):
    datasets = {f"params:{key}": MemoryDataset(value) for key, value in parameters.items()}
    datasets["parameters"] = MemoryDataset(dict(parameters))
    datasets["run_command"] = MemoryDataset("kedro run")
    datasets["measurements"] = MemoryDataset(None)
    datasets["cached_trajectories"] = MemoryDataset(None)
    datasets["cached_observations"] = MemoryDataset(None)
    datasets["generation_results"] = datasets["physical_results"] = MemoryDataset(None)
    for training in TRAININGS:
        datasets[f"{training}_resume_point"] = MemoryDataset(None)
        datasets[f"{training}_metrics"] = Collected(copy_mode="assign")
    persistent = {f"{t}_checkpoint" for t in TRAININGS} | {
        "trajectories",
        "observations",
        "report",
        "profile",
        "profile_page",
        "report_page",
        "rollouts",
        "parameter_fields",
        "exchange",
        "physics_for_network",
        "network_for_physics",
        *FIGURES,
        *PHYSICAL_FIGURES,
    }
    for name in persistent | {"synthetic_model", "physical_model", "hybrid_synthetic_model", "hybrid_physical_model"}:
        datasets[name] = Kept(copy_mode="assign")
    return DataCatalog(datasets)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("synthetic", marks=pytest.mark.slow),
        pytest.param("physical", marks=pytest.mark.slow),
        "hybrid",
        pytest.param("__default__", marks=pytest.mark.slow),
    ],
)
def test_a_pipeline_runs_from_parameters_to_a_report(name):
    data = catalog(PARAMETERS | {"profile": name == "hybrid"})
    if name in ("hybrid", "__default__"):
        hybrid = PARAMETERS["hybrid"]
        physical = hybrid["physical"] | {"suppress_convergence_errors": True}
        data["params:hybrid"] = MemoryDataset(hybrid | {"physical": physical})
    SequentialRunner().run(register_pipelines()[name], data)
    report = data.load("report")
    expected = {
        "synthetic": {"synthetic"},
        "physical": {"physical"},
        "hybrid": {"hybrid_synthetic", "hybrid_physical"},
        "__default__": {"synthetic", "physical", "hybrid_synthetic", "hybrid_physical"},
    }[name]
    assert set(report["methods"]) == expected | {"persistence"}
    for method in expected:
        assert ("parameters" in report["methods"][method]) == method.endswith("physical")
    rollouts = data.load("rollouts").tensors
    assert {tuple(v.shape) for v in rollouts.values()} == {(1, 4, 2, 16, 12)}
    trainings = data.load("profile")["trainings"]
    assert list(trainings) == ([name] if name != "__default__" else TRAININGS)
    for entry in trainings.values():
        assert sum(row["share"] for row in entry["phases"]) == pytest.approx(1)
        assert bool(entry["operators"]) == (name == "hybrid")
    assert ("### Operators of physical updates" in data.load("profile_page")) == (name == "hybrid")
    make_page = ForkingPickler.loads(ForkingPickler.dumps(data.load("report_page")))  # another process may make it
    assert make_page().count("<img") >= 5
    for figure in FIGURES:
        assert to_png(data.load(figure)())
    for figure in PHYSICAL_FIGURES:
        assert data.exists(figure) == (name != "synthetic")
    assert data.exists("exchange") == (name in ("hybrid", "__default__"))
    if data.exists("exchange"):
        _require_exchange(data)


def _require_exchange(data):
    """What the models gave each other is what the equation has from that start with the estimate, and the network."""
    given = {name: data.load(name) for name in ("physics_for_network", "network_for_physics")}
    states = {name: bundle.tensors["predictions"] for name, bundle in given.items()}
    assert {tuple(tensor.shape) for tensor in states.values()} == {(1, 2, 2, 16, 12)}
    assert given["physics_for_network"].metadata["weight"] == given["network_for_physics"].metadata["weight"] == 0.5
    estimate = data.load("hybrid_physical_model")["parameters"]["viscosity"]["estimate"]
    equation = hyco.equation(PARAMETERS["equation"] | {"parameters": {"viscosity": estimate}})
    start = data.load("trajectories").tensors["trajectories"][:1, 0]
    expected = hyco.simulate(equation, initial_states=start, steps=2).states[:, 1:]
    torch.testing.assert_close(states["physics_for_network"], expected, rtol=1e-3, atol=1e-3)
    network = model_from_bundle(data.load("hybrid_synthetic_model"))
    torch.testing.assert_close(states["network_for_physics"], network.rollout(start, 2))
    assert not states["network_for_physics"].equal(states["physics_for_network"])


@pytest.mark.slow
def test_the_report_knows_what_the_hybrid_alone_learns():
    """Its own numbers with their truths, of which some have the same name as those of the physics alone."""

    def formula(true, **more):
        a = {"name": "a", "initial_guess": 0.3, "bounds": [0.01, 1.0], "true_value": true} | more
        return {"name": "viscosity", "kind": "expression", "expression": "a", "scalars": [a]}

    equation = PARAMETERS["equation"]
    parameters = PARAMETERS | {
        "equation": equation | {"max_convection": 2.0, "parameters": {"viscosity": 0.1, "convection": 1.0}},
        "physical": PARAMETERS["physical"] | {"learnable_parameters": [formula(0.1)]},
    }
    convection = {"name": "convection", "initial_guess": 0.8, "bounds": [0.1, 2.0]}
    own = {"learnable_parameters": [formula(0.2), convection], "suppress_convergence_errors": True}
    parameters["hybrid"] = PARAMETERS["hybrid"] | {"physical": {"max_iterations": 3} | own}
    data = catalog(parameters)
    SequentialRunner().run(register_pipelines()["__default__"].to_outputs("report", "parameter_estimates"), data)
    methods = data.load("report")["methods"]
    assert methods["physical"]["parameters"]["viscosity.a"]["true"] == 0.1
    found = methods["hybrid_physical"]["parameters"]
    assert found["viscosity.a"]["true"] == 0.2
    assert found["convection"]["true"] == 1.0
    assert found["convection"]["relative_error"] == pytest.approx(abs(found["convection"]["estimate"] - 1))
    shown = {axis.get_ylabel() for axis in data.load("parameter_estimates")().axes}
    assert shown == {"viscosity.a", "convection"}


def test_a_learnt_field_is_in_the_file_that_the_report_names_and_in_the_figures():
    parameters = PARAMETERS | {
        "equation": {
            "name": "heat",
            "domain": {"x": {"size": 3.0, "resolution": 16, "lower": -1.0}},
            "boundary": 0.0,
            "dt": 0.05,
            "max_diffusivity": 1.0,
            "parameters": {"diffusivity": "0.2 + 0.05 * x"},
        },
        "observation": PARAMETERS["observation"] | {"space": {"mode": "range", "x": [-1.0, 1.0]}},
        "physical": {
            "learnable_parameters": [
                {"name": "diffusivity", "kind": "fourier", "modes": 1, "offset": 0.2, "prior_std": 0.1}
            ],
            "num_predict_steps": 3,
            "suppress_convergence_errors": True,
        },
        "evaluation": PARAMETERS["evaluation"] | {"channel": 0},
    }
    data = catalog(parameters)
    SequentialRunner().run(register_pipelines()["physical"], data)
    entry = data.load("report")["methods"]["physical"]["parameters"]["diffusivity"]
    assert entry["file"] == "parameter_fields.safetensors"
    bundle = data.load("parameter_fields")
    assert {name: tuple(v.shape) for name, v in bundle.tensors.items()} == dict.fromkeys(
        [*(f"physical/diffusivity/{kind}" for kind in ("estimate", "std", "lower", "upper")), "truth/diffusivity"],
        (16,),
    )
    axis = data.load("parameter_fields_figure")().axes[0]
    assert axis.get_ylabel() == "diffusivity [length²/time]"
    marks = next(line for line in axis.lines if line.get_marker() == "|")
    assert np.max(marks.get_xdata()) < 1.0
    time, space = data.load("residuals")().axes
    assert len(time.lines[-1].get_xdata()) == 3
    assert np.max(space.lines[-1].get_xdata()) < 1.0
    model = data.load("physical_model")
    assert 0.8 < _free_share(model, [0, 30, 30, 30]) < 1.0  # three numbers, a prior on each
    labels = [t.get_text() for t in data.load("identifiability")().axes[1].get_yticklabels()]
    assert labels == ["diffusivity.mean", "diffusivity.cos 1", "diffusivity.sin 1"]


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_the_pictured_channel_is_cropped_to_its_faces(channel):
    grid = Grid(("x", "y"), (1.0, -2.0), (2.0, 3.0), (4, 6))
    layout = Layout(grid, (FieldSpec("smoke"), FieldSpec("velocity", ("x", "y"), staggered=True, boundary=0.0)))
    states = torch.zeros(1, 3, 3, *layout.shape)
    states[(..., *layout.index(channel, 0))] = 1.0
    rollouts = Bundle({"truth": states, "physical": states}, {"layout": layout.to_dict(), "dt": 0.1})
    pictured = drawings._pictured(_pictured(rollouts, {"simulation": 0, "channel": channel}))
    shape = {0: (4, 6), 1: (3, 6), 2: (4, 5)}[channel]
    assert pictured["truth"].shape == pictured["predictions"]["physical"].shape == (3, 1, *shape)
    assert (pictured["truth"] == 1).all()
    assert pictured["grid"].resolution == shape
    faces = {0: 1.25, 1: 1.5, 2: 1.25}[channel]
    assert pictured["grid"].centers("x")[0] == pytest.approx(faces)
    assert pictured["channels"] == (layout.channels[channel],)


def test_of_three_dimensions_the_middle_plane_is_pictured():
    layout = Layout(Grid(("x", "y", "z"), (0.0,) * 3, (1.0, 2.0, 4.0), (4, 5, 8)), (FieldSpec("u"),))
    states = torch.arange(8.0).expand(1, 2, 1, 4, 5, 8)
    rollouts = Bundle({"truth": states}, {"layout": layout.to_dict(), "dt": 0.1})
    pictured = drawings._pictured(_pictured(rollouts, {"simulation": 0, "channel": 0}))
    assert pictured["truth"].shape == (2, 1, 4, 5)
    assert (pictured["truth"] == 4).all()
    assert pictured["channels"] == ("u at $z$ = 2.25",)
    predictions(**pictured)


@pytest.mark.parametrize(
    "equation",
    [
        {"name": "darcy", "domain": PARAMETERS["equation"]["domain"], "parameters": {"permeability": 1.0}},
        {**PARAMETERS["equation"], "dt": "0.05"},
    ],
    ids=["left out", "a text"],
)
def test_the_time_step_of_a_picture_is_the_equations_own(equation):
    report = {"methods": {"persistence": {"nrmse": {"per_step": [1.0]}}}}
    layout = {"grid": {"axes": ["x", "y"]}}
    rollouts = Bundle({"truth": torch.zeros(3, 1, 1, 2, 2)}, {"layout": layout})
    figure = plot_rollout_error(report, Bundle({}, {}), rollouts, equation)()
    assert figure.axes[0].get_title(loc="left") == "mean over 3 test simulations"


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"seed": 1}, "seed: 0 there, 1 now"),
        ({"generation": {**PARAMETERS["generation"], "steps": 3}}, r"generation\.steps: 4 there, 3 now"),
        (
            {"equation": {**PARAMETERS["equation"], "parameters": {"viscosity": 0.2}}},
            r"equation\.parameters\.viscosity: 0\.1 there, 0\.2 now",
        ),
    ],
    ids=["seed", "generation", "equation"],
)
def test_simulations_of_another_configuration_are_not_evaluated(change, difference):
    sections = {name: PARAMETERS[name] for name in ("equation", "generation", "seed")}
    made = simulated()
    seen = own_measurements().load("observations")
    with pytest.raises(ConfigurationError, match=rf"another configuration \({difference}\)"):
        roll_out_test_simulations(made, seen, observation=PARAMETERS["observation"], **{**sections, **change})


def test_trajectories_of_the_same_origin_are_reused_and_others_are_not():
    arguments = (None, PARAMETERS["equation"], PARAMETERS["generation"], {})
    first = simulated()
    assert generate_trajectories(first, *arguments, 0) is first
    assert generate_trajectories(first, *arguments, 1) is not first


def own_measurements():
    """A catalog in which a user's own measurements lie, with holes and noise, and no truth."""
    alone = {"alpha": 1.0, "physical": {"max_iterations": 50}}  # the network knows nothing after two epochs
    parameters = PARAMETERS | {"hybrid": PARAMETERS["hybrid"] | alone}
    data = catalog(parameters)
    truth = simulated()
    states = truth.tensors["trajectories"]
    measured = states + 0.01 * torch.randn(states.shape, generator=torch.Generator().manual_seed(0))
    measured[:, 1:, :, ::3] = torch.nan
    measured[:, 3] = torch.nan
    layout = Layout.from_dict(truth.metadata["layout"])
    observations = Observations(
        values=measured.nan_to_num(),
        mask=measured.isfinite(),
        initial_states=measured[:, 0],
        initial_state="full",
        noise_std=torch.tensor([0.01, 0.01], dtype=torch.float64),
        train=[0],
        val=[1],
        layout=layout,
        dt=0.05,
    )
    data.save("observations", observations.to_bundle())
    bundle = Bundle({"trajectories": measured}, {"layout": layout.to_dict(), "dt": 0.05})
    data.save("trajectories", bundle)
    data["cached_trajectories"] = MemoryDataset(bundle, copy_mode="assign")
    data["cached_observations"] = MemoryDataset(observations.to_bundle(), copy_mode="assign")
    return data


@pytest.mark.slow
def test_own_measurements_have_a_report_without_a_truth():
    data = own_measurements()
    SequentialRunner().run(register_pipelines()["hybrid"], data)
    report = data.load("report")
    assert report["measured"]
    estimate = report["methods"]["hybrid_physical"]["parameters"]["viscosity"]
    assert (estimate["true"], estimate["relative_error"]) == (None, None)
    assert estimate["std"] < 3e-3
    assert estimate["estimate"] == pytest.approx(0.1, abs=4 * estimate["std"])
    for entry in report["methods"].values():
        assert entry["nrmse"]["steps"] == [1, 2, 4]
        assert len(entry["nrmse"]["per_step"]) == 3
        assert entry["nrmse"]["mean"] == pytest.approx(sum(entry["nrmse"]["per_step"]) / 3)
    noise = 0.01 / float(data.load("rollouts").tensors["truth"].nan_to_num().std())
    assert report["methods"]["hybrid_physical"]["nrmse"]["mean"] < 10 * noise
    for figure in (*FIGURES, *PHYSICAL_FIGURES):
        assert to_png(data.load(figure)())
    (lines,) = {tuple(line.get_xdata()) for line in data.load("rollout_error")().axes[0].lines}
    assert lines == pytest.approx((0.05, 0.1, 0.2))
    assert "truth" not in {h.get_label() for h in data.load("parameter_estimates")().legends[0].legend_handles}


@pytest.mark.parametrize("whole", [True, False], ids=["with trajectories", "observations alone"])
def test_own_measurements_are_taken_over_and_nothing_is_simulated(whole):
    data = own_measurements()
    own = data.load("observations")
    if not whole:
        data["cached_trajectories"] = MemoryDataset(None)
    SequentialRunner().run(register_pipelines()["generation"], data)
    assert digest(data.load("observations")) == digest(own)
    assert bool(data.load("trajectories").tensors) == whole


def test_models_of_other_observations_are_not_evaluated():
    sections = {key: PARAMETERS[key] for key in ("equation", "generation", "observation", "seed")}
    model = {"training": {"observations": "of another file"}}
    with pytest.raises(ConfigurationError, match="physical was trained on other observations than there are now"):
        roll_out_test_simulations(simulated(), own_measurements().load("observations"), **sections, physical=model)


def test_sensors_are_shown_where_the_start_was_measured_whole():
    layout = Layout(Grid(("x",), (0.0,), (2.0,), (8,)), (FieldSpec("u"),))
    values = torch.ones(1, 3, 1, 8, dtype=torch.float64)
    mask = torch.zeros(values.shape, dtype=torch.bool)
    mask[:, 0], mask[:, 1:, :, :2] = True, True
    places = torch.tensor([0.3, 1.1], dtype=torch.float64).expand(1, 3, 2)[..., None]
    known = {"initial_state": "full", "positions": places}
    seen = Observations(values, mask, torch.ones(1, 1, 8), torch.ones(1), [0], [], layout, 0.1, **known)
    assert _sensors(seen).tolist() == [[0.3], [1.1]]


def test_own_files_are_not_overwritten_by_a_file_of_measurements():
    data = own_measurements()
    data["params:measurements"] = MemoryDataset({"file": "mine.csv"})
    with pytest.raises(
        ConfigurationError, match=r"mine\.csv, but the experiment's folder holds trajectories of your own"
    ):
        SequentialRunner().run(register_pipelines()["generation"], data)
    data["cached_trajectories"] = MemoryDataset(None)
    data["measurements"] = MemoryDataset(xr.Dataset())
    with pytest.raises(
        ConfigurationError, match=r"mine\.csv, but the experiment's folder holds observations of your own"
    ):
        SequentialRunner().run(register_pipelines()["generation"], data)


def test_own_trajectories_without_observations_are_told_of():
    data = own_measurements()
    data["cached_observations"] = MemoryDataset(None)
    with pytest.raises(ConfigurationError, match="there are no observations of them"):
        SequentialRunner().run(register_pipelines()["generation"], data)


def test_own_observations_are_the_same_for_all_variants_of_a_comparison(tmp_path):
    variants = {"noisy": {"method": "persistence", "overrides": {"observation": {"noise": 0.3}}}}
    sections = {k: v for k, v in PARAMETERS.items() if k not in ("evaluation", "profile")}
    sections["compare"] = {"seeds": [0], "methods": "none", "variants": variants}
    own = own_measurements().load("observations")
    with pytest.raises(
        ConfigurationError, match=r"^compare\.variants\.noisy\.overrides\.observation: cannot be changed"
    ):
        next(compare_methods(None, own, None, tmp_path, **sections))


def test_own_observations_are_not_compared_with_simulations():
    sections = {key: PARAMETERS[key] for key in ("equation", "generation", "observation", "seed")}
    with pytest.raises(ConfigurationError, match="the observations are measurements"):
        roll_out_test_simulations(simulated(), own_measurements().load("observations"), **sections)


def test_a_test_simulation_begins_with_a_whole_state_that_is_there():
    data = own_measurements()
    trajectories, seen = data.load("trajectories"), data.load("observations")
    sections = {key: PARAMETERS[key] for key in ("equation", "generation", "seed")}
    trajectories.tensors["trajectories"][2, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"give `test_initial_states`"):
        roll_out_test_simulations(trajectories, seen, observation=PARAMETERS["observation"], **sections)
    # Told before anything is trained, too.
    data["cached_trajectories"] = MemoryDataset(trajectories, copy_mode="assign")
    with pytest.raises(ConfigurationError, match=r"own trajectories: .*give `test_initial_states`"):
        SequentialRunner().run(register_pipelines()["generation"], data)
    observation = PARAMETERS["observation"] | {"test_sim": [3]}
    with pytest.raises(ValueError, match="names simulation 3; there are 3, from 0 on"):
        roll_out_test_simulations(trajectories, seen, observation=observation, **sections)
