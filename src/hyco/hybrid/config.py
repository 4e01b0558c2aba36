"""Keys of the `hybrid` section."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from hyco.hybrid.correction import CorrectionConfig
from hyco.hybrid.interaction import InteractionConfig
from hyco.hybrid.schedule import AdaptiveInterleave
from hyco.networks.network import network_config
from hyco.training.config import SyntheticConfig
from hyco.training.physical import PhysicalConfig
from hyco.training.validation import StoppingConfig


class HybridConfig(StoppingConfig):
    """Keys of the `hybrid` section, its `synthetic` and `physical` parts resolved."""

    epochs: PositiveInt = Field(default=50, description="epochs in all, warm-up among them")
    num_predict_steps: PositiveInt = Field(default=5, description="steps of every rollout, of both models")
    alpha: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = Field(
        default=0.5,
        description="weight of real data; 1 - alpha of the other model; auto: from both models' estimated errors",
    )
    observed_steps: PositiveInt | None = Field(
        default=None,
        description="steps of the rollouts that fit the physical model to real data; null: num_predict_steps",
    )
    interleave_frequency: PositiveInt = Field(default=1, description="epochs from one physical update to the next")
    warmup_epochs: NonNegativeInt = Field(default=5, description="first epochs, of the synthetic model alone")
    sequential: bool = Field(
        default=False,
        description="not interleaved: first the physical model on real data alone, then the network on its predictions",
    )
    calibration_iterations: PositiveInt | None = Field(
        default=None,
        description="most iterations of the fit to real data alone that sequential and correction begin with; "
        "null: `physical.epochs`",
    )
    strategy: Literal["auto"] | None = Field(
        default=None,
        description="auto: alpha auto, sequential or correction, by what the misfit of the physics alone comes from; "
        "null: as the other keys say",
    )
    interaction: InteractionConfig = Field(
        default=InteractionConfig(), description="fresh initial states, from which both models predict, too"
    )
    synthetic: SyntheticConfig = Field(description="the synthetic section with the hybrid's overrides")
    physical: PhysicalConfig = Field(description="the physical section with the hybrid's overrides")
    correction: CorrectionConfig | None = Field(
        default=None,
        description="the network corrects the physical step, instead of standing for it; true: with the network of "
        "`synthetic`; null: no",
    )
    adaptive: AdaptiveInterleave = Field(default=AdaptiveInterleave(), description="adaptive interleaving")
    checkpoint_dir: str | None = Field(
        default=None, min_length=1, description="folder of the checkpoints; null: in data/06_models"
    )
    enable_memory_monitoring: bool = Field(default=False, description="log time and peak memory of each phase")

    @field_validator("alpha", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        if not number and value != "auto":
            raise ValueError(f"{value!r} is not allowed; allowed: a number from 0 to 1, or auto")
        return value

    @field_validator("correction", mode="before")
    @classmethod
    def _on_or_off(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value

    @property
    def steps_on_data(self) -> int:
        """Steps of the rollouts that fit the physical model to real data."""
        return self.observed_steps or self.num_predict_steps

    @property
    def network_training(self) -> SyntheticConfig:
        """The `synthetic` part, with the network of the correction where that has one of its own."""
        if self.correction is None or self.correction.network is None:
            return self.synthetic
        return self.synthetic.model_copy(update={"network": self.correction.network})

    @property
    def looks_for_terms(self) -> bool:
        """Whether the training begins with a search for terms that the equation lacks."""
        return self.correction is not None and self.correction.terms

    @property
    def calibration(self) -> int:
        """Most iterations of the fit to real data alone that the training begins with; 0 where there is none."""
        begins = self.sequential or self.correction is not None
        return (self.calibration_iterations or self.physical.epochs) if begins else 0

    @property
    def iterations(self) -> int:
        """Of the physical model's optimiser, as many as there may be without an adaptive interval."""
        updates = 0 if self.sequential else max(0, self.epochs - self.warmup_epochs) // self.interleave_frequency
        return self.calibration + updates * (self.physical.max_iterations or self.physical.epochs)

    @model_validator(mode="after")
    def _auto_chooses_alone(self) -> HybridConfig:
        others = {"sequential": self.sequential, "correction": self.correction is not None}
        for key in (key for key, value in others.items() if value and self.strategy == "auto"):
            raise ValueError(f"strategy: auto chooses between alpha auto, sequential and correction: leave {key} out")
        return self

    @model_validator(mode="after")
    def _correction_stands_alone(self) -> HybridConfig:
        if self.correction is None:
            return self
        others = {"interaction.count": self.interaction.given_count, "sequential": self.sequential}
        others["alpha: auto"] = self.alpha == "auto"
        for key in (key for key, value in others.items() if value):
            raise ValueError(f"correction trains on real data alone: {key} would have no effect, leave it out")
        network = network_config(self.correction.network or self.synthetic.network)
        if not network.stepping:
            raise ValueError(f"correction needs a network that steps states; {network.name} does not")
        return self
