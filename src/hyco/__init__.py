"""Hybrid training of a physical and a synthetic model of the same system.

A PDE solver with unknown coefficients and a neural network learn from the same measurements, and from each other:

    equation = hyco.equation(section)                      # a PDE on its grid
    trajectories = hyco.simulate(equation, simulations=6, steps=40)
    observations = hyco.observe(trajectories, section)     # noisy, partial measurements
    observations = hyco.read_measurements(file, equation, section, section)  # or those of a file
    physics = hyco.fit(equation, observations, learn)      # coefficients with error bars
    network = hyco.train_network(observations, section)    # a network that steps the state forward
    both = hyco.train_hybrid(equation, observations, learn, section)
    hyco.evaluate([physics, both], trajectories, [5])      # rollouts and their errors

The names in `__all__` are stable; what is behind them may move. Each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyco.api.data import Trajectories, observe, simulate
    from hyco.api.equations import available, equation
    from hyco.api.evaluation import Evaluation, evaluate
    from hyco.api.hybrid import TrainedHybrid, train_hybrid
    from hyco.api.loading import load
    from hyco.api.measurements import read_measurements
    from hyco.api.networks import TrainedNetwork, train_network
    from hyco.api.physics import FittedPhysics, fit
    from hyco.config.errors import ConfigurationError
    from hyco.equations.equation import Equation, EquationConfig
    from hyco.grid import Grid
    from hyco.inversion.estimate import FieldEstimate, NumberEstimate, PhysicalEstimate
    from hyco.inversion.optimisers.result import Diverged, NotConverged
    from hyco.networks.network import NetworkConfig
    from hyco.observations.checks import MeasurementError
    from hyco.observations.observations import Observations
    from hyco.trained_model import TrainedModel

__version__ = "0.1.0"

__all__ = [
    "ConfigurationError",
    "Diverged",
    "Equation",
    "EquationConfig",
    "Evaluation",
    "FieldEstimate",
    "FittedPhysics",
    "Grid",
    "MeasurementError",
    "NetworkConfig",
    "NotConverged",
    "NumberEstimate",
    "Observations",
    "PhysicalEstimate",
    "TrainedHybrid",
    "TrainedModel",
    "TrainedNetwork",
    "Trajectories",
    "__version__",
    "available",
    "equation",
    "evaluate",
    "fit",
    "load",
    "observe",
    "read_measurements",
    "simulate",
    "train_hybrid",
    "train_network",
]

# Where each name lives; the module is imported when the name is asked for, as torch alone takes seconds.
_HOMES = {
    "ConfigurationError": "hyco.config.errors",
    "Diverged": "hyco.inversion.optimisers.result",
    "Equation": "hyco.equations.equation",
    "EquationConfig": "hyco.equations.equation",
    "Evaluation": "hyco.api.evaluation",
    "FieldEstimate": "hyco.inversion.estimate",
    "FittedPhysics": "hyco.api.physics",
    "Grid": "hyco.grid",
    "MeasurementError": "hyco.observations.checks",
    "NetworkConfig": "hyco.networks.network",
    "NotConverged": "hyco.inversion.optimisers.result",
    "NumberEstimate": "hyco.inversion.estimate",
    "Observations": "hyco.observations.observations",
    "PhysicalEstimate": "hyco.inversion.estimate",
    "TrainedHybrid": "hyco.api.hybrid",
    "TrainedModel": "hyco.trained_model",
    "TrainedNetwork": "hyco.api.networks",
    "Trajectories": "hyco.api.data",
    "available": "hyco.api.equations",
    "equation": "hyco.api.equations",
    "evaluate": "hyco.api.evaluation",
    "fit": "hyco.api.physics",
    "load": "hyco.api.loading",
    "observe": "hyco.api.data",
    "read_measurements": "hyco.api.measurements",
    "simulate": "hyco.api.data",
    "train_hybrid": "hyco.api.hybrid",
    "train_network": "hyco.api.networks",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hyco' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # the next time it is found without this function
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
