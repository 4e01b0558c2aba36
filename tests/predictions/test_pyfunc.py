"""MLflow loads the models of a run by the file MLmodel, and they predict as they do here."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from hyco.hooks.mlmodel import write_mlmodel
from hyco.predictions.pyfunc import _load_pyfunc
from hyco.runtime.storage import write_bundle
from hyco.training.final import final_physical_model, final_synthetic_model


@pytest.fixture(scope="module")
def folder(problem, tmp_path_factory):
    """The files of a run's models as MLflow has them."""
    path = tmp_path_factory.mktemp("models")
    trainer = problem.hybrid(epochs=3)
    *_, (checkpoint, _) = trainer.train()
    write_bundle(path / "hybrid_synthetic_model.safetensors", final_synthetic_model(checkpoint))
    section = problem.equation.config.model_dump(mode="json")
    physics = final_physical_model(checkpoint) if "equation" in checkpoint.metadata["configuration"] else None
    if physics is not None:
        (path / "hybrid_physical_model.json").write_text(json.dumps({**physics, "equation_section": section}))
    write_mlmodel(path, problem.equation.layout, "a" * 32)
    return path


def test_what_is_loaded_rolls_out(folder, problem):
    start = problem.trajectories.tensors["trajectories"][:2, 0].numpy()
    predictor = _load_pyfunc(str(folder))
    rolled = predictor.predict(start, {"steps": 3})
    network = predictor.models["hybrid_synthetic"]
    assert rolled.shape == (2, 3, *start.shape[1:])
    assert np.array_equal(rolled, network.rollout(torch.as_tensor(start), 3).double().numpy())
    with pytest.raises(ValueError, match=r"method: 'none' is not allowed; allowed: .*hybrid_synthetic"):
        predictor.predict(start, {"method": "none"})


@pytest.mark.slow
def test_mlflow_loads_it_in_a_fresh_process_with_its_signature_and_example(folder):
    code = (
        "import mlflow, numpy as np, sys; m = mlflow.pyfunc.load_model(sys.argv[1]); "
        "e = m.metadata.load_input_example(sys.argv[1]); r = m.predict(e, params={'steps': 2}); "
        "print(m.metadata.signature.inputs.inputs[0].shape, r.shape); np.save(sys.argv[2], r)"
    )
    out = folder / "rolled.npy"
    done = subprocess.run((sys.executable, "-c", code, str(folder), str(out)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(-1, 1, 32) (1, 2, 1, 32)"
    example = np.array(json.loads((folder / "input_example.json").read_text()))
    assert np.array_equal(np.load(out), _load_pyfunc(str(folder)).predict(example, {"steps": 2}))


def test_a_folder_without_models_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no model of a run"):
        _load_pyfunc(str(tmp_path))
