"""The final models of a run as one model of MLflow: what `mlflow.pyfunc.load_model` gives predicts rollouts.

MLflow names this module as the loader in the file MLmodel, beside the models' own files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hyco.equations.registry import build_equation
from hyco.evaluation import METHODS
from hyco.hybrid.correction import model_from_bundle
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.estimated_model import EstimatedModel
from hyco.runtime.storage import read_bundle
from hyco.trained_model import TrainedModel

# Steps of a rollout where nobody says how many.
STEPS = 10
_MODEL = "_model"


class Predictor:
    """Rolls initial states out with one of the models.

    Args:
        models: by method.
    """

    def __init__(self, models: Mapping[str, TrainedModel]) -> None:
        self.models = models

    def predict(self, states: ArrayLike, params: Mapping[str, Any] | None = None) -> NDArray[np.float64]:
        """The states after the given ones, `[B, steps, C, *space]`.

        Args:
            states: `[B, C, *space]`, in the units of the data.
            params: `steps`, default 10, and `method`, default the network of a hybrid, else the first that there is.

        Raises:
            ValueError: there is no model of that method.
        """
        params = params or {}
        method = params.get("method") or ("hybrid_synthetic" if "hybrid_synthetic" in self.models else min(self.models))
        if method not in self.models:
            raise ValueError(f"method: {method!r} is not allowed; allowed: {', '.join(self.models)}")
        start = torch.as_tensor(np.array(states, dtype=np.float64))
        with torch.no_grad():
            rolled = self.models[method].rollout(start, int(params.get("steps") or STEPS))
        return rolled.double().numpy()


def _load_pyfunc(path: str) -> Predictor:
    """What MLflow calls.

    Raises:
        ValueError: the folder holds no model.
    """
    models: dict[str, TrainedModel] = {}
    for method in METHODS:
        network, physics = (Path(path) / f"{method}{_MODEL}.{ending}" for ending in ("safetensors", "json"))
        if network.exists():
            models[method] = model_from_bundle(read_bundle(network))
        elif physics.exists():
            final = json.loads(physics.read_text(encoding="utf-8"))
            equation = build_equation(final["equation_section"])
            models[method] = EstimatedModel(PhysicalEstimate.from_json(final), equation)
    if not models:
        raise ValueError(f"{path} holds no model of a run")
    return Predictor(models)
