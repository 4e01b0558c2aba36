"""Both models together, which train each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyco.api import files, pictures
from hyco.api.arguments import require, whole_seed
from hyco.api.networks import NETWORK, WINDOW, TrainedNetwork, trained
from hyco.api.physics import FittedPhysics, Learn, fitted, unknowns
from hyco.api.predictions import predicted
from hyco.api.progress import History, run
from hyco.api.sections import as_dictionary, plain, require_sound
from hyco.config import RULED_BY_HYBRID, WITHOUT_EFFECT, ConfigurationError, parse_device, resolve_hybrid
from hyco.equations.equation import Equation
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.measurements.suspicions import warn_of_values
from hyco.observations import Observations
from hyco.sections import merge

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from torch import Tensor

    from hyco.api.predictions import Beginning

# As conf/base has them: five iterations each time, and no error where they are not enough.
_UPDATES = {"max_iterations": 5, "suppress_convergence_errors": True}
# Iterations of a fit before the epochs, where there is one.
_CALIBRATION = 50


@dataclass(frozen=True, eq=False, repr=False)
class TrainedHybrid:
    """A physical model and a network that have trained each other.

    Attributes:
        physics: `.physics.estimate["viscosity"]`, whose standard deviation comes from the real data alone.
        network: that of the epoch that validated best.
        history: one dictionary per epoch: `epoch`, `synthetic_loss`, `physical_loss` (None where the physical model had
            no update), validation errors, `alpha`, and `estimate.NAME` and `std.NAME` of each coefficient.
    """

    physics: FittedPhysics
    network: TrainedNetwork
    history: History

    def predict(
        self, initial_states: Beginning = None, steps: int | None = None, *, samples: int = 50, time: float = 0.0
    ) -> xr.Dataset:
        """Predict with both models, with coordinates and error bars, from new states or beyond the data.

        Args:
            initial_states: `[B, C, *space]`, or a file of such states; None: the end of the training simulations.
            steps: states to predict, each `dt` later; None: as many as the data have.
            samples: draws for the standard deviations of the physical model, 2 to 100.
            time: t of given states; of effect where the equation depends on it.

        Returns:
            A dataset with the variables `hybrid_synthetic.CHANNEL`, `hybrid_physical.CHANNEL` and
            `hybrid_physical.CHANNEL_std`. Both models begin with the same states; from the initial states of the
            training simulations each goes to the end of the data by itself.

        Raises:
            ValueError: see `FittedPhysics.predict`.
        """
        parts, equation = (self.network, self.physics), self.physics.equation
        return predicted(
            {part.method: part.left for part in parts},
            {part.method: part.trained for part in parts},
            equation.layout,
            initial_states,
            steps,
            dt=equation.dt,
            samples=samples,
            static=equation.config.is_static,
            equation=equation.config.name,
            time=time,
        )

    @property
    def initial_states(self) -> Tensor:
        """Of the training simulations, as the physical model has them; see `FittedPhysics.initial_states`."""
        return self.physics.initial_states

    def save(self, folder: str | Path) -> None:
        """Write both models into a folder, for `hyco.load`.

        Args:
            folder: where to; it is made if it is not there, and files of an earlier hybrid are replaced.

        Raises:
            ValueError: the folder is that of a run of the pipelines.
        """
        folder, physics = Path(folder), self.physics
        files.write_network(folder, self.network.method, self.network.final)
        files.write_physics(folder, physics.method, physics.final, physics.estimate.covariance)
        files.write_initial_states(folder, physics.method, physics.posterior)
        files.write_history(folder, "hybrid", self.history)

    def plot_history(self) -> Figure:
        """Losses and validation errors of both over the epochs, as a figure of matplotlib.

        Raises:
            ValueError: there is no history, as the models come from the folder of a run.
        """
        return pictures.curves("hybrid", self.history)

    def __repr__(self) -> str:
        return f"TrainedHybrid({self.physics!r}, {self.network!r})"


def train_hybrid(
    equation: Equation,
    observations: Observations,
    learn: Learn,
    section: Mapping[str, Any] | HybridConfig | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> TrainedHybrid:
    """Train a physical model and a network together: each learns from the data and from the other's predictions.

    In each epoch after the warm-up the network trains on real data (weight α) and on the physical model's predictions
    (1 - α), and the coefficients are optimised likewise on the network's: HYCO, arXiv 2509.14123.

    Args:
        equation: from `hyco.equation`; its own values of what is learnt have no effect.
        observations: from `hyco.observe`, of states of this equation.
        learn: the unknowns, as for `hyco.fit`.
        section: the section `hybrid`, as a dictionary or its model: `epochs` (default 50, warm-up included), `alpha`
            (0 to 1, or `auto`; default 0.5), `warmup_epochs` (default 5), `interleave_frequency` (default 1),
            `num_predict_steps` (of both models; default 5, or all steps of shorter data), and the parts `synthetic`
            (default: the network resnet) and `physical` (default: 5 iterations each time, no error where they do not
            converge), with the keys of these sections. docs/configuration.md has all. None: the defaults.
        seed: of weights, batches and draws; the same seed gives the same bits.
        device: `auto`, `cpu` or `cuda`.
        progress: whether to print up to about twenty lines on stderr while it runs.

    Returns:
        `TrainedHybrid`: `.physics`, `.network`, `.history`.

    Raises:
        ConfigurationError: a key is wrong, or sections do not fit each other; one line per problem.
        TypeError: `equation` or `observations` is something else.
        ValueError: the observations are of other states than the equation's, or the seed is no whole number.
        NotConverged: a physical update did not, and `physical.suppress_convergence_errors` is false.
        Diverged: the loss of the physical model is not finite at its initial guess.

    Example:
        >>> import hyco
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.02}})
        >>> trajectories = hyco.simulate(heat, simulations=3, steps=4, length_scale=0.2)
        >>> observations = hyco.observe(trajectories, {"train_sim": [0, 1], "val_sim": [2], "noise": 0.01})
        >>> learn = [{"name": "diffusivity", "initial_guess": 0.08, "bounds": [0.001, 0.1]}]
        >>> section = {
        ...     "epochs": 3,
        ...     "warmup_epochs": 1,
        ...     "alpha": "auto",
        ...     "synthetic": {"network": {"name": "resnet", "filters": 4, "blocks": 1}},
        ... }
        >>> both = hyco.train_hybrid(heat, observations, learn, section)
        >>> [entry["physical_loss"] is None for entry in both.history]
        [True, False, False]
        >>> abs(both.physics.estimate["diffusivity"].value - 0.02) < 0.002
        True
    """
    require(equation, Equation, "equation", "hyco.equation")
    require(observations, Observations, "observations", "hyco.observe")
    warn_of_values(observations)
    seed = whole_seed(seed)
    given = _dictionary(section)
    if "learnable_parameters" in (given.get("physical") or {}):
        raise ConfigurationError("hybrid.physical.learnable_parameters: is not allowed here; it is the argument learn")
    window = min(WINDOW, observations.steps)
    hybrid = merge({"num_predict_steps": window, "physical": _UPDATES}, given)
    synthetic = {"network": NETWORK, "num_predict_steps": window}
    physical = {
        "learnable_parameters": unknowns(learn),
        "epochs": _CALIBRATION,
        "num_predict_steps": window,
    }
    equation.require_states(observations.layout, observations.dt)
    require_sound({"synthetic": synthetic, "physical": physical, "hybrid": hybrid}, equation, observations)
    config = HybridConfig.model_validate(resolve_hybrid(hybrid, synthetic, physical))
    trainer = HybridTrainer(
        equation,
        observations,
        config,
        seed,
        configuration={
            "equation": plain(equation.config),
            "hybrid": {key: value for key, value in plain(config).items() if key not in WITHOUT_EFFECT},
            "seed": seed,
        },
        device=parse_device(device),
    )
    checkpoint, history = run(trainer.train(), progress=progress)
    return TrainedHybrid(fitted(equation, checkpoint, history), trained(checkpoint, history), history)


def _dictionary(section: Mapping[str, Any] | HybridConfig | None) -> dict[str, Any]:
    """The section as a user writes it: a model has the keys that it rules in its parts, too, and what is learnt."""
    if section is None:
        return {}
    keys = as_dictionary(section, "hybrid")
    if not isinstance(section, HybridConfig):
        return keys
    for part in ("synthetic", "physical"):
        keys[part] = {key: value for key, value in keys[part].items() if key not in RULED_BY_HYBRID}
    del keys["physical"]["learnable_parameters"]
    keys["physical"]["max_iterations"] = section.physical.max_iterations or section.physical.epochs
    return keys
