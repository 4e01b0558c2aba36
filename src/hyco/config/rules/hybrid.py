"""The epochs: that the physical model has an update where it needs one, and that stopping early has a measure."""

from __future__ import annotations

from collections.abc import Iterator

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation
from hyco.training.validation import StoppingConfig


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the hybrid's epochs and warm-up, and of `early_stopping`."""
    if not c.observation.val_sim and c.observation.holdout is None:
        sections: dict[str, StoppingConfig] = {"synthetic": c.synthetic, "hybrid": c.hybrid}
        for section, config in sections.items():
            if config.early_stopping is not None:
                text = (
                    f"{config.early_stopping} needs validation simulations: see observation.val_sim, or holdout of "
                    "measurements; or null"
                )
                yield (section, "early_stopping"), text
    h = c.hybrid
    if h.warmup_epochs > h.epochs:
        text = f"{h.warmup_epochs} is more than hybrid.epochs = {h.epochs}, which includes the warm-up"
        yield ("hybrid", "warmup_epochs"), text
    first = h.warmup_epochs + h.interleave_frequency  # epoch of the first update
    learnt = h.physical.learnable_parameters
    chosen = [p.name for p in learnt if p.chooses_weight]
    numbers = [name for p in learnt for name in p.scalar_parts()]
    if chosen and numbers and first > h.epochs and not h.sequential and h.correction is None:
        text = (
            f"{h.epochs} leaves the physical model no update, in which the regularisation.weight of {chosen[0]} would "
            f"be chosen, and without it {numbers[0]} has no standard deviation; allowed: at least warmup_epochs + "
            f"interleave_frequency = {first}, or a number as weight"
        )
        yield ("hybrid", "epochs"), text
