"""What final models are made of, and what is evaluated, is of the present configuration."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from hyco.config import depends_on
from hyco.hooks import ResumeHooks
from hyco.hooks.resuming import ForeignCheckpointError
from hyco.runtime.storage import Bundle
from hyco.training.final import final_synthetic_model

SECTIONS: dict[str, Any] = {
    "equation": {"name": "heat", "dt": 0.1},
    "generation": {"steps": 5},
    "observation": {"train_sim": [0]},
    "synthetic": {"epochs": 3, "learning_rate": 1e-3},
    "seed": 0,
    "resume": False,
}


def checkpoint(training: str = "synthetic") -> Bundle:
    return Bundle(
        {},
        {
            "training": training,
            "epoch": 3,
            "configuration": depends_on("synthetic", SECTIONS, {"observations": "abc"}),
            "seconds": {"wall": 1.0},
            "peak_rss_bytes": 1,
            "operators": {},
            "synthetic": {"model": {}, "best_epoch": 0},
        },
    )


def hooks(**changes: Any) -> ResumeHooks:
    parameters = copy.deepcopy(SECTIONS)
    for section, keys in changes.items():
        parameters[section] = keys if not isinstance(keys, dict) else {**parameters[section], **keys}
    hook = ResumeHooks()
    hook.before_pipeline_run(Pipeline([]), DataCatalog({"parameters": MemoryDataset(parameters)}))
    return hook


def test_what_is_its_own_is_taken():
    hook = hooks()
    hook.after_dataset_loaded("synthetic_checkpoint", checkpoint())
    hook.after_dataset_loaded("synthetic_model", final_synthetic_model(checkpoint()))
    hook.after_dataset_loaded("synthetic_model", Bundle({}, {"training": {"training": "synthetic"}}))
    hook.after_dataset_loaded("something_else", 3)


@pytest.mark.parametrize("changes", [{"synthetic": {"learning_rate": 2e-3}}, {"seed": 1}, {"equation": {"dt": 0.2}}])
def test_what_is_of_another_configuration_is_refused(changes):
    hook = hooks(**changes)
    (section,) = changes
    with pytest.raises(ForeignCheckpointError, match=rf"the last checkpoint of the synthetic training .*\({section}"):
        hook.after_dataset_loaded("synthetic_checkpoint", checkpoint())
    with pytest.raises(ForeignCheckpointError, match="synthetic_model was trained with another configuration"):
        hook.after_dataset_loaded("synthetic_model", final_synthetic_model(checkpoint()))


def test_a_checkpoint_of_another_training_is_refused():
    with pytest.raises(ForeignCheckpointError, match=r"\(training\)"):
        hooks().after_dataset_loaded("synthetic_checkpoint", checkpoint("hybrid"))
