"""Every pipeline runs on a catalog in memory, and its nodes are called with what they name."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from hyco.pipeline_registry import register_pipelines
from hyco.pipelines.generation.nodes import generate_trajectories
from hyco.training import available

PARAMETERS = {
    "experiment": "test",
    "seed": 0,
    "device": "cpu",
    "resume": False,
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
}


class Kept(MemoryDataset):
    """Stands for a file: the runner cannot release it."""

    def _release(self):
        pass


class Collected(Kept):
    """Stands for a metrics file: what a generator saves accumulates."""

    def save(self, data):
        super().save([*(self.load() if self.exists() else []), data])


def catalog():
    datasets = {f"params:{key}": MemoryDataset(value) for key, value in PARAMETERS.items()}
    datasets["cached_trajectories"] = MemoryDataset(None)
    for training in available():
        datasets[f"{training}_resume_point"] = MemoryDataset(None)
        datasets[f"{training}_metrics"] = Collected(copy_mode="assign")
    persistent = {f"{t}_checkpoint" for t in available()} | {
        "trajectories",
        "observations",
        "report",
        "rollouts",
    }
    for name in persistent | {"synthetic_model", "physical_model", "hybrid_synthetic_model", "hybrid_physical_model"}:
        datasets[name] = Kept(copy_mode="assign")
    return DataCatalog(datasets)


@pytest.mark.parametrize("name", [*available(), "__default__"])
def test_a_pipeline_runs_from_parameters_to_a_report(name):
    data = catalog()
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


def test_trajectories_of_the_same_origin_are_reused_and_others_are_not():
    arguments = (PARAMETERS["equation"], PARAMETERS["generation"])
    first = generate_trajectories(None, *arguments, 0)
    assert generate_trajectories(first, *arguments, 0) is first
    assert generate_trajectories(first, *arguments, 1) is not first
