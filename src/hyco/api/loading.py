"""Trained models from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from hyco.api import files, physics
from hyco.api.arguments import require
from hyco.api.hybrid import TrainedHybrid
from hyco.api.networks import TrainedNetwork
from hyco.api.physics import FittedPhysics
from hyco.api.progress import History
from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation


@overload
def load(folder: str | Path, training: Literal["hybrid"], *, equation: Equation | None = None) -> TrainedHybrid: ...
@overload
def load(folder: str | Path, training: Literal["physical"], *, equation: Equation | None = None) -> FittedPhysics: ...
@overload
def load(folder: str | Path, training: Literal["synthetic"], *, equation: Equation | None = None) -> TrainedNetwork: ...
@overload
def load(folder: str | Path, training: None = None, *, equation: Equation | None = None) -> Any: ...
def load(folder: str | Path, training: str | None = None, *, equation: Equation | None = None) -> Any:
    """Read trained models back, bit for bit, on the CPU.

    Args:
        folder: what `.save` wrote, or `data/06_models/<experiment>` of a finished run of `kedro run`: then the newest
            version. The latter has no history: that is in `data/08_reporting`.
        training: `hybrid`, `physical` or `synthetic`; None: the hybrid if there is one, else the only one there is.
        equation: that of the data; None: as the folder has it.

    Returns:
        `TrainedHybrid`, `FittedPhysics` or `TrainedNetwork`.

    Raises:
        TypeError: `folder` is no path, or `equation` no equation.
        FileNotFoundError: there is no such folder.
        ValueError: the folder holds no such models or several, a file cannot be read, or `equation` has another grid or
            dt than the data that a model learnt from, or not its coefficients.

    Example:
        >>> import hyco, tempfile
        >>> heat = hyco.equation({"name": "heat", "domain": {"x": {"size": 1.0, "resolution": 8}}, "dt": 0.1,
        ...                       "max_diffusivity": 0.1, "parameters": {"diffusivity": 0.02}})
        >>> observations = hyco.observe(hyco.simulate(heat, simulations=1, steps=2), {"train_sim": [0], "noise": 0.01})
        >>> learn = [{"name": "diffusivity", "initial_guess": 0.08, "bounds": [0.001, 0.1]}]
        >>> physics = hyco.fit(heat, observations, learn, method="Levenberg-Marquardt")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     physics.save(folder)
        ...     again = hyco.load(folder)
        >>> again.estimate["diffusivity"] == physics.estimate["diffusivity"]
        True
    """
    if not isinstance(folder, str | Path):
        raise TypeError(f"folder: expected a path, got {type(folder).__name__}")
    if equation is not None:
        require(equation, Equation, "equation", "hyco.equation")
    folder = Path(folder)
    chosen = _choice(folder, training)
    paths, history = files.files_of(folder, chosen), files.read_history(folder, chosen)
    if chosen == "synthetic":
        return _network(paths["synthetic"], history)
    if chosen == "physical":
        return _physics(paths["physical"], "physical", history, equation)
    network = _network(paths["hybrid_synthetic"], history)
    return TrainedHybrid(_physics(paths["hybrid_physical"], "hybrid_physical", history, equation), network, history)


def _choice(folder: Path, training: str | None) -> str:
    """The training whose models are asked for."""
    if training is not None and training not in files.TRAININGS:
        raise ValueError(f"training: {training!r} is not allowed; allowed: {', '.join(files.TRAININGS)}")
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    there = files.trainings_in(folder)
    if not there:
        raise ValueError(
            f"{folder} holds no trained model: give a folder that .save has written, or data/06_models/<experiment> of "
            "a finished run"
        )
    if training is not None and training not in there:
        raise ValueError(f"{folder} holds no models of the training {training}; there are: {', '.join(there)}")
    if training is None and "hybrid" not in there and len(there) > 1:
        raise ValueError(f"{folder} holds models of several trainings: say which, training={' or '.join(there)}")
    return training or there[0]


def _network(path: Path, history: History) -> TrainedNetwork:
    network = TrainedNetwork(files.read_network(path), history)
    _ = network.model  # built now, so that a file of something else is refused here
    return network


def _physics(path: Path, method: str, history: History, equation: Equation | None) -> FittedPhysics:
    final, covariance = files.read_physics(path, method)
    if final.get("kind") != "physical_model":
        raise ValueError(f"{path} holds {final.get('kind')!r}, not a 'physical_model'")
    if equation is None:
        if "equation_section" not in final:
            raise ValueError(f"{path} is of an earlier version of hyco, and does not say its equation: give equation=")
        equation = build_equation(final["equation_section"])
    elif "equation_section" in final:
        _require_grid_of(final["equation_section"], equation)
    states = files.read_initial_states(path, method)
    fitted = physics.restored(final, covariance, history, equation, states)
    if not fitted.estimate.equation:  # else what was learnt is of another equation than the data's
        own = equation.config.limits
        if wrong := [p.name for p in fitted.learnt if p.name not in own]:
            raise ValueError(
                f"equation: {equation.config.name} has no {', '.join(wrong)}, which {path.name} holds; "
                f"its parameters are {', '.join(own)}"
            )
    return fitted


def _require_grid_of(section: Mapping[str, Any], equation: Equation) -> None:
    """Refuse an equation that is not on the grid and `dt` of the data, as the file of a model has them."""
    own = equation.config.model_dump(mode="json")
    different = [key for key in ("domain", "dt") if own[key] != section[key]]
    if different:
        theirs = ", ".join(f"{key} {section[key]}" for key in different)
        raise ValueError(f"equation: the model is of data with {theirs}; leave equation out, or give one like that")
