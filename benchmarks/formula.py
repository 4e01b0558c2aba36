"""Equations by formula against the built-in files of the same equations: time of a step and of its gradient, accuracy,
and the processor's time until the formula is read and its step is recorded.

Both are timed in one process, one thread, in turns, by the processor's time; the ratios are medians over the turns. Run
it with `python benchmarks/formula.py`, and with `--compiled` for steps as code of hyco's own, where both have it; the
tables are those of docs/studies/formula.md.
"""

import argparse
import statistics
import time

import torch

from hyco.equations.equation import Equation
from hyco.equations.ranges import covering
from hyco.equations.registry import build_equation
from hyco.stepping.native.library import Native
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Execution, Stepper

BURGERS = {"name": "burgers", "scheme": "upwind", "domain": {"x": {"size": 10.0, "resolution": 128}}, "dt": 0.05}
BURGERS_2D = {**BURGERS, "domain": {a: {"size": 10.0, "resolution": 64} for a in "xy"}}
HEAT = {"name": "heat", "order": 2, "domain": {"x": {"size": 10.0, "resolution": 128}}, "dt": 0.05}
HEAT_2D = {**HEAT, "domain": {a: {"size": 10.0, "resolution": 64} for a in "xy"}}
WALLS = {"boundary": {"x": {"lower": 0.5, "upper": "neumann"}}}
NU, D = {"viscosity": 0.1}, {"diffusivity": 0.1}
PATTERN = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
CONVECTION = {"u": "-u*dx(u) + viscosity*laplace(u)"}
CONVECTION_2D = {f: f"-u*dx({f}) - v*dy({f}) + viscosity*laplace({f})" for f in "uv"}
SPREADING = {"u": "diffusivity*laplace(u)"}
REACTION = {
    "u": "diffusivity_u*laplace(u) - u*v**2 + feed*(1 - u)",
    "v": "diffusivity_v*laplace(v) + u*v**2 - (feed + kill)*v",
}

SAME = {"scheme": "differences", "order": 2, "integrator": "explicit", "stages": 3, "substeps": 1}
EULER = {"scheme": "differences", "order": 2, "integrator": "explicit", "stages": 1, "substeps": 40}


def gray_scott(cells: int, **keys: str) -> dict:
    """A section; by default with Euler steps of 0.5."""
    domain = {a: {"size": cells * 50 / 32, "resolution": cells} for a in "xy"}
    given = {"name": "gray_scott", "domain": domain, "dt": 20.0, "parameters": PATTERN}
    return {**given, "scheme": "euler", "substeps": 40} | keys


# Built-in section, rates, other keys of the formula.
CASES = {
    "Burgers, spectral": ({**BURGERS, "parameters": NU, "scheme": "spectral"}, CONVECTION, {}),
    "Burgers, upwind": ({**BURGERS, "parameters": NU}, CONVECTION, {"scheme": "differences"}),
    "Burgers 2-D, upwind": ({**BURGERS_2D, "parameters": NU}, CONVECTION_2D, {"scheme": "differences"}),
    "heat, walls": ({**HEAT, "parameters": D, **WALLS}, SPREADING, WALLS),
    "heat, walls, as exact": ({**HEAT, "parameters": D, **WALLS, "substeps": 4}, SPREADING, WALLS),
    "heat, walls, waves": ({**HEAT, "order": "auto", "parameters": D, **WALLS}, SPREADING, WALLS),
    "heat, walls, both explicit": ({**HEAT, "parameters": D, **WALLS}, SPREADING, {**WALLS, **SAME}),
    "heat, periodic, both explicit": ({**HEAT, "parameters": D}, SPREADING, SAME),
    "heat, periodic": ({**HEAT, "parameters": D}, SPREADING, {}),
    "heat, periodic, waves": ({**HEAT, "order": "auto", "parameters": D}, SPREADING, {}),
    "heat 2-D": ({**HEAT_2D, "parameters": D, "boundary": "neumann"}, SPREADING, {"boundary": "neumann"}),
    "heat 2-D, waves": (
        {**HEAT_2D, "order": "spectral", "parameters": D, "boundary": "neumann"},
        SPREADING,
        {"boundary": "neumann"},
    ),
    "heat 2-D, periodic": ({**HEAT_2D, "parameters": D}, SPREADING, {}),
    "heat 2-D, periodic, waves": ({**HEAT_2D, "order": "auto", "parameters": D}, SPREADING, {}),
    "Gray-Scott 64²": (gray_scott(64), REACTION, {}),
    "Gray-Scott 64², Euler both": (gray_scott(64), REACTION, EULER),
    "Gray-Scott 64², spectral": (gray_scott(64, scheme="spectral", substeps="auto"), REACTION, {}),
    "Gray-Scott 64², differences": (gray_scott(64), REACTION, {"scheme": "differences"}),
    "Gray-Scott 64², walls": (gray_scott(64, boundary="neumann"), REACTION, {"boundary": "neumann"}),
    "Gray-Scott 64², walls, Euler both": (
        gray_scott(64, boundary="neumann"),
        REACTION,
        {**EULER, "boundary": "neumann"},
    ),
    "Gray-Scott 64², walls, spectral": (
        gray_scott(64, scheme="spectral", substeps="auto", boundary="neumann"),
        REACTION,
        {"boundary": "neumann"},
    ),
    "Gray-Scott 128²": (gray_scott(128), REACTION, {}),
    "Gray-Scott 128², Euler both": (gray_scott(128), REACTION, EULER),
    "Gray-Scott 32²": (gray_scott(32), REACTION, {}),
    "Gray-Scott 32², Euler both": (gray_scott(32), REACTION, EULER),
    "Gray-Scott 32², spectral": (gray_scott(32, scheme="spectral", substeps="auto"), REACTION, {}),
}


def pair(name: str) -> tuple[Equation, Equation, torch.Tensor, float]:
    """The built-in equation, the formula's, states of both, and the time that reading the formula took."""
    section, rates, keys = CASES[name]
    given = {k: section[k] for k in ("domain", "dt", "parameters")}
    own = build_equation(section)
    length = 6.0 if own.config.name == "gray_scott" else 1.0
    states = own.initial_states(2, length, 1.0, torch.Generator().manual_seed(0))
    begin = time.process_time()
    formula = build_equation({"name": "formula", **given, "rates": rates, **keys})
    formula = covering(formula, formula.reach(states))
    return covering(own, own.reach(states)), formula, states, time.process_time() - begin


def finer(equation: Equation, states: torch.Tensor, steps: int) -> torch.Tensor:
    """The same equation's last state in steps so short that nothing changes: what the error in time is measured by."""
    short = build_equation({**equation.config.model_dump(exclude_unset=True), "dt": equation.dt / 8})
    short = covering(short, short.reach(states)) if short.config.open_ranges else short
    bound = Stepper(short, "traced").bind(states, short.parameter_tensors(torch.float64))
    return rollout(bound, states, 8 * steps, read=[8 * steps])[:, -1]


def timed(equation: Equation, states: torch.Tensor, steps: int, execution: Execution):
    """A function that runs a rollout and one that runs it with its gradient; operations of a step; the last state."""
    stepper = Stepper(equation, execution)
    parameters = {k: v.clone().requires_grad_() for k, v in equation.parameter_tensors(torch.float64).items()}
    plain = {k: v.detach() for k, v in parameters.items()}

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return rollout(stepper.bind(states, plain), states, steps)

    def gradient() -> None:
        end = rollout(stepper.bind(states, parameters), states, steps)
        torch.autograd.grad(end.square().mean(), list(parameters.values()))

    begin = time.process_time()
    stepper.bind(states, plain)
    recording = time.process_time() - begin
    end = forward()
    gradient()
    program = next(iter(stepper._programs.values()))
    return forward, gradient, getattr(program, "operations", 0), end[:, -1], recording


def is_native(equation: Equation, states: torch.Tensor) -> bool:
    """Whether a compiled step is code of hyco's own."""
    return isinstance(Stepper(equation, "compiled").bind(states, equation.parameter_tensors(torch.float64)).run, Native)


def ratio(first, second, turns: int) -> float:
    """The median over the turns of the second's time over the first's."""
    ratios = []
    for turn in range(turns):
        times = {}
        for function in (first, second) if turn % 2 else (second, first):
            begin = time.process_time()
            function()
            times[function] = time.process_time() - begin
        ratios.append(times[second] / times[first])
    return statistics.median(ratios)


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--compiled", action="store_true")
    arguments.add_argument("--turns", type=int, default=9)
    arguments.add_argument("--only", default="")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    execution: Execution = "compiled" if given.compiled else "traced"
    print(
        "| equation | forward | gradient | operations × substeps | error in time, built-in | formula | record [s] |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    for name in CASES:
        if given.only not in name:
            continue
        own, formula, states, parse = pair(name)
        if given.compiled and not all(is_native(equation, states) for equation in (own, formula)):
            continue
        steps = 10
        a = timed(own, states, steps, execution)
        b = timed(formula, states, steps, execution)
        errors = [
            float((end - finer(e, states, steps)).square().mean().sqrt()) for e, end in ((own, a[3]), (formula, b[3]))
        ]
        forward, gradient = ratio(a[0], b[0], given.turns), ratio(a[1], b[1], given.turns)
        print(
            f"| {name} | {forward:.2f} | {gradient:.2f} | {a[2]} × {own.substeps}, {b[2]} × {formula.substeps} "
            f"| {errors[0]:.1e} | {errors[1]:.1e} | {parse + b[4]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
