"""About how long trainings take, by the time of a single step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from hyco.config import Configuration
from hyco.equations.equation import Equation
from hyco.networks.coordinate_model import CoordinateModel
from hyco.networks.network import network_config
from hyco.networks.network_model import NetworkModel
from hyco.networks.synthetic import SyntheticModel
from hyco.parameters import ParameterSpace
from hyco.stepping.stepper import Stepper

# Iterations that a search by an optimiser takes usually, and one that goes on from a good point.
_SEARCH, _UPDATE = 12, 2
# Those of all fits that a search for missing terms makes, where it finds some: three rounds of three to six candidates.
_TERMS = 60
# Rollouts in one batch that is timed: more cost as much each.
_COPIES = 16
# Calls that are timed.
_REPETITIONS = 3
# Unknown numbers of initial states with a prior, along an axis, are about as many as correlation lengths, times this.
_MODES = 3.0


@dataclass(frozen=True)
class Seconds:
    """Time of a training, by itself and as its part of a hybrid; of physics also that of a search for missing terms."""

    alone: float
    hybrid: float
    terms: float = 0.0


def physical_seconds(c: Configuration, equation: Equation, simulations: int, initial_known: bool) -> Seconds:
    """Rollouts of all training simulations, one for each unknown number and iteration.

    A number of an initial state changes its own simulation alone.
    """
    layout = equation.layout
    unknowns = len(ParameterSpace(c.physical.learnable_parameters, layout.grid)) + 1
    if not initial_known:
        unknowns += _initial_numbers(c, equation)
    copies = min(unknowns * simulations, _COPIES)
    states = torch.zeros((copies, len(layout.channels), *layout.shape), dtype=torch.float64)
    parameters = equation.parameter_tensors(torch.float64)
    start = time.process_time()
    with torch.no_grad():
        stepper = Stepper(equation, "auto" if c.physical.execution == "compiled" else c.physical.execution)
        step = stepper.bind(states, parameters)
        once = _seconds(lambda: step(states))
    preparation = (time.process_time() - start) / torch.get_num_threads()
    rollout = once * unknowns * simulations / copies
    alone = c.physical.max_iterations or min(c.physical.epochs, _SEARCH)
    updates = max(0, c.hybrid.epochs - c.hybrid.warmup_epochs) // c.hybrid.interleave_frequency
    each = min(c.hybrid.physical.max_iterations or c.hybrid.physical.epochs, _UPDATE)
    hybrid_steps = c.hybrid.steps_on_data
    return Seconds(
        preparation + alone * rollout * c.physical.num_predict_steps,
        preparation + (_SEARCH + updates * each) * rollout * hybrid_steps,
        _TERMS * rollout * c.physical.num_predict_steps if _may_look_for_terms(c, equation) else 0.0,
    )


def _may_look_for_terms(c: Configuration, equation: Equation) -> bool:
    """Whether it is asked for, by the physics alone or a hybrid, and can be made: see `TermSearch.of`."""
    auto = c.hybrid.strategy == "auto"
    asked = [c.physical] * c.physical.missing_terms
    asked += [c.hybrid.physical] * (auto or c.hybrid.looks_for_terms or c.hybrid.physical.missing_terms)
    return not equation.config.is_static and any(physical.loss.name == "squares" for physical in asked)


def _initial_numbers(c: Configuration, equation: Equation) -> int:
    """Unknown numbers of one initial state."""
    layout, prior = equation.layout, c.physical.initial_state
    cells = len(layout.channels) * layout.grid.cells
    if prior is None:
        return cells
    try:
        length = float(prior.length_scale)
    except ValueError:  # taken from the data later
        return min(cells, 50)
    waves = [min(n, max(1.0, _MODES * size / length)) for n, size in zip(layout.shape, layout.grid.size, strict=False)]
    return min(cells, len(layout.channels) * math.ceil(math.prod(waves) / 2))


def network_seconds(c: Configuration, equation: Equation, simulations: int) -> Seconds:
    """All updates of the network: windows by steps of a state, or points."""
    layout, steps = equation.layout, c.generation.steps
    model = _model(c, equation)
    if isinstance(model, CoordinateModel):
        width = next(p.shape[1] for p in model.network.parameters() if p.ndim == 2)
        points = torch.zeros((c.synthetic.points_per_update, width))
        once = _seconds(lambda: torch.autograd.backward(model.network(points).square().mean()))
        each = once * c.synthetic.updates_per_epoch
        return Seconds(each * c.synthetic.epochs, 2 * each * c.hybrid.epochs)
    assert isinstance(model, SyntheticModel)
    batch = min(c.synthetic.batch_size, simulations * max(1, steps // c.synthetic.num_predict_steps))
    states = torch.zeros((batch, len(layout.channels), *layout.shape))
    once = _seconds(lambda: torch.autograd.backward(model.rollout_normalised(states, 1).square().mean()))

    def epoch(length: int, size: int) -> float:
        """Seconds of one pass over all windows."""
        windows = simulations * max(1, (steps - length + 1) if c.synthetic.use_sliding_window else steps // length)
        return math.ceil(windows / size) * length * once * min(size, windows) / batch

    alone = epoch(c.synthetic.num_predict_steps, c.synthetic.batch_size) * c.synthetic.epochs
    hybrid = epoch(c.hybrid.num_predict_steps, c.hybrid.synthetic.batch_size) * c.hybrid.epochs
    return Seconds(
        alone * _passes(c.synthetic.optimizer, model.weight_count),
        hybrid * _passes(c.hybrid.synthetic.optimizer, model.weight_count),
    )


def _passes(optimizer: str, weights: int) -> float:
    """What an epoch costs in units of one forward and backward pass over its windows, about three forward passes.

    Levenberg-Marquardt passes forward twice for the derivatives by each weight, and for the losses before and after.
    """
    return (2 * weights + 2) / 3 if optimizer == "levenberg_marquardt" else 1.0


def weight_count(c: Configuration, equation: Equation) -> int:
    """Weights of the network."""
    return _model(c, equation).weight_count


def _model(c: Configuration, equation: Equation) -> NetworkModel:
    """The network with random weights."""
    layout, config = equation.layout, network_config(c.synthetic.network)
    zero, one = torch.zeros(len(layout.channels)), torch.ones(len(layout.channels))
    if config.stepping:
        return SyntheticModel.create(config, layout, mean=zero, std=one, change_std=one, seed=c.seed)
    return CoordinateModel.create(
        config, layout, dt=equation.dt, steps=c.generation.steps, mean=zero, std=one, seed=c.seed
    )


def _seconds(call: Callable[[], object]) -> float:
    """Of a call where nothing else runs: the shortest of some, after one that is not counted.

    By the processor's time, shared among the threads: other work on the machine does not count.
    """
    call()
    times = []
    for _ in range(_REPETITIONS):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times) / torch.get_num_threads()


def duration(seconds: float) -> str:
    """A time in words, rounded to what is known of it."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.1g}'):g} {unit}"
    return f"{max(1.0, float(f'{seconds:.1g}')):g} s"
