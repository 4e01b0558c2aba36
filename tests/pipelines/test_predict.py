"""`--pipelines predict`: whatever an experiment has trained predicts, from a file or from the end of the data."""

import logging

import numpy as np
import pytest
import torch
import xarray as xr
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from phi import math

import hyco
from hyco.datasets.field import FieldDataset
from hyco.datasets.netcdf import NetCDFDataset
from hyco.datasets.states import StatesDataset
from hyco.datasets.trained import TrainedModelsDataset
from hyco.equations.registry import build_equation
from hyco.fields import layout_of
from hyco.pipeline_registry import register_pipelines
from hyco.predictions.files import PredictionError
from hyco.predictions.sources import Left, trained_models
from hyco.runtime.storage import Bundle

EQUATION = {
    "name": "heat",
    "domain": {"x": {"size": 1.0, "resolution": 12}, "y": {"size": 2.0, "resolution": 8}},
    "boundary": 0.0,
    "dt": 0.05,
    "max_diffusivity": 0.1,
    "parameters": {"diffusivity": 0.02},
}
LEARN = [{"name": "diffusivity", "initial_guess": 0.05, "bounds": [0.001, 0.1]}]
OBSERVATION = {"train_sim": [2, 0], "val_sim": [1], "noise": 0.01, "initial_state": "full"}
NETWORK = {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "epochs": 1}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """The folder of models of all trainings, the observations and what was trained."""
    folder = tmp_path_factory.mktemp("models")
    equation = hyco.equation(EQUATION)
    trajectories = hyco.simulate(equation, simulations=3, steps=4, length_scale=0.5)
    observations = hyco.observe(trajectories, OBSERVATION)
    options = {"initial_state": {"length_scale": 0.5}, "suppress_convergence_errors": True}
    physics = hyco.fit(equation, observations, LEARN, method="Levenberg-Marquardt", **options)
    network = hyco.train_network(observations, NETWORK)
    for one in (physics, network):
        one.save(folder)
    return folder, observations, physics, network


def predicted(tmp_path, experiment, file=None, steps=None, **changes):
    folder, observations, *_ = experiment
    path = tmp_path / "predictions.nc"
    sections = {"equation": EQUATION, "observation": OBSERVATION, "experiment": "mine", "seed": 3} | changes
    sections["predict"] = {"initial_states": None if file is None else str(file), "steps": steps}
    datasets = {f"params:{key}": MemoryDataset(value) for key, value in sections.items()}
    catalog = DataCatalog(
        datasets
        | {
            "trained_models": TrainedModelsDataset(str(folder)),
            "measurements": MemoryDataset(None),
            "params:measurements": MemoryDataset({}),
            "prediction_states": StatesDataset(None if file is None else str(file)),
            "cached_observations": MemoryDataset(None if observations is None else observations.to_bundle(), "assign"),
            "predicted_states": NetCDFDataset(str(path)),
            "predicted_fields": FieldDataset(str(tmp_path / "predicted_fields.safetensors")),
        }
    )
    SequentialRunner().run(register_pipelines()["predict"], catalog)
    assert not list(path.parent.glob(".*"))
    return xr.load_dataset(path, engine="h5netcdf"), catalog


def test_from_the_end_of_the_data_all_that_was_trained_predicts(tmp_path, experiment):
    _, observations, physics, network = experiment
    data, catalog = predicted(tmp_path, experiment)
    assert data.simulation.to_numpy().tolist() == [2, 0]
    assert np.allclose(data.time, 0.05 * np.arange(5, 9))
    assert list(data["physical.temperature"].dims) == ["simulation", "time", "x", "y"]
    expected = physics.rollout(physics.initial_states, 8)[:, 4:, 0]
    assert np.array_equal(data["physical.temperature"], expected)
    assert (data["physical.temperature_std"] > 0).all()
    starts = observations.initial_states[observations.train]
    assert np.array_equal(data["synthetic.temperature"], network.rollout(starts, 8)[:, 4:, 0])
    assert "synthetic.temperature_std" not in data
    assert data.attrs["experiment"] == "mine"
    assert data.attrs["equation"] == "heat"
    assert data.attrs["hyco_version"] == hyco.__version__
    assert catalog.load("predicted_states").identical(data)
    assert len(catalog.get("predicted_states").preview()["data"]) == 3
    fields = catalog.load("predicted_fields")
    assert set(fields) == {"physical.temperature", "synthetic.temperature"}
    with math.precision(64):  # PhiML gives out values in its current precision
        values = fields["physical.temperature"].values.numpy("simulation,time,x,y")
    assert np.array_equal(values, data["physical.temperature"])
    assert layout_of(fields).boundaries == build_equation(EQUATION).layout.boundaries


@pytest.mark.slow
def test_from_states_of_a_file_the_predictions_are_rollouts(tmp_path, experiment):
    *_, physics, network = experiment
    x, y = (np.arange(12) + 0.5) / 12, (np.arange(8) + 0.5) / 4
    states = np.sin(np.pi * x)[:, None] * np.sin(np.pi * y / 2)
    xr.Dataset({"temperature": (("y", "x"), states.T)}, {"x": x, "y": y}).to_netcdf(
        tmp_path / "mine.nc", engine="h5netcdf"
    )
    data, _ = predicted(tmp_path, experiment, tmp_path / "mine.nc", steps=3)
    for method, one in (("physical", physics), ("synthetic", network)):
        assert np.array_equal(data[f"{method}.temperature"], one.rollout(states[None, None], 3)[:, :, 0])
    assert data.time[0] == 0.05
    assert data.attrs["begins_with"].endswith("mine.nc")
    # The last state of the predictions is one to begin with.
    last = data.isel(time=-1).rename({"physical.temperature": "temperature"})
    last.to_netcdf(tmp_path / "last.nc", engine="h5netcdf")
    more, _ = predicted(tmp_path, experiment, tmp_path / "last.nc", steps=2)
    longer = physics.rollout(states[None, None], 5)[:, 3:, 0]
    assert np.allclose(more["physical.temperature"], longer, rtol=0, atol=1e-12)


def test_models_of_another_grid_or_time_step_are_refused(tmp_path, experiment):
    for change in ({"dt": 0.1}, {"domain": EQUATION["domain"] | {"x": {"size": 1.0, "resolution": 16}}}):
        with pytest.raises(PredictionError, match="was trained on other states"):
            predicted(tmp_path, experiment, equation=EQUATION | change)


def test_a_network_of_another_time_step_is_refused_and_one_that_does_not_know_it_is_not(experiment):
    *_, network = experiment
    slow = build_equation(EQUATION | {"dt": 0.1})
    with pytest.raises(PredictionError, match=r"^synthetic was trained on other states: .*dt 0\.05\).*dt 0\.1\)"):
        trained_models({"synthetic": network.left}, slow)
    final = network.final
    earlier = Bundle(final.tensors, {key: value for key, value in final.metadata.items() if key != "dt"})
    assert trained_models({"synthetic": Left(earlier)}, slow)["synthetic"].model.stepping


def test_other_simulations_than_those_of_the_training_are_refused(tmp_path, experiment):
    with pytest.raises(PredictionError, match=r"other simulations \(.*physical 2.*\) than observation.train_sim names"):
        predicted(tmp_path, experiment, observation=OBSERVATION | {"train_sim": [0]})


def test_an_earlier_physical_model_predicts_without_error_bars(tmp_path, experiment, caplog):
    _, observations, physics, _ = experiment
    physics.save(tmp_path / "old")
    (tmp_path / "old" / "physical_initial_states.safetensors").unlink()
    with caplog.at_level(logging.INFO):
        data, _ = predicted(tmp_path, (tmp_path / "old", observations))
    assert list(data.data_vars) == ["physical.temperature"]
    assert "physical begins with the initial states as they were measured" in caplog.text
    with pytest.raises(PredictionError, match="there are no initial states of its training"):
        predicted(tmp_path, (tmp_path / "old", None))


def test_nothing_trained_is_nothing_to_predict_with(tmp_path):
    assert not TrainedModelsDataset(str(tmp_path)).exists()


def test_a_static_problem_has_one_solution_and_no_time(tmp_path):
    section = {"name": "darcy", "domain": {"x": {"size": 1.0, "resolution": 8}}, "parameters": {"permeability": 2.0}}
    equation = hyco.equation(section)
    trajectories = hyco.simulate(equation, simulations=1, steps=1)
    observations = hyco.observe(trajectories, {"train_sim": [0], "noise": 0.01})
    learn = [{"name": "permeability", "initial_guess": 1.0, "bounds": [0.1, 10.0]}]
    physics = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt")
    physics.save(tmp_path)
    changes = {"equation": section, "observation": {"train_sim": [0]}}
    data, _ = predicted(tmp_path, (tmp_path, observations), **changes)
    solution, std = data["physical.pressure"], data["physical.pressure_std"]
    assert solution.dims == ("simulation", "x")
    assert np.array_equal(solution, physics.rollout(torch.zeros(1, 1, 8, dtype=torch.float64), 1)[:, 0, 0])
    # The pressure is inversely proportional to the permeability.
    estimate = physics.estimate["permeability"]
    assert np.allclose(std, np.abs(solution) * estimate.std / estimate.value, rtol=0.02)
