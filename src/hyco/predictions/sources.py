"""From what trainings leave to what predicts, and to where predictions begin."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.evaluation.models import EvaluatedModel, FinalModel, dt_of
from hyco.inversion.estimated_model import EstimatedModel
from hyco.inversion.posterior import Posterior
from hyco.observations import Observations
from hyco.predictions.files import PredictionError
from hyco.predictions.predict import Start, Trained
from hyco.runtime.storage import Bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Left:
    """What a training has left of one model.

    Attributes:
        final: the model as its file has it.
        initial_states: of a physical model, see `hyco.training.final.final_initial_states`; None where there are none.
    """

    final: FinalModel
    initial_states: Bundle | None = None


def trained_models(left: Mapping[str, Left], equation: Equation) -> dict[str, Trained]:
    """What predicts, by method.

    Args:
        left: by method.
        equation: that of the experiment; a physical model keeps its own, with the coefficients that were not learnt.

    Raises:
        PredictionError: a model is of another grid or dt.
    """
    trained = {}
    for method, one in left.items():
        states, posterior = one.initial_states, None
        own = equation
        if not isinstance(one.final, Bundle):
            own = build_equation(one.final["equation_section"])
            posterior = None if states is None else Posterior.of(states.tensors)
        model = EvaluatedModel.of(one.final, own)
        layout = own.layout if isinstance(model.model, EstimatedModel) else getattr(model.model, "layout", own.layout)
        dt = dt_of(one.final, equation) if isinstance(one.final, Bundle) else own.dt
        try:
            equation.require_states(layout, dt)
        except ValueError as error:
            raise PredictionError(f"{method} was trained on other states: {error}") from error
        trained[method] = Trained(model, posterior, states is not None and states.metadata["estimated"])
    return trained


def end_of_data(
    left: Mapping[str, Left], observations: Observations | None, simulations: Sequence[int] | None = None
) -> Start:
    """The end of the training simulations, to which each model predicts from their initial states by itself.

    The physical models, and the network of a hybrid, begin with the states as the physical model has them, estimated
    where they are unknown; a network alone with what was measured of them.

    Args:
        left: by method.
        observations: of the training; None where they are not there.
        simulations: their numbers; None: from 0 on.

    Raises:
        PredictionError: the initial states of a model are not there, or there are other numbers of them.
    """
    states: dict[str, Tensor] = {}
    for method in left:
        saved = left.get(_PHYSICS.get(method, method), left[method]).initial_states
        if saved is not None:
            states[method] = saved.tensors["initial_states"]
        elif observations is not None:
            if not observations.initial_known:
                log.info("%s begins with the initial states as they were measured.", method)
            states[method] = observations.initial_states[observations.train]
        else:
            raise PredictionError(f"{method}: there are no initial states of its training: train it anew")
    count = {len(s) for s in states.values()}
    numbers = list(simulations) if simulations is not None else list(range(max(count)))
    if count != {len(numbers)}:
        each = ", ".join(f"{method} {len(s)}" for method, s in states.items())
        raise PredictionError(
            f"the models were trained on other simulations ({each}) than observation.train_sim names ({len(numbers)}): "
            "train them anew"
        )
    return Start(states, data_steps(left.values(), observations), numbers, "the end of the training data", True)


def given(left: Iterable[str], states: Tensor, source: str, time: float = 0.0) -> Start:
    """States `[B, C, *space]` of a file, for all methods; `time` is their t."""
    return Start(dict.fromkeys(left, states), 0, list(range(len(states))), source, time=time)


def data_steps(left: Iterable[Left], observations: Observations | None) -> int:
    """How many steps the data have.

    Raises:
        PredictionError: neither observations nor initial states say it.
    """
    if observations is not None:
        return observations.steps
    for one in left:
        if one.initial_states is not None:
            return int(one.initial_states.metadata["steps"])
    raise PredictionError("predict.steps: nothing says how long the data are: give a number")


def require_suitable(equation: Equation, states: Tensor, source: str) -> None:
    """Refuse states that the physical step is not made for.

    Raises:
        PredictionError: says which limit they exceed.
    """
    if text := equation.unsuitable(states):
        raise PredictionError(f"{source}: {text}")


def described(equation: Equation, **others: Any) -> dict[str, Any]:
    """Attributes of a dataset of predictions that say what they are of."""
    return {"equation": equation.config.name, **others}


# The physical model that trained with a network.
_PHYSICS = {"hybrid_synthetic": "hybrid_physical"}
