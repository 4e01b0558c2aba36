"""`strategy: auto`: what the misfit of the physics alone, and its error on held-out data, say to do with a network."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from hyco.equations.equation import Equation
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.correction import CorrectionConfig
from hyco.hybrid.trust import Misfit
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.optimisers.result import OptimisationResult, Status
from hyco.networks.network import network_config
from hyco.observations import NOISE_FREE_SIGMA, Observations
from hyco.runtime.storage import Bundle
from hyco.runtime.words import percent

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A strategy, and in words why."""

    chosen: Literal["alpha: auto", "sequential", "correction"]
    why: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, checkpoint: Bundle | None) -> Choice | None:
        """That of the training that a checkpoint is of; None: there is none."""
        summary = {} if checkpoint is None else checkpoint.metadata.get("strategy", {}).get("summary", {})
        return cls(**summary["strategy"]) if "strategy" in summary else None

    def applied(self, config: HybridConfig) -> HybridConfig:
        """The configuration with this strategy."""
        if self.chosen == "correction":
            return config.model_copy(update={"correction": CorrectionConfig(), "alpha": 1.0})
        return config.model_copy(update={"alpha": "auto", "sequential": self.chosen == "sequential"})


@dataclass(frozen=True)
class Fit:
    """The physical model as its fit to real data alone has left it.

    Attributes:
        state: that of its `Calibrator`.
        result: the outcome.
    """

    state: Bundle
    result: OptimisationResult


def choose(
    equation: Equation, observations: Observations, config: HybridConfig, device: torch.device
) -> tuple[Choice, Fit]:
    """Fit the physics alone, and choose; whatever is chosen goes on from that fit.

    - Physics that is wrong, or on a grid that is too coarse: the network corrects it, if it can step states.
    - Physics without misfit, with one that is the noise's, or without a verdict (its fit did not converge, say):
      `alpha: auto`, which asks the validation data how far each model is to be trusted; without any, in sequence.
    - An equation without time is not corrected: it has no step.
    """
    physical = Calibrator(
        equation,
        observations,
        config.physical,
        num_predict_steps=config.steps_on_data,
        device=device,
    )
    fit = physical.calibrate(config.calibration_iterations or config.physical.epochs)
    begun = Fit(physical.state(), fit)
    judged = physical.judge(look_for_terms=False)
    held = Misfit(observations, *observations.validation())
    # What is held out of training simulations begins as the fit has them.
    starts = None if observations.val else physical.model.initial_states
    error = f"; {_held_out(held(physical.model, starts), observations)}" if held.available else ""
    if judged is not None:
        cause = f"{judged.cause} ({judged.why})"
    else:
        cause = f"not judged ({fit.reason})" if physical.failed or fit.status is not Status.CONVERGED else "not judged"
    why = f"the physics alone: {cause}{error}"
    wrong = judged is not None and judged.cause in ("grid", "physics")
    steps = not equation.config.is_static and network_config(config.network_training.network).stepping
    if wrong and steps:
        choice = Choice("correction", why)
    else:
        choice = Choice("alpha: auto" if held.available else "sequential", why)
    log.info("hybrid.strategy: auto chooses %s: %s.", choice.chosen, choice.why)
    return choice, begun


def _held_out(variance: float, observations: Observations) -> str:
    """The error variance on held-out data, in units of the noise or, where that is not known, of the data."""
    if observations.noise_known:
        return f"its error variance on held-out data is {variance:.3g} σ²"
    # σ is a thousandth of their standard deviation then.
    share = math.sqrt(variance) * NOISE_FREE_SIGMA
    return f"its error on held-out data is {percent(share)} of the data's standard deviation"
