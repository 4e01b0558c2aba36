"""The network corrects the physical step, instead of standing for it; see `hyco.hybrid.correction`."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from hyco.hybrid.config import HybridConfig
from hyco.hybrid.correction import FrozenCorrection, PhysicalStep, correctable
from hyco.hybrid.models import HybridModels
from hyco.hybrid.strategy import HybridStrategy, MakeTargets
from hyco.hybrid.variances import Weights
from hyco.hybrid.weighting import FixedAlpha
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.inversion.term_library import library

log = logging.getLogger(__name__)


class Corrected(HybridStrategy):
    """Both models learn from real data alone: the physical model's error is what the network learns.

    The physical model is first fitted by itself, before the first epoch. Where terms are found that it lacks,
    and little is left to explain with them, they become part of its step, and its parameters are those of the fit with
    them. Where anything is left it is fitted anew with the present correction in each of its steps.

    Args:
        models: the physical model's residuals must have the correction in their steps.
        config: of the hybrid.
        correction: that one.
    """

    def __init__(self, models: HybridModels, config: HybridConfig, correction: FrozenCorrection) -> None:
        super().__init__(models, config, FixedAlpha(models, 1.0))
        self.correction = correction
        self._epoch = 0
        model, predictor = (correctable(m) for m in (models.synthetic.model, models.synthetic.predictor))
        self._steps = []
        # The network that trains, and the one with averaged weights if there is one.
        for network in [model] if model is predictor else [model, predictor]:
            step = PhysicalStep.of(network, models.physical.problem.forward.model, self._parameters())
            network.correct(step)
            self._steps.append(step)

    def begin(self) -> OptimisationResult | None:
        """The fit of the physics alone; as it then is, without a correction, it counts as epoch 0 of the network."""
        models = self.models
        result = self._calibrate()
        if self.config.looks_for_terms and models.physical.failed is None:
            with models.clock.phase("physical"):
                self._look_for_terms()
        self._follow()
        if models.validate.available:
            with models.clock.phase("validation"):
                score = models.validate(models.synthetic, models.synthetic.starts.initial_states)["score"]
            models.synthetic.remember_if_best(0, score)
        return result

    def weights(self, epoch: int) -> Weights:
        """Both models' data are the real ones."""
        self._epoch = epoch
        return super().weights(epoch)

    def shares_initial_states(self, weights: Weights) -> bool:
        """Always: the network's own step is the physics."""
        return True

    def update(self, alpha: float, make_targets: MakeTargets) -> OptimisationResult | None:
        """Fit the parameters to real data with the present correction in each step, and let the network have them.

        None where the terms that were missing leave the parameters nothing to gain, or where the correction has not yet
        validated better than the physics alone: parameters beside one that is of no use are not better ones.
        """
        models = self.models
        judged = models.physical.model.verdict
        if (judged is not None and judged.explained) or not self._is_of_use():
            return None
        with models.clock.phase("physical"):
            self.correction.take(correctable(models.synthetic.predictor))
            models.physical.model.assessor.forget()
            result = models.physical.update()
            self._follow()
        return result

    def _is_of_use(self) -> bool:
        """Whether the corrected model has validated better than the physics alone; true where nothing tells it.

        If it is the first to do so it is the best so far: what comes of the fit may be worse, and the parameters would
        then be those beside a correction that is thrown away.
        """
        models = self.models
        if not models.validate.available or models.synthetic.best.epoch != 0:
            return True
        with models.clock.phase("validation"):
            score = models.validate(models.synthetic, models.synthetic.starts.initial_states)["score"]
        return models.synthetic.remember_if_best(self._epoch, score)

    def _look_for_terms(self) -> None:
        """Judge the fit of the physics alone, and take the terms that explain its misfit, with the fit beside them."""
        physical = self.models.physical
        judged = physical.judge()
        if judged is None:
            return
        log.info("The physics alone: %s (%s).", judged.cause, judged.why)
        if judged.terms is None or judged.coordinates is None or not judged.helped:
            return
        coefficients = judged.terms.coefficients(library(physical.problem.forward.model.layout))
        self.correction.take_terms(coefficients)
        physical.place(judged.coordinates)
        physical.model.assessor.forget()
        for step in self._steps:
            step.set_terms(coefficients)

    @torch.no_grad()
    def _parameters(self) -> dict[str, Tensor]:
        """The physical model's, as they are."""
        physical = self.models.physical
        return physical.problem.forward.values(physical.model.theta.to(physical.problem.device))

    def _follow(self) -> None:
        """The corrected model gets the physical model's present parameters."""
        for step in self._steps:
            step.set_parameters(self._parameters())
