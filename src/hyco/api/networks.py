"""A network alone, which learns to step a state forward from observations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyco.api import files, pictures
from hyco.api.arguments import require, whole_seed
from hyco.api.arrays import States, rolled_out
from hyco.api.predictions import predicted
from hyco.api.progress import History, run
from hyco.api.sections import as_dictionary, plain, validated
from hyco.config import ConfigurationError, parse_device
from hyco.evaluation import EvaluatedModel
from hyco.hybrid.correction import model_from_bundle
from hyco.measurements.suspicions import warn_of_values
from hyco.networks.export import export_network
from hyco.networks.network_model import NetworkModel
from hyco.observations import Observations
from hyco.predictions.predict import Trained
from hyco.predictions.sources import Left
from hyco.runtime.storage import Bundle
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_synthetic_model
from hyco.training.synthetic import train_synthetic

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

# The network of a section that names none.
NETWORK = {"name": "resnet"}
# States of a training rollout, where the data have as many; that of the section `synthetic`.
WINDOW = 5


@dataclass(frozen=True, eq=False, repr=False)
class TrainedNetwork:
    """A network that predicts, with the weights of the epoch that validated best; a `hyco.TrainedModel`.

    `hyco.train_network` makes one, and `hyco.train_hybrid` another.

    Attributes:
        final: weights and statistics as tensors, and what describes them, as `kedro run` leaves it.
        history: one dictionary per epoch with `epoch`, `synthetic_loss` and validation errors.
    """

    final: Bundle
    history: History = field(default_factory=list)

    def rollout(self, states: States, steps: int, time: float | Tensor | NDArray[Any] = 0.0) -> States:
        """Predict by repeated steps.

        Args:
            states: initial states `[B, C, *space]`, an array or a tensor, float32 or float64, in units of the channels.
            steps: states to predict, one `dt` of the data after the other.
            time: t of the initial states, a number or `[B]`; of effect where the network corrects a physical step that
                depends on it.

        Returns:
            `[B, steps, C, *space]`, without the initial states, of the kind, dtype and device of `states`. Inside the
            network is float32.

        Raises:
            ValueError: the states have another shape or type, or there is no step.
        """
        return rolled_out(self.model, self.model.layout, states, steps, time)

    def predict(
        self,
        initial_states: Tensor | NDArray[Any] | str | Path,
        steps: int,
        *,
        dt: float | None = None,
        time: float = 0.0,
    ) -> xr.Dataset:
        """Predict with coordinates; the same numbers as `rollout`.

        Args:
            initial_states: `[B, C, *space]`, or a file of them (.nc, .npz, .safetensors, .csv; docs/prediction.md).
            steps: states to predict.
            dt: time between two states, for the coordinate `time`; None: it counts steps.
            time: t of the states, see `rollout`.

        Returns:
            A dataset with the variables `METHOD.CHANNEL`, METHOD being `synthetic` or `hybrid_synthetic`, and
            dimensions `simulation`, `time` and the axes of the grid.

        Raises:
            ValueError: the states or `steps` cannot be meant, or the network knows one trajectory alone.
        """
        if initial_states is None:
            raise ValueError("initial_states: a network alone keeps none of its training: give states, or a file")
        return predicted(
            {self.method: self.left},
            {self.method: self.trained},
            self.model.layout,
            initial_states,
            steps,
            dt=dt,
            samples=2,
            time=time,
        )

    def export(self, path: str | Path) -> None:
        """Write the network, with its normalisation, as a program of `torch.export` that torch alone loads and runs.

        `torch.export.load(path).module()` takes states `[B, C, *space]` in units of the channels, float64, and gives
        those one step later, likewise. A network of coordinates takes positions `[N, d]` and times `[N]` instead, and
        gives `[N, C]`.

        Args:
            path: of the file, with the ending .pt2.

        Raises:
            ValueError: the network corrects a physical step, which cannot be exported, or the ending is another one.
        """
        export_network(self.model, Path(path), method=self.method)

    @property
    def left(self) -> Left:
        """What the training has left, as predictions take it."""
        return Left(self.final)

    @property
    def trained(self) -> Trained:
        """The model as predictions take it."""
        return Trained(self.evaluated)

    def save(self, folder: str | Path) -> None:
        """Write the network into a folder, for `hyco.load`: synthetic_model.safetensors and its history.

        Args:
            folder: where to; it is made if it is not there, and files of an earlier network are replaced.

        Raises:
            ValueError: the folder is that of a run of the pipelines.
        """
        folder = Path(folder)
        files.write_network(folder, self.method, self.final)
        files.write_history(folder, self.method, self.history)

    def plot_history(self) -> Figure:
        """Losses and validation errors over the epochs, as a figure of matplotlib.

        Raises:
            ValueError: there is no history, as the network comes from the folder of a run.
        """
        return pictures.curves("synthetic", self.history)

    @property
    def method(self) -> str:
        """Its name in reports: `synthetic`, or `hybrid_synthetic`."""
        return "hybrid_synthetic" if self.final.metadata["training"]["training"] == "hybrid" else "synthetic"

    @property
    def stepping(self) -> bool:
        """Whether it predicts from any state; a network of coordinates knows one trajectory, from t = 0."""
        return self.model.stepping

    @cached_property
    def model(self) -> NetworkModel:
        """The `torch.nn.Module`, in units of the data."""
        return model_from_bundle(self.final)

    @property
    def evaluated(self) -> EvaluatedModel:
        """The model as evaluations take it."""
        meta = self.final.metadata
        return EvaluatedModel(self.model, meta["training"], meta.get("hybrid") or {})

    def __repr__(self) -> str:
        meta = self.final.metadata
        return f"TrainedNetwork({meta['network']['name']}: {meta['weights']} weights, of epoch {meta['epoch']})"


def train_network(
    observations: Observations,
    section: Mapping[str, Any] | SyntheticConfig | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> TrainedNetwork:
    """Train a network on observations alone; it knows no equation.

    Minimises the mean squared error of rollouts over what was measured, in units of each channel's standard deviation.

    Args:
        observations: from `hyco.observe`.
        section: the section `synthetic`, as a dictionary or its model: `network` (`name` and its keys; default resnet),
            `epochs` (default 100), `num_predict_steps` (length of the training rollouts; default 5, or all steps of
            shorter data), `learning_rate` (default 1e-3), `batch_size` (default 16). docs/configuration.md has all.
            None: the defaults.
        seed: of weights and batches; the same seed gives the same bits.
        device: `auto`, `cpu` or `cuda`.
        progress: whether to print up to about twenty lines on stderr while it runs.

    Returns:
        `TrainedNetwork`: `.rollout(states, steps)`, `.history`.

    Raises:
        ConfigurationError: a key is wrong; the message has one line per problem, with what is allowed.
        TypeError: `observations` are none.
        ValueError: the network does not suit the grid, the data are shorter than `num_predict_steps`, or the seed is no
            whole number.

    Example:
        >>> import hyco
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.02}})
        >>> trajectories = hyco.simulate(heat, simulations=3, steps=4, length_scale=0.2)
        >>> observations = hyco.observe(trajectories, {"train_sim": [0, 1], "val_sim": [2]})
        >>> section = {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "epochs": 2}
        >>> network = hyco.train_network(observations, section, seed=0)
        >>> len(network.history), network.rollout(trajectories.states[:, 0].numpy(), steps=6).shape
        (2, (3, 6, 1, 8))
    """
    require(observations, Observations, "observations", "hyco.observe")
    warn_of_values(observations)
    seed = whole_seed(seed)
    if not isinstance(section, SyntheticConfig):
        given = {} if section is None else as_dictionary(section, "synthetic")
        defaults = {"network": NETWORK, "num_predict_steps": min(WINDOW, observations.steps)}
        section = validated(SyntheticConfig, defaults | given, "synthetic")
    if section.early_stopping is not None and not observations.val:
        text = f"{section.early_stopping} needs validation simulations: see observation.val_sim; or null"
        raise ConfigurationError(f"synthetic.early_stopping: {text}")
    steps = train_synthetic(
        observations,
        section,
        seed,
        configuration={"synthetic": plain(section), "seed": seed},
        device=parse_device(device),
    )
    return trained(*run(steps, progress=progress))


def trained(checkpoint: Bundle, history: History) -> TrainedNetwork:
    """The network of a training's last checkpoint."""
    return TrainedNetwork(final_synthetic_model(checkpoint), history)
