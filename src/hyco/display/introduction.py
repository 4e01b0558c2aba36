"""What is trained on what, in two or three lines before a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hyco.observations import Observations, counts

# Names that a line lists.
_LISTED = 6


def problem_words(parameters: Mapping[str, Any]) -> str:
    """The equation and its grid: `burgers in 1-D, x from 0 to 10 in 128 cells, dt 0.05`."""
    equation = parameters["equation"]
    axes = [
        f"{axis} from {_number(keys.get('lower', 0.0))} to {_number(keys.get('lower', 0.0) + keys['size'])} in "
        f"{keys['resolution']} cells"
        for axis, keys in equation["domain"].items()
    ]
    dt = "" if equation.get("dt") is None else f", dt {_number(equation['dt'])}"
    return f"{equation['name']} in {len(axes)}-D, {', '.join(axes)}{dt}"


def data_words(observations: Observations, parameters: Mapping[str, Any]) -> str:
    """What the models see: how many measurements of how many simulations, at how many times, with what noise."""
    seen = counts(observations)
    per_time = seen.any(dim=0)
    file = (parameters.get("measurements") or {}).get("file")
    noise = "no noise"
    if observations.noise_known:
        values = ", ".join(f"{float(sigma):.2g}" for sigma in observations.noise_std)
        noise = f"noise σ {values}" if file or len(observations.noise_std) < _LISTED else "known noise"
    elif file:
        noise = "noise by the residuals"
    count = f"{int(seen.sum()):,}".replace(",", " ")
    of = file or "simulations"
    words = f"{count} measurements in {of}: {len(observations.train)} for training, at {int(per_time.sum())} times"
    held = "" if observations.heldout is None else f"; {int(observations.heldout.sum())} held back"
    val = len(observations.val)
    test = len((parameters.get("observation") or {}).get("test_sim") or [])
    others = "".join(f", {n} for {what}" for n, what in ((val, "validation"), (test, "tests")) if n)
    return f"{words}{others}{held}; {noise}"


def training_words(training: str, parameters: Mapping[str, Any]) -> str:
    """Which models a training trains: the network, what is unknown in the physics, and how they are coupled."""
    hybrid = parameters["hybrid"] if training == "hybrid" else {}
    network = {**parameters["synthetic"], **(hybrid.get("synthetic") or {})}
    physics = {**parameters["physical"], **(hybrid.get("physical") or {})}
    parts = []
    if training != "physical":
        parts.append(f"network {(network.get('network') or {}).get('name')}")
    if training != "synthetic":
        parts.append(f"physics with unknown {', '.join(_unknowns(physics))}")
    words = " and ".join(parts)
    if training == "hybrid":
        words += f"; alpha {hybrid.get('alpha')}, {hybrid.get('epochs')} epochs, {hybrid.get('warmup_epochs')} of them"
        words += f" warm-up, physics every {hybrid.get('interleave_frequency')}"
    elif training == "synthetic":
        words += f"; {network.get('epochs')} epochs"
    return words


def _unknowns(physics: Mapping[str, Any]) -> Iterator[str]:
    learnt = physics.get("learnable_parameters") or []
    for entry in learnt[:_LISTED]:
        guess = entry.get("initial_guess")
        first = f" (first guess {_number(guess)})" if isinstance(guess, int | float) else ""
        yield f"{entry['name']}{first}"
    if len(learnt) > _LISTED:
        yield f"{len(learnt) - _LISTED} more"


def _number(value: float) -> str:
    return f"{value:.6g}"
