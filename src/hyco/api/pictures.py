"""Figures of a training from its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hyco.api.progress import History
from hyco.parameters import LearnableParameter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ENDS = ("estimate", "std", "lower", "upper")


def curves(training: str, history: History) -> Figure:
    """Losses and validation errors over the epochs.

    Raises:
        ValueError: there is no history.
    """
    from hyco.plots import training_curves

    _require(history)
    return training_curves({training: [{"epoch": e["epoch"], "metrics": e} for e in history]})


def estimates(
    method: str, history: History, learnt: Iterable[LearnableParameter], true: Mapping[str, Any] | None
) -> Figure:
    """Every learnt number with its 95 % interval over the epochs.

    Args:
        method: whose they are.
        history: of the training.
        learnt: what was learnt.
        true: true values by full name, where they are known; what is no number is left out.

    Raises:
        ValueError: there is no history.
    """
    from hyco.plots import parameter_estimates

    _require(history)
    numbers = {name: number for p in learnt for name, number in p.scalar_parts().items()}
    series = {
        name: {
            "epoch": [entry["epoch"] for entry in history],
            **{end: [entry.get(f"{end}.{name}") for entry in history] for end in _ENDS},
        }
        for name in numbers
    }
    return parameter_estimates(
        {method: series},
        {name: value for name, value in (true or {}).items() if isinstance(value, float)},
        {method: {name: number.initial_guess for name, number in numbers.items()}},
        {name: number.bounds for name, number in numbers.items() if number.bounds is not None},
    )


def _require(history: History) -> None:
    if not history:
        raise ValueError("there is no history to draw: a model from the folder of a run has none, see its report")
