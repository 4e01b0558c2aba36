"""The physical model: its own equation, what it learns of it, and its prior of the initial states."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from hyco.config.errors import Mistake
from hyco.config.messages import explain
from hyco.config.root import Configuration
from hyco.config.rules.times import last_time
from hyco.equations.equation import Equation
from hyco.equations.registry import OtherStatesError, model_equation
from hyco.stepping.ranges import expected_bounds
from hyco.training.physical import PhysicalConfig


def mistakes(c: Configuration, equation: Equation) -> Iterator[Mistake]:
    """Of the section `physical`, and of the hybrid's physical part."""
    for section, config in ((("physical",), c.physical), (("hybrid", "physical"), c.hybrid.physical)):
        for key, text in _section_mistakes(c, equation, config):
            yield (*section, *key), text


def _section_mistakes(c: Configuration, equation: Equation, config: PhysicalConfig) -> Iterator[Mistake]:
    own, wrong = _own_equation(equation, config)
    if own is None:
        yield from wrong
        return
    yield from _learnable_mistakes(own, config, last_time(c, own.dt))
    layout = equation.layout
    prior = config.initial_state
    centred = layout.shape == layout.grid.resolution
    if prior is not None and not centred:
        text = f"a prior of initial states is for centred fields; {c.equation.name} has staggered ones: null"
        yield ("initial_state",), text
    if prior is None and not centred and c.observation.initial_state == "observed":
        text = "where the state at t = 0 is observed it has a prior, which is for centred fields; "
        yield ("initial_state",), f"{text}{c.equation.name} has staggered ones: say full or exact"
    for channel in sorted(set() if prior is None else prior.channels - set(layout.channels)):
        text = f"{channel!r} is no channel of {c.equation.name}; it has: {', '.join(layout.channels)}"
        yield ("initial_state",), text


def _own_equation(equation: Equation, config: PhysicalConfig) -> tuple[Equation | None, list[Mistake]]:
    """The equation that the physical model has, or what is wrong with it."""
    try:
        return model_equation(equation, config.equation, config.resolution), []
    except OtherStatesError as error:
        return None, [((error.key,), str(error))]
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [(("equation", *d["loc"]), explain(d, ("equation", *d["loc"]))) for d in details]
    except ValueError as error:
        return None, [(("equation",), str(error))]


def _learnable_mistakes(own: Equation, config: PhysicalConfig, until: float) -> Iterator[Mistake]:
    """Parameters that the equation does not have, and bounds that it is not stable for."""
    limits, name = own.config.limits, own.config.name
    seen, sound = set(), True
    for i, p in enumerate(config.learnable_parameters):
        entry = ("learnable_parameters", i)
        if p.name not in limits:
            yield (*entry, "name"), f"{p.name!r} is no parameter of {name}; it has: {', '.join(limits)}"
            continue
        if p.name in seen:
            yield (*entry, "name"), f"{p.name!r} is there twice"
        seen.add(p.name)
        if p.is_field and p.name not in own.field_parameters:
            yield (*entry, "kind"), f"{p.name!r} of {name} is a number; it cannot be learnt as a field"
            continue
        if p.is_field and any(p.name in field.walls.names for field in own.layout.fields):
            yield (*entry, "kind"), f"{p.name!r} stands in a wall; it can be learnt as a number, not as a field"
            continue
        mistake = p.check(limits[p.name], own.layout.grid)
        if mistake is not None:
            sound = False
            key, text = mistake
            yield (*entry, key), text
    if sound:
        together = own.config.unsound(expected_bounds(config.learnable_parameters, own.layout.grid), until)
        if together is not None and (config.equation or own.config.unsound({}, until) is None):
            yield ("learnable_parameters",), f"{together} (within the bounds)"
