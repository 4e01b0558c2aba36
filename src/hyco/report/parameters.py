"""Learnt parameters beside the truth, where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hyco.equations.equation import Equation
from hyco.evaluation import EvaluatedModel, field_error
from hyco.inversion.estimate import PhysicalEstimate
from hyco.parameters import LearnableParameter

# The file beside report.json that holds learnt fields.
FIELDS_FILE = "parameter_fields.safetensors"


def true_numbers(equation: Equation, learnt: Iterable[LearnableParameter]) -> dict[str, float]:
    """True values of the numbers that are learnt, by full name, where they are known."""
    return {name: value for p in learnt for name, value in p.true_numbers(equation.parameters.get(p.name)).items()}


def parameter_entries(
    equation: Equation | None, model: EvaluatedModel, truth: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Numbers and fields of a physical model, beside the truth where it is known: that of fields is the equation's.

    Args:
        equation: None where the truth is not known.
        truth: of numbers, by full name.

    Raises:
        ValueError: a number has no standard deviation, as there was no update.
    """
    estimate = model.estimate
    if estimate is None:
        return {}
    return _numbers(estimate, truth, with_std=model.training["training"] != "pinn") | _fields(equation, estimate)


def _numbers(estimate: PhysicalEstimate, truth: Mapping[str, float], *, with_std: bool) -> dict[str, dict[str, Any]]:
    """Entries of numbers.

    Args:
        with_std: whether error bars are worked out; a physics-informed network has none. Then a number has no
            standard deviation only where nothing tells the noise.
    """
    entries = {}
    for name, number in estimate.numbers.items():
        true = truth.get(name)
        error = None if true is None else abs(number.value - true) / abs(true) if true else abs(number.value)
        entries[name] = {"true": true, **number.to_json(), "relative_error": error}
        if number.std is None and with_std and estimate.noise_told:
            raise ValueError(
                f"{name} has no standard deviation: the weight of a regularisation is chosen at the first update of "
                "the physical model, and there was none; raise hybrid.epochs to at least warmup_epochs + "
                "interleave_frequency, or give regularisation.weight a number"
            )
    return entries


def _fields(equation: Equation | None, estimate: PhysicalEstimate) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "true": None,
            "estimate": None,
            "std": None,
            "relative_error": None if equation is None else field_error(equation, name, field.value),
            "identifiable": field.identifiable,
            "pull": field.pull,
            "file": FIELDS_FILE,
        }
        for name, field in estimate.fields.items()
    }
