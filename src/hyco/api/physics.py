"""A physical model alone: an equation whose unknown coefficients are fitted to observations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter

from hyco.api import files, pictures
from hyco.api.arguments import require
from hyco.api.arrays import States, rolled_out
from hyco.api.predictions import predicted
from hyco.api.progress import History, run
from hyco.api.sections import last_measured_step, plain, require_sound
from hyco.config import ConfigurationError, parse_device
from hyco.config.completion import SCAN
from hyco.equations.equation import Equation
from hyco.evaluation import EvaluatedModel
from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.estimated_model import EstimatedModel
from hyco.inversion.posterior import Posterior
from hyco.measurements.suspicions import warn_of_values
from hyco.observations import Observations
from hyco.parameters import LearnableParameter
from hyco.predictions.predict import Trained
from hyco.predictions.sources import Left
from hyco.report.warnings import warn_of_estimate
from hyco.runtime.storage import Bundle
from hyco.training.final import final_initial_states, final_physical_model, physical_estimate
from hyco.training.physical import PhysicalConfig, train_physical

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

    from hyco.api.predictions import Beginning

# Unknown coefficients, as the section `physical.learnable_parameters` lists them.
Learn = Sequence[Mapping[str, Any] | BaseModel]


@dataclass(frozen=True, eq=False, repr=False)
class FittedPhysics:
    """An equation with estimated coefficients, which predicts; a `hyco.TrainedModel`.

    `hyco.fit` makes one, and `hyco.train_hybrid` another.

    Attributes:
        equation: that of the data; the coefficients that were not learnt are its own.
        estimate: `estimate["viscosity"]` has `.value`, `.std`, `.interval` (95 %) and `.identifiable`.
        history: one dictionary per update (of a hybrid: per epoch) with `epoch`, `physical_loss` and the estimates.
        final: the model as JSON values, as `kedro run` leaves it.
        posterior: initial states of the training simulations, and draws of what was unknown; None where a folder of an
            earlier version has none.
    """

    equation: Equation
    estimate: PhysicalEstimate
    history: History = field(default_factory=list)
    final: Mapping[str, Any] = field(default_factory=dict)
    posterior: Bundle | None = None

    stepping = True  # it predicts from any state

    def rollout(self, states: States, steps: int, time: float | Tensor | NDArray[Any] = 0.0) -> States:
        """Predict with the estimated coefficients.

        Args:
            states: initial states `[B, C, *space]`, an array or a tensor, float32 or float64, in units of the channels.
            steps: states to predict, each `equation.dt` later.
            time: t of the initial states, a number or `[B]`; of effect where the equation depends on it.

        Returns:
            `[B, steps, C, *space]`, without the initial states, of the kind, dtype and device of `states`.

        Raises:
            ValueError: the states have another shape or type or are not finite, or there is no step.
        """
        return rolled_out(self.evaluated.model, self.equation.layout, states, steps, time)

    def predict(
        self, initial_states: Beginning = None, steps: int | None = None, *, samples: int = 50, time: float = 0.0
    ) -> xr.Dataset:
        """Predict with coordinates and error bars, from new states or beyond the data.

        Args:
            initial_states: `[B, C, *space]`, or a file of such states (.nc, .npz, .safetensors, .csv; see
                docs/prediction.md); None: the end of the training simulations, to which the model predicts from their
                initial states.
            steps: states to predict, each `equation.dt` later; None: as many as the data have.
            samples: draws of the estimate for the standard deviations, 2 to 100.
            time: t of given states; of effect where the equation depends on it.

        Returns:
            A dataset with the variables `METHOD.CHANNEL` and `METHOD.CHANNEL_std` (of what, says its attribute
            `uncertainty_of`), METHOD being `physical` or `hybrid_physical`, and dimensions `simulation`, `time` and the
            axes of the grid. No `_std` where the coefficients have no covariance.

        Raises:
            ValueError: the states, `steps` or `samples` cannot be meant.
        """
        left, trained = self.left, {self.method: self.trained}
        config = self.equation.config
        return predicted(
            {self.method: left},
            trained,
            self.equation.layout,
            initial_states,
            steps,
            dt=self.equation.dt,
            samples=samples,
            static=config.is_static,
            equation=config.name,
            time=time,
        )

    @property
    def left(self) -> Left:
        """What the training has left, as predictions take it."""
        return Left(self.final, self.posterior)

    @property
    def trained(self) -> Trained:
        """The model as predictions take it."""
        if self.posterior is None:
            return Trained(self.evaluated)
        return Trained(self.evaluated, self._of_posterior(), self.posterior.metadata["estimated"])

    @property
    def initial_states(self) -> Tensor:
        """Of the training simulations, `[S, C, *space]` float64: estimated where they are unknown, else as given.

        Raises:
            ValueError: the model comes from a folder that does not hold them.
        """
        return self._of_posterior().initial_states

    @property
    def initial_states_std(self) -> Tensor | None:
        """Their standard deviation `[S, C, *space]`, infinite where nothing tells.

        None where they are known, or where there are too many unknowns for a covariance.

        Raises:
            ValueError: see `initial_states`.
        """
        return self._of_posterior().initial_std

    def _of_posterior(self) -> Posterior:
        if self.posterior is None:
            raise ValueError("the folder of this model holds no initial states: it is of an earlier version of hyco")
        return Posterior.of(self.posterior.tensors)

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder, for `hyco.load`: physical_model.json, its initial states and its history.

        Args:
            folder: where to; it is made if it is not there, and files of an earlier model are replaced.

        Raises:
            ValueError: the folder is that of a run of the pipelines.
        """
        folder = Path(folder)
        files.write_physics(folder, self.method, self.final, self.estimate.covariance)
        files.write_initial_states(folder, self.method, self.posterior)
        files.write_history(folder, self.method, self.history)

    def plot_estimates(self, true: Mapping[str, Any] | None = None) -> Figure:
        """Every learnt number with its 95 % interval over the epochs, as a figure of matplotlib.

        Args:
            true: true values by name, where they are known, such as `equation.parameters`.

        Raises:
            ValueError: there is no history, as the model comes from the folder of a run.
        """
        return pictures.estimates(self.method, self.history, self.learnt, true)

    @property
    def method(self) -> str:
        """Its name in reports: `physical`, or `hybrid_physical`."""
        return "hybrid_physical" if self.final["training"]["training"] == "hybrid" else "physical"

    @property
    def learnt(self) -> list[LearnableParameter]:
        """What was learnt, and what was known of it beforehand."""
        learnt: list[LearnableParameter] = _LEARNT.validate_python(self.final["learnable_parameters"])
        return learnt

    @cached_property
    def evaluated(self) -> EvaluatedModel:
        """The model as evaluations take it."""
        model = EstimatedModel(self.estimate, self.equation)
        return EvaluatedModel(model, self.final["training"], self.final["hybrid"] or {}, self.estimate)

    def __repr__(self) -> str:
        numbers = self.estimate.numbers.items()
        parts = [f"{name} = {n.value:.5g}" + ("" if n.std is None else f" ± {n.std:.2g}") for name, n in numbers]
        parts += [f"{name}: a field" for name in self.estimate.fields]
        return f"FittedPhysics({self.equation.config.name}: {', '.join(parts)})"


_LEARNT: TypeAdapter[list[LearnableParameter]] = TypeAdapter(list[LearnableParameter])


def fit(
    equation: Equation,
    observations: Observations,
    learn: Learn,
    *,
    method: str | Mapping[str, Any] = "L-BFGS-B",
    device: str = "auto",
    progress: bool = False,
    **options: Any,
) -> FittedPhysics:
    """Fit unknown coefficients of an equation to observations, with error bars.

    Minimises the mean of ((prediction - measured)/σ)² over what was measured, with σ the noise of each channel; the
    prediction is one rollout from t = 0. Where initial states are not known exactly they are estimated too.

    Args:
        equation: from `hyco.equation`; its own values of what is learnt have no effect.
        observations: from `hyco.observe`, of states of this equation.
        learn: the unknowns, a dictionary each: `name`, `initial_guess` and `bounds` in units of the coefficient, or
            another `kind` than a number: docs/inversion.md.
        method: the optimiser, one of `hyco.available()["optimisers"]` or a dictionary of its `name` and keys;
            Levenberg-Marquardt is the fastest for a few unknown numbers.
        device: `auto`, `cpu` or `cuda`.
        progress: whether to print a line on stderr after each update; by default there is one.
        **options: further keys of the section `physical` (docs/configuration.md), such as `epochs` (iterations allowed,
            default 50), `scan`, `starts`, `horizons`, `resolution`, `suppress_convergence_errors`. Two have other
            defaults here: `num_predict_steps`, the length of the rollout, is up to the last step of which anything was
            measured, so that all measurements count; `scan` is 32 for a file of measurements, with one guess.

    Returns:
        `FittedPhysics`: `.estimate["viscosity"].value`, `.rollout(states, steps)`.

    Raises:
        ConfigurationError: a key is wrong, or a coefficient that the equation does not have; one line per problem.
        TypeError: `equation` or `observations` is something else.
        ValueError: the observations are of other states than the equation's.
        NotConverged: the iterations were not enough; the message says what to change, `.parameters` has the best
            values. Not with `suppress_convergence_errors=True`.
        Diverged: the loss is not finite at the initial guess.

    Example:
        >>> import hyco
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.02}})
        >>> trajectories = hyco.simulate(heat, simulations=2, steps=4, length_scale=0.2)
        >>> observations = hyco.observe(trajectories, {"train_sim": [0, 1], "noise": 0.01})
        >>> learn = [{"name": "diffusivity", "initial_guess": 0.08, "bounds": [0.001, 0.1]}]
        >>> physics = hyco.fit(heat, observations, learn, method="Levenberg-Marquardt")
        >>> low, high = physics.estimate["diffusivity"].interval
        >>> low < 0.02 < high and physics.estimate["diffusivity"].identifiable
        True
        >>> physics.rollout(trajectories.states[:, 0], steps=10).shape
        torch.Size([2, 10, 1, 8])
    """
    require(equation, Equation, "equation", "hyco.equation")
    require(observations, Observations, "observations", "hyco.observe")
    warn_of_values(observations)
    section = {
        "num_predict_steps": last_measured_step(observations),
        **({"scan": SCAN} if observations.from_file and options.get("starts", 1) == 1 else {}),
        **options,
        "method": dict(method) if isinstance(method, Mapping) else method,
        "learnable_parameters": unknowns(learn),
    }
    equation.require_states(observations.layout, observations.dt)
    require_sound({"physical": section}, equation, observations)
    config = PhysicalConfig.model_validate(section)
    steps = train_physical(
        equation,
        observations,
        config,
        configuration={"equation": plain(equation.config), "physical": plain(config)},
        device=parse_device(device),
    )
    return fitted(equation, *run(steps, progress=progress))


def unknowns(learn: Learn) -> list[Any]:
    """The argument `learn` as the list of a section.

    Raises:
        ConfigurationError: it is no list.
    """
    if not isinstance(learn, Sequence) or isinstance(learn, str):
        raise ConfigurationError(
            f"learn: {learn!r} is not allowed; allowed: a list of dictionaries, one for each unknown"
        )
    return [p.model_dump() if isinstance(p, BaseModel) else p for p in learn]


def fitted(equation: Equation, checkpoint: Bundle, history: History) -> FittedPhysics:
    """The physical model of a training's last checkpoint; warns where its error bars are not to be trusted."""
    final, states = final_physical_model(checkpoint), final_initial_states(checkpoint)
    estimate = physical_estimate(checkpoint)
    entries = {name: number.to_json() for name, number in estimate.numbers.items()}
    # Noise that is not known may be there: then the residuals are taken for it.
    warn_of_estimate("hyco", estimate, entries, measured=True)
    return FittedPhysics(equation, estimate, history, final, states)


def restored(
    final: Mapping[str, Any],
    covariance: Tensor | None,
    history: Iterable[dict[str, Any]],
    equation: Equation,
    posterior: Bundle | None = None,
) -> FittedPhysics:
    """The physical model of a file."""
    estimate = PhysicalEstimate.from_json(final)
    if covariance is not None:
        estimate = replace(estimate, covariance=covariance)
    return FittedPhysics(equation, estimate, list(history), final, posterior)
