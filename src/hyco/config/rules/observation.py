"""What is observed: simulations, sensors and times that do not exist, or that leave a training without data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hyco.config.errors import Mistake
from hyco.config.root import Configuration
from hyco.equations.equation import Equation
from hyco.observations.cells import CellsMode
from hyco.observations.on_disk import not_on_disk
from hyco.runtime.random_streams import stream


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `observation`, and of trainings too short to reach what it observes."""
    simulations = c.generation.simulations
    for key, indices in (
        ("train_sim", c.observation.train_sim),
        ("val_sim", c.observation.val_sim),
        ("test_sim", c.observation.test_sim),
    ):
        for index in indices:
            if index >= simulations:
                count = "generation.simulations is" if c.measurements is None else "the file holds"
                allowed = f"{count} {simulations}: 0 to {simulations - 1}"
                yield ("observation", key), f"simulation {index} does not exist; {allowed}"
    times: Sequence[int] = range(c.generation.steps + 1)
    try:
        times = c.observation.time.indices(c.generation.steps)
    except ValueError as error:
        yield ("observation", "time"), str(error)
    yield from _places(c, equation, len(times))
    if c.compute.on_disk:
        whole = "a file of measurements is read into memory: leave it out"
        reason = not_on_disk(c.observation) if c.measurements is None else whole
        if reason is not None:
            yield ("compute", "on_disk"), reason
    yield from _too_short(c, times)


def _places(c: Configuration, equation: Equation, times: int) -> Iterator[Mistake]:
    """Sensors outside the domain."""
    space, layout = c.observation.space, equation.layout
    try:
        space.check(c.equation.grid, times)
        nowhere = isinstance(space, CellsMode) and not space.cells(layout, stream(0, "sensors")).any()
    except ValueError as error:
        yield ("observation", "space"), str(error)
        return
    if nowhere:
        extents = zip(layout.grid.axes, layout.grid.lower, layout.grid.size, strict=True)
        domain = ", ".join(f"{axis} from {lower:g} to {lower + size:g}" for axis, lower, size in extents)
        yield ("observation", "space"), f"no cell lies there; the domain is {domain}"


def _too_short(c: Configuration, times: Sequence[int]) -> Iterator[Mistake]:
    """Trainings of the physical model that nothing observed falls into."""
    h = c.hybrid
    own = "num_predict_steps" if h.observed_steps is None else "observed_steps"
    for section, key, steps in (
        ("physical", "num_predict_steps", c.physical.num_predict_steps),
        ("hybrid", own, h.steps_on_data),
    ):
        if not any(1 <= t <= steps for t in times):
            text = f"{steps} is too short: observation.time has no state in the first {steps} steps after t = 0"
            yield (section, key), text
