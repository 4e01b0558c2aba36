"""Error against time: hyco's rollouts and their gradients beside those of exponax, and of hyco's schemes in JAX.

    python benchmarks/work_precision.py                    # hyco alone
    make bench-peers                                       # beside JAX, in an environment of its own

Each problem is a rollout of four smooth states on a periodic box, float64, and the gradients of the sum of squares of
all its states by one number and by the states at the start. The error is that of the last state, the largest
difference relative to the largest value, from a reference of hyco's on three times as many cells along each axis in
twice as many steps as the most that are measured. Each solver takes as many steps as it says, each of one sub-step.
exponax is jitted, and its gradient by a number is the cheaper one of its two modes; hyco's steps are compiled, and that
gradient is that of its fits: a difference quotient of two copies in one batch.

Times are processor times on one thread, with the compilation of both left out. The solvers
run in turn, each time all of them, so that other load on the machine changes little: the table has medians and
quartiles of the repetitions. `--only Burgers` measures some of the problems again and leaves the others as they were.
Ratios are of the fastest settings of both that are as accurate as it says; above 1 hyco takes more. Where a solver
comes no nearer to the reference with more steps, its space does not resolve the states: exponax keeps the lower two
thirds of the wavenumbers, of Gray-Scott the lower half. The waves of Navier-Stokes and Gray-Scott are so long that both
solvers come below 1e-5. hyco's step of Navier-Stokes limits speeds to those that it is stable for: in fewer than 18
steps these states are faster. Nothing is interpolated between numbers of steps: by its order exponax would come there
to 1e-4 and 1e-5 in 7 and 13 steps, instead of 10 and 18, with which hyco's ratios would be 1.4 times as large. The
machine had more work to do for some problems than for others, which doubles times: compare those of one problem.

Of Korteweg-de Vries exponax 0.2.0 takes the real parts of its coefficients, which are complex for a third derivative:
its error falls by the first order, whichever it is told to have, and is 1.1e-3 after 1280 steps. What is measured is
exponax with complex coefficients put in their places, by the same sums over a circle: its error then falls by its
order. hyco's reference is within 5e-8 of SciPy's DOP853 with an integrating factor.

*JAX, same scheme*: hyco's scheme of the equation written plainly (`benchmarks/jax_schemes.py`), a scan over steps with
fast transforms, states kept as coefficients between steps, jitted; its gradients like exponax's. Its errors are hyco's
to rounding, or nothing is measured.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyco.equations.registry import build_equation
from hyco.grid import Grid
from hyco.runtime.memory import keep_freed_memory
from hyco.stepping.rollout import rollout
from hyco.stepping.stepper import Stepper
from peers import Peer
from study import described, write_page

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies" / "work_precision.md"
RESULTS = PAGE.with_suffix(".json")
PICTURE = ROOT / "docs" / "images" / "work_precision.png"
SAMPLES, FINER = 4, 3
ERRORS = (1e-3, 1e-4, 1e-5)
SAME, ROUNDING = "JAX, same scheme", 1e-12
KINDS = {"forward": "forward", "gradient": "by a number", "initial": "by the states at the start"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """An equation, a rollout of it, and what solves it.

    Attributes:
        section: of the configuration, without domain and dt; `learnt` is among its parameters.
        time: of the rollout.
        steps: how many are measured.
        waves: wavenumber, of the largest wave of the states, and their size.
        peer: exponax's stepper, its numbers, and which of them is `learnt`.
        complex_peer: whether its coefficients are complex, which exponax itself takes the real parts of.
        one_step: keys that make a step one sub-step.
        same: whether `jax_schemes` has hyco's scheme of it.
    """

    section: dict[str, Any]
    learnt: str
    cells: int
    dimensions: int
    size: float
    time: float
    steps: tuple[int, ...]
    peer: tuple[str, dict[str, float], str]
    one_step: dict[str, Any]
    waves: tuple[int, float] = (3, 0.25)
    level: tuple[float, ...] = (0.0,)
    complex_peer: bool = False
    same: bool = False

    def equation(self, steps: int, finer: int = 1, **keys: Any) -> Any:
        """The equation with that many steps."""
        axis = {"size": self.size, "resolution": self.cells * finer}
        domain = dict.fromkeys("xyz"[: self.dimensions], axis)
        return build_equation({"domain": domain, "dt": self.time / steps, **self.section, **keys})


BURGERS = {"name": "burgers", "scheme": "spectral", "max_convection": 1.0}
PROBLEMS = {
    "Burgers, 192 cells": Problem(
        BURGERS | {"parameters": {"viscosity": 0.1}},
        "viscosity",
        192,
        1,
        10.0,
        1.0,
        (10, 20, 40, 80),
        ("Burgers", {"diffusivity": 0.1}, "diffusivity"),
        {"max_speed": 1e-3},
        (3, 0.5),
        same=True,
    ),
    "Burgers, 64² cells": Problem(
        BURGERS | {"parameters": {"viscosity": 0.3}},
        "viscosity",
        64,
        2,
        10.0,
        1.0,
        (10, 20, 40),
        ("Burgers", {"diffusivity": 0.3}, "diffusivity"),
        {"max_speed": 1e-3},
    ),
    "Fisher-KPP, 128 cells": Problem(
        {
            "name": "formula",
            "fields": {"u": {"boundary": "periodic"}},
            "rates": {"u": "D*laplace(u) + u*(1 - u)"},
            "parameters": {"D": 0.1},
        },
        "D",
        128,
        1,
        10.0,
        2.0,
        (5, 10, 20, 40),
        ("FisherKPP", {"diffusivity": 0.1, "reactivity": 1.0}, "diffusivity"),
        {"substeps": 1},
        (3, 0.1),
        (0.4,),
    ),
    "Kuramoto-Sivashinsky, 128 cells": Problem(
        {
            "name": "formula",
            "fields": {"u": {"boundary": "periodic"}},
            "rates": {"u": "-dx(u*u)/2 - a*dx(dx(u)) - dx(dx(dx(dx(u))))"},
            "parameters": {"a": 1.0},
        },
        "a",
        128,
        1,
        32.0,
        10.0,
        (20, 40, 80, 160),
        ("KuramotoSivashinskyConservative", {"second_order_scale": 1.0}, "second_order_scale"),
        {"substeps": 1},
        (4, 0.4),
    ),
    "Heat, 128 cells": Problem(
        {"name": "heat", "parameters": {"diffusivity": 0.1}},
        "diffusivity",
        128,
        1,
        10.0,
        1.0,
        (10, 20),
        ("Diffusion", {"diffusivity": 0.1}, "diffusivity"),
        {},
        same=True,
    ),
    "Korteweg-de Vries, 128 cells": Problem(
        {
            "name": "formula",
            "fields": {"u": {"boundary": "periodic"}},
            "rates": {"u": "-3*dx(u*u) - a*dx(dx(dx(u)))"},
            "parameters": {"a": 1.0},
        },
        "a",
        128,
        1,
        40.0,
        2.0,
        (20, 40, 80, 160),
        (
            "KortewegDeVries",
            {"dispersivity": 1.0, "convection_scale": 6.0, "hyper_diffusivity": 0.0},
            "dispersivity",
        ),
        {"substeps": 1},
        (3, 0.1),
        complex_peer=True,
    ),
    "Navier-Stokes, 64² cells": Problem(
        {"name": "navier_stokes", "parameters": {"viscosity": 0.02}},
        "viscosity",
        64,
        2,
        2 * math.pi,
        1.0,
        # hyco's are short enough for the speed of these states from 18 on; exponax needs fewer.
        (5, 10, 18, 32),
        # Its vorticity turns the other way round.
        ("NavierStokesVorticity", {"diffusivity": 0.02, "vorticity_convection_scale": -1.0}, "diffusivity"),
        {},
        (2, 0.6),
    ),
    "Gray-Scott, 64² cells": Problem(
        {
            "name": "gray_scott",
            "parameters": {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
        },
        "diffusivity_u",
        64,
        2,
        100.0,
        10.0,
        (5, 10, 20),
        (
            "GrayScott",
            {"diffusivity_1": 0.2, "diffusivity_2": 0.08, "feed_rate": 0.018, "kill_rate": 0.051},
            "diffusivity_1",
        ),
        {"substeps": 1},
        (1, 0.04),
        (0.5, 0.25),
        same=True,
    ),
}


def states_of(problem: Problem, grid: Grid, channels: int) -> Tensor:
    """Sums of six waves, `[4, C, *space]`, the same functions on every grid."""
    generator = torch.Generator().manual_seed(3)
    largest, amplitude = problem.waves
    points = torch.meshgrid(*[torch.from_numpy(grid.centers(axis)) for axis in grid.axes], indexing="ij")
    states = torch.zeros(SAMPLES, channels, *grid.resolution, dtype=torch.float64)
    for state in states:
        for channel, values in enumerate(state):
            values += problem.level[channel % len(problem.level)]
            for _ in range(6):
                k = torch.randint(-largest, largest + 1, (grid.dimensions,), generator=generator)
                phase, size = torch.rand(2, generator=generator, dtype=torch.float64)
                angle = sum(2 * math.pi / problem.size * float(n) * p for n, p in zip(k, points, strict=True))
                values += amplitude * (0.2 + size) * torch.cos(angle + 2 * math.pi * phase)
    return states


def write_problem(problem: Problem, path: Path) -> None:
    """The states at the start, and the reference of the last ones."""
    steps = 2 * max(problem.steps)
    keys = {"max_speed": 8.0} if "max_speed" in problem.one_step else problem.one_step
    fine, coarse = problem.equation(steps, FINER, **keys), problem.equation(1, **problem.one_step)
    channels = len(coarse.layout.channels)
    start = states_of(problem, fine.layout.grid, channels)
    with torch.no_grad():
        end = rollout(Stepper(fine).bind(start, fine.parameter_tensors(torch.float64)), start, steps, [steps])[:, 0]
    for dim in range(2, end.ndim):
        end = end.index_select(dim, torch.arange(FINER // 2, end.shape[dim], FINER))
    begun = states_of(problem, coarse.layout.grid, channels)
    np.savez(path, start=begun.numpy(), reference=end.numpy(), size=problem.size, time=problem.time)


Timed = Callable[[], float]


def own_solver(problem: Problem, steps: int, path: Path) -> tuple[float, dict[str, Timed]]:
    """hyco's error, and what measures one rollout and one gradient."""
    with np.load(path) as data:
        start, reference = torch.from_numpy(data["start"]), torch.from_numpy(data["reference"])
    equation = problem.equation(steps, **problem.one_step)
    stepper, values = Stepper(equation, "compiled"), equation.parameter_tensors(torch.float64)
    copies, moved = start.repeat(2, *[1] * (start.ndim - 1)), dict(values)
    change = 1e-6 * float(values[problem.learnt])
    moved[problem.learnt] = values[problem.learnt] + change * (torch.arange(2 * SAMPLES) >= SAMPLES).double()

    def forward() -> Tensor:
        return rollout(stepper.bind(start, values), start, steps)

    def gradient() -> Tensor:
        squares = rollout(stepper.bind(copies, moved), copies, steps).square().flatten(1).sum(dim=1)
        first, second = squares.reshape(2, SAMPLES).sum(dim=1)
        return (second - first) / change

    def initial() -> Tensor:
        leaf = start.clone().requires_grad_(True)
        with torch.enable_grad():
            squares = rollout(stepper.bind(leaf, values), leaf, steps).square().sum()
        return torch.autograd.grad(squares, leaf)[0]

    @torch.no_grad()
    def seconds(work: Callable[[], Tensor]) -> float:
        begin = time.process_time()
        work()
        return time.process_time() - begin

    works = {"forward": forward, "gradient": gradient, "initial": initial}
    with torch.no_grad():
        gradient()
        initial()
        error = float((forward()[:, -1] - reference).abs().max() / reference.abs().max())
    return error, {kind: lambda kind=kind: seconds(works[kind]) for kind in KINDS}  # type: ignore[misc]


def peer_solver(problem: Problem, order: int, steps: int, path: Path, peer: Peer) -> tuple[float, dict[str, Timed]]:
    """The same of exponax."""
    name, numbers, learnt = problem.peer
    key = f"{path.stem}, {order}, {steps}"
    solver = {"name": name, "numbers": numbers, "learnt": learnt, "order": order, "complex": problem.complex_peer}
    return _asked(key, solver, steps, path, peer)


def same_solver(problem: Problem, steps: int, error: float, path: Path, peer: Peer) -> tuple[float, dict[str, Timed]]:
    """The same of hyco's scheme in JAX, whose error is hyco's.

    Raises:
        RuntimeError: it is another one.
    """
    numbers = {name: float(value) for name, value in problem.equation(steps, **problem.one_step).parameters.items()}
    solver = {"scheme": problem.section["name"], "numbers": numbers, "learnt": problem.learnt}
    theirs, kinds = _asked(f"{path.stem}, same, {steps}", solver, steps, path, peer)
    if abs(theirs - error) > ROUNDING:
        raise RuntimeError(
            f"the error of hyco's scheme in JAX is {theirs:g}, hyco's is {error:g}: they are not the same"
        )
    return theirs, kinds


def _asked(key: str, solver: Row, steps: int, path: Path, peer: Peer) -> tuple[float, dict[str, Timed]]:
    error: float = peer.ask(make=key, problem=str(path), solver=solver, steps=steps)
    return error, {
        kind: lambda kind=kind: peer.ask(run=key, kind=kind)  # type: ignore[misc]
        for kind in KINDS
    }


def rows_of(name: str, problem: Problem, peer: Peer | None, repetitions: int) -> Iterator[Row]:
    """Error and times of every solver and number of steps, measured in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        write_problem(problem, path)
        made = [("hyco", n, *own_solver(problem, n, path)) for n in problem.steps]
        own = len(made)
        if peer is not None:
            orders = [(order, n) for order in (2, 4) for n in problem.steps]
            made += [(f"exponax, order {o}", n, *peer_solver(problem, o, n, path, peer)) for o, n in orders]
            if problem.same:
                made += [(SAME, n, *same_solver(problem, n, error, path, peer)) for _, n, error, _ in made[:own]]
        times: list[dict[str, list[float]]] = [{kind: [] for kind in KINDS} for _ in made]
        for _ in range(repetitions):
            for (_, _, _, kinds), found in zip(made, times, strict=True):
                for kind, measure in kinds.items():
                    found[kind].append(1e3 * measure())
    for (solver, steps, error, _), found in zip(made, times, strict=True):
        row: Row = {"problem": name, "solver": solver, "steps": steps, "error": error if math.isfinite(error) else None}
        for kind, values in found.items():
            row[kind] = statistics.quantiles(values, n=4, method="inclusive")
        yield row


def fastest(rows: list[Row], name: str, solver: str, error: float, kind: str) -> float | None:
    """The time of the fastest setting that is as accurate [ms]."""
    found = [
        row[kind][1]
        for row in rows
        if row["problem"] == name and row["solver"].startswith(solver) and kind in row
        if (row["error"] or math.inf) <= error
    ]
    return min(found, default=None)


def ratios(rows: list[Row], other: str = "exponax") -> list[str]:
    """Of hyco's times to those of another solver at equal errors, as a table; nothing without that."""
    lines, known = [], {kind: list[float]() for kind in KINDS}
    for name in dict.fromkeys(row["problem"] for row in rows if row["solver"].startswith(other)):
        for error in ERRORS:
            cells = [name, f"{error:g}"]
            for kind, found in known.items():
                ours, theirs = (fastest(rows, name, solver, error, kind) for solver in ("hyco", other))
                cells.append(f"{ours / theirs:.2f}" if ours and theirs else "—")
                found += [ours / theirs] if ours and theirs else []
            lines.append(f"| {' | '.join(cells)} |")
    if not all(known.values()):
        return []
    for what, of in (("geometric mean", statistics.geometric_mean), ("worst", max)):
        lines.append(f"| {what} | | {' | '.join(f'{of(found):.2f}' for found in known.values())} |")
    return [f"| problem | error | {' | '.join(KINDS.values())} |", "|---|---|---|---|---|", *lines]


def table(rows: list[Row]) -> str:
    """All that was measured."""
    head = " | ".join(f"{kind} [ms]" for kind in KINDS.values())
    lines = [f"| problem | solver | steps | error | {head} |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        error = "not finite" if row["error"] is None else f"{row['error']:.1e}"
        times = [f"{row[k][1]:.2f} ({row[k][0]:.2f} to {row[k][2]:.2f})" if k in row else "—" for k in KINDS]
        lines.append(f"| {' | '.join([row['problem'], row['solver'], str(row['steps']), error, *times])} |")
    return "\n".join(lines)


def draw(rows: list[Row], path: Path) -> None:
    """Error against time, a panel for each problem: forward above, gradient below."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    names = list(dict.fromkeys(row["problem"] for row in rows))
    figure, panels = plt.subplots(3, len(names), figsize=(2.6 * len(names), 7.2), squeeze=False, layout="constrained")
    styles = {
        "hyco": ("#D55E00", "o"),
        "exponax, order 2": ("#56B4E9", "s"),
        "exponax, order 4": ("#0072B2", "D"),
        SAME: ("#999999", "^"),
    }
    for column, name in enumerate(names):
        for line, kind in enumerate(KINDS):
            panel = panels[line, column]
            for solver, (colour, marker) in styles.items():
                own = [
                    r
                    for r in rows
                    if (r["problem"], r["solver"]) == (name, solver) and (r["error"] or 1) < 1 and kind in r
                ]
                panel.loglog(
                    [r[kind][1] for r in own], [r["error"] for r in own], marker, ls="-", c=colour, label=solver
                )
            panel.set_title(name if line == 0 else "", fontsize=8)
            panel.set_xlabel(f"{KINDS[kind]} [ms]", fontsize=8)
            panel.tick_params(labelsize=7)
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_minor_formatter(NullFormatter())
            # Whole decades: errors that are all of rounding differ by less than the axis would show.
            low, high = (math.log10(limit) for limit in panel.get_ylim())
            panel.set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))
            panels[line, 0].set_ylabel("error", fontsize=8)
    panels[0, 0].legend(fontsize=6)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="interpreter of the environment that has JAX and exponax")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--only", help="problems whose name begins so")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    peer = Peer(arguments.peers, "work_precision_peer.py") if arguments.peers else None
    kept: list[Row] = json.loads(RESULTS.read_text()) if peer is not None and RESULTS.exists() else []
    for name, problem in PROBLEMS.items():
        if not name.startswith(arguments.only or ""):
            continue
        found = list(rows_of(name, problem, peer, arguments.repetitions))
        print(table(found), *ratios(found), *ratios(found, SAME), sep="\n", flush=True)
        if peer is not None:  # at once, so that a run that ends early leaves what it has measured
            kept = [row for row in kept if row["problem"] != name and row["problem"] in PROBLEMS] + found
            kept.sort(key=lambda row: list(PROBLEMS).index(row["problem"]))
            write(kept)
    if peer is not None:
        peer.close()


def write(rows: list[Row]) -> None:
    """The results, their picture and their page."""
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    draw(rows, PICTURE)
    parts = [
        "![Error against time](../images/work_precision.png)",
        "hyco's times to exponax's:",
        "\n".join(ratios(rows)),
    ]
    if same := ratios(rows, SAME):
        parts += ["hyco's times to those of its schemes in JAX:", "\n".join(same)]
    parts.append(table(rows))
    write_page(PAGE, "Error against time", described(__doc__), ["make bench-peers"], "\n\n".join(parts))


if __name__ == "__main__":
    main()
