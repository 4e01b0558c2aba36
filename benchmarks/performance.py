"""What hyco's inner loops cost beside hand-written code, PhiFlow and a bare training loop.

    python benchmarks/performance.py                    # or: make bench; --compiled adds torch.compile
    python benchmarks/performance.py --quick --repetitions 3

Each row is a ratio of processor times of two pieces of work that give the same numbers, that of what is named second
over that of hyco, measured in turn in one process on one thread: above 1 hyco takes less. The median of the
repetitions and their quartiles are given, so that other load on the machine changes little. Memory is the peak of the
resident set of a process of its own; what is in use, without what was freed and kept, is what the allocator tells.

A step is measured in rollouts, each of which begins with what the parameters alone decide, against what one writes in
PyTorch for that equation alone (`hand_written.py`): eager against the traced step, compiled for fixed sizes against the
compiled one. Gradients are those with respect to the named parameter. The grid has as many cells along every axis,
once a number of them that is no power of two; inviscid Burgers, in one dimension, has as many cells in all. The bytes
that a step moves are those that its operations read and write. The static problems take the same
solver of linear systems in both, and all of their work is done once per rollout.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import performance_training
from baselines import CentralBurgers, bare_epoch, phiflow_end
from hand_written import HAND_WRITTEN
from hyco.equations.registry import build_equation
from hyco.observations import ObservationConfig, observe
from hyco.runtime.memory import keep_freed_memory
from hyco.stepping.generation import GenerationConfig, generate
from hyco.stepping.physical_model import PhysicalModel
from hyco.stepping.rollout import rollout
from hyco.stepping.segments import segment_lengths, tape_bytes
from hyco.stepping.stepper import Execution, Stepper
from hyco.training.config import SyntheticConfig
from hyco.training.trainer import SyntheticTrainer
from performance_training import in_own_process, peak_memory, quartiles, row
from study import described, write_page

PAGE = Path(__file__).parents[1] / "docs" / "studies" / "performance.md"
Row = dict[str, Any]
Work = Callable[[], Any]
Bind = Callable[[], Callable[[Tensor], Tensor]]  # what a rollout begins with: its step


def ratio(ours: Work, other: Work, repetitions: int) -> dict[str, float]:
    """Processor time of `other` over that of `ours`: median and quartiles over repetitions in turn."""
    found = []
    for work in (ours, other):
        work()
    for _ in range(repetitions):
        times = []
        for work in (ours, other):
            begin = time.process_time()
            work()
            times.append(time.process_time() - begin)
        found.append(times[1] / times[0])
    lower, median, upper = quartiles(found)
    return {"median": median, "lower": lower, "upper": upper}


def forward_of(bind: Bind, start: Tensor, steps: int) -> Work:
    """A rollout without gradient."""

    def work() -> Tensor:
        with torch.no_grad():
            return rollout(bind(), start, steps)

    return work


def gradient_of(bind: Bind, start: Tensor, steps: int, parameter: Tensor) -> Work:
    """Value and gradient of a rollout."""
    return slope_of(lambda: rollout(bind(), start, steps), parameter)


@dataclass(frozen=True)
class Case:
    """An equation and a rollout of it.

    Attributes:
        parameter: the gradient is with respect to it.
        steps: of the rollout.
        section: of the configuration, without the domain; the cells have the width `spacing`.
    """

    parameter: str
    steps: int
    spacing: float
    section: dict[str, Any]


# Cells of a fixed width, so that every grid has the same number of sub-steps.
CASES = {
    "gray_scott": Case(
        "diffusivity_u",
        20,
        1.6,
        {
            "dt": 0.4,
            "scheme": "euler",
            "substeps": 1,
            "parameters": {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051},
        },
    ),
    "burgers": Case(
        "viscosity",
        10,
        0.1,
        {"dt": 0.015, "max_speed": 4.0, "scheme": "upwind", "parameters": {"viscosity": 0.1}},
    ),
    "heat": Case(
        "diffusivity",
        20,
        0.1,
        {"dt": 0.1, "max_diffusivity": 0.4, "order": 2, "parameters": {"diffusivity": 0.2}},
    ),
    "advection": Case(
        "velocity_x", 20, 0.1, {"dt": 0.03, "max_speed": 1.0, "parameters": {"velocity_x": 0.8, "velocity_y": -0.4}}
    ),
    "navier_stokes": Case(
        "viscosity", 10, 0.2, {"dt": 0.1, "max_speed": 3.0, "parameters": {"viscosity": 0.02, "forcing": "cos(3 * x)"}}
    ),
    "inviscid_burgers": Case(
        "potential", 20, 0.4, {"dt": 0.1, "max_speed": 4.0, "parameters": {"potential": "sin(2 * pi * x / 25.6)"}}
    ),
    "advection_diffusion": Case(
        "diffusivity",
        20,
        0.1,
        {
            "dt": 0.03,
            "max_speed": 1.0,
            "max_diffusivity": 0.05,
            "order": 2,
            "parameters": {"velocity_x": 0.8, "velocity_y": -0.4, "diffusivity": 0.02},
        },
    ),
    "smoke": Case(
        "buoyancy",
        10,
        0.1,
        {
            "dt": 0.03,
            "boundary": "periodic",
            "max_speed": 1.5,
            "inflow": "exp(cos(2 * pi * x / 1.6))",
            "parameters": {"buoyancy": 1.0, "inflow_rate": 0.5, "viscosity": 0.01, "diffusivity": 0.02},
        },
    ),
    "darcy": Case("permeability", 1, 0.1, {"parameters": {"permeability": "exp(sin(3 * x) * cos(2 * y))"}}),
    "elliptic": Case(
        "diffusivity",
        1,
        0.1,
        {"parameters": {"diffusivity": "exp(sin(3 * x) * cos(2 * y))", "reaction": 0.3, "source": "1 + x"}},
    ),
}


def equation_of(name: str, cells: int) -> Any:
    """The equation of a case on a square, or the benchmark's own Burgers; in one dimension with `cells`² cells."""
    if name == "central_burgers":
        return CentralBurgers(cells)
    spacing, section = CASES[name].spacing, CASES[name].section
    axes = {"x": cells**2} if name == "inviscid_burgers" else {"x": cells, "y": cells}
    domain = {axis: {"size": spacing * n, "resolution": n} for axis, n in axes.items()}
    return build_equation({"name": name, "domain": domain, **section})


def start_of(equation: Any, count: int = 1) -> Tensor:
    """States with structures of eight cells and more."""
    grid = equation.layout.grid
    return equation.initial_states(count, 8 * grid.spacing[0], 0.5, torch.Generator().manual_seed(0))


def step_rows(name: str, cells: int, repetitions: int, executions: list[Execution]) -> list[Row]:
    """Our step against the hand-written one and, where there is one, PhiFlow's."""
    torch._dynamo.reset()  # else the hand-written step is compiled for a few sizes only, and runs eager beyond
    equation, hand = equation_of(name, cells), HAND_WRITTEN[name]
    central = name == "central_burgers"
    parameter, steps = ("viscosity", 20) if central else (CASES[name].parameter, CASES[name].steps)
    dtype = torch.float32 if central else torch.float64
    start = start_of(equation, 4 if central else 1).to(dtype)
    values = equation.parameter_tensors(dtype)
    leaf = values[parameter].requires_grad_(True)
    rows = []
    for execution in executions:
        own = Stepper(equation, execution)
        other = hand(equation).compiled() if execution == "compiled" else hand(equation)
        others: dict[str, Bind] = {
            f"hand-written, {'compiled' if execution == 'compiled' else 'eager'}": partial(other.bind, start, values)
        }
        ours = partial(own.bind, start, values)
        for against, theirs in others.items():
            for kind, work, their_work in (
                ("forward", forward_of(ours, start, steps), forward_of(theirs, start, steps)),
                (f"d/d {parameter}", gradient_of(ours, start, steps, leaf), gradient_of(theirs, start, steps, leaf)),
            ):
                what = f"{name} {cells}², {kind}: {execution} step"
                rows.append({"what": what, "against": against, **ratio(work, their_work, repetitions)})
    return rows


def phiflow_rows(cells: int, repetitions: int, executions: list[Execution]) -> Iterator[Row]:
    """The last of 20 states of the benchmark's own Burgers, four samples, against PhiFlow.

    With its own differences PhiFlow keeps its Fields from step to step; a step of ours that PhiFlow compiles goes from
    tensor to tensor, as with execution `jit`.
    """
    steps, equation = 20, CentralBurgers(cells)
    start = start_of(equation, 4).float()
    viscosity = torch.tensor(equation.parameters["viscosity"], requires_grad=True)

    def end_of(execution: Execution) -> Callable[[], Tensor]:
        stepper = Stepper(equation, execution)
        return lambda: rollout(stepper.bind(start, {"viscosity": viscosity}), start, steps, [steps])

    others = {
        "PhiFlow eager": partial(phiflow_end(equation, viscosity, steps, jit=False), start),
        "PhiFlow jit": partial(phiflow_end(equation, viscosity, steps, jit=True), start),
        "PhiFlow jit of the same step": end_of("jit"),
    }
    for execution in executions:
        for against, theirs in others.items():
            ours, what = end_of(execution), f"central_burgers {cells}², last state, {{}}: {execution} step"
            times = ratio(torch.no_grad()(ours), torch.no_grad()(theirs), repetitions)
            yield {"what": what.format("forward"), "against": against, **times}
            times = ratio(slope_of(ours, viscosity), slope_of(theirs, viscosity), repetitions)
            yield {"what": what.format("d/d viscosity"), "against": against, **times}


def slope_of(end: Callable[[], Tensor], parameter: Tensor) -> Work:
    """The gradient of the sum of squares."""
    return lambda: torch.autograd.grad(end().square().sum(), parameter)


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write: all their inputs and outputs; views move none."""

    moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count."""
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [i for i in tree_leaves((args, kwargs, out)) if isinstance(i, Tensor)]
            self.moved += sum(i.numel() * i.element_size() for i in tensors)
        return out


def scaling_rows(small: int, larger: Iterable[int], repetitions: int) -> list[Row]:
    """The traced Gray-Scott step on larger grids: time per cell, and the bytes it moves in a time beside a copy."""

    def work(cells: int, steps: int) -> tuple[Work, Tensor, float]:
        equation = equation_of("gray_scott", cells)
        start = start_of(equation)
        step = Stepper(equation).bind(start, equation.parameter_tensors(torch.float64))
        with Traffic() as traffic:
            step(start)
        return forward_of(lambda: step, start, steps), start, traffic.moved * steps

    rows = []
    for cells in (small, *larger):
        factor = max(1, (512 // cells) ** 2)
        ours, state, moved = work(cells, 2 * factor)
        if cells != small:
            other, _, _ = work(small, 2 * factor * (cells // small) ** 2)
            what = {"what": f"gray_scott, time per cell and step at {cells}²", "against": f"at {small}²"}
            rows.append({**what, **ratio(ours, other, repetitions)})
        source, target = state.clone(), state.clone()
        copies = round(moved / (2 * state.numel() * state.element_size()))

        def copy(source: Tensor = source, target: Tensor = target, copies: int = copies) -> None:
            for _ in range(copies):
                target.copy_(source)

        size = f"{moved / (2 * factor) / 1e6:.2g} MB"
        what = {"what": f"gray_scott, bytes moved in a time by the step at {cells}² ({size})", "against": "by a copy"}
        rows.append({**what, **ratio(ours, copy, repetitions)})
    return rows


def segments_row(cells: int, steps: int, repetitions: int) -> Row:
    """The gradient in segments against the whole tape, float64."""
    equation = equation_of("gray_scott", cells)
    start = start_of(equation).requires_grad_(True)
    values = equation.parameter_tensors(torch.float64)
    model = PhysicalModel(equation, equation.layout)
    tape = tape_bytes(model.stepper.bind(start, values), start)

    def work(budget: float) -> Tensor:
        end = model.rollout(start, values, steps, memory_budget=budget, read=[steps])
        return torch.autograd.grad(end.square().sum(), start)[0]

    whole, parts = work(1e18), work(0.5 * steps * tape)
    difference = float((whole - parts).abs().max() / whole.abs().max())
    what = f"gradient of {steps} steps at {cells}² in segments (relative difference {difference:.0e})"
    times = ratio(lambda: work(0.5 * steps * tape), lambda: work(1e18), repetitions)
    return {"what": what, "against": "the whole tape", **times}


def memory_of_a_long_gradient(cells: int, steps: int, budget: float = 1e9) -> float:
    """Bytes that the gradient with respect to a field, the initial state, adds to this process at its peak."""
    equation = equation_of("gray_scott", cells)
    start = start_of(equation).requires_grad_(True)
    values = equation.parameter_tensors(torch.float64)
    model = PhysicalModel(equation, equation.layout)
    step = model.stepper.bind(start, values)
    before = peak_memory()
    lengths = segment_lengths(steps, start.numel() * 8, tape_bytes(step, start), budget)
    print(f"segments of {lengths} steps", file=sys.stderr)
    end = model.rollout(start, values, steps, memory_budget=budget, read=[steps])
    torch.autograd.grad(end.square().sum(), start)
    return peak_memory() - before


def memory_row(cells: int, steps: int) -> Row:
    """The same in a process of its own."""
    gigabytes = in_own_process(f"performance.memory_of_a_long_gradient({cells}, {steps})") / 1e9
    return row(f"memory [GB] of the gradient of {steps} steps at {cells}², budget 1 GB", "1 GB", [gigabytes])


def seconds_of_the_first_gradient(cells: int = 64) -> float:
    """Until a compiled Burgers step and its gradient have run for the first time in this process."""
    equation = equation_of("burgers", cells)
    start, values = start_of(equation), equation.parameter_tensors(torch.float64)
    viscosity = values["viscosity"].requires_grad_(True)
    begin = time.perf_counter()
    torch.autograd.grad(Stepper(equation, "compiled")(start, values).sum(), viscosity)
    return time.perf_counter() - begin


def compiling_row(repetitions: int) -> Row:
    """A process that finds what was compiled before against the process that compiled it."""
    call, found, later = "performance.seconds_of_the_first_gradient()", [], 0.0
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            first, later = (in_own_process(call, TORCHINDUCTOR_CACHE_DIR=cache) for _ in range(2))
        found.append(first / later)
    what = f"first compiled step and gradient of burgers 64² in a later process ({later:.1f} s)"
    return row(what, "in the process that compiles", found)


def trainer(simulations: int = 4, steps: int = 12) -> SyntheticTrainer:
    """A small network for Burgers in one dimension."""
    equation = build_equation(
        {
            "name": "burgers",
            "scheme": "upwind",
            "domain": {"x": {"size": 4.0, "resolution": 64}},
            "dt": 0.05,
            "max_speed": 6.0,
            "parameters": {"viscosity": 0.1},
        }
    )
    data = generate(equation, GenerationConfig(simulations=simulations, steps=steps, length_scale=0.8), 0)
    observations = observe(data, ObservationConfig(train_sim=list(range(simulations))), 0)
    network = {"name": "resnet"}
    config = SyntheticConfig.model_validate({"network": network, "num_predict_steps": 4, "use_sliding_window": True})
    return SyntheticTrainer(observations, config, 0, num_predict_steps=4, epochs=10**6, device=torch.device("cpu"))


def epoch_row(repetitions: int) -> Row:
    """An epoch of the network's training against a bare loop on the same batches."""
    ours, other = trainer(), trainer()
    samples = ours.prepare(ours.starts.fill(ours.rollout))
    times = ratio(lambda: ours.epoch(1, samples), lambda: bare_epoch(other, samples), repetitions)
    return {"what": "epoch of the network", "against": "a bare loop", **times}


def batch_size_row(repetitions: int) -> Row:
    """The first step with a batch size, of a traced equation, against tracing it again."""
    equations = iter([equation_of("gray_scott", 16) for _ in range(2 * repetitions + 4)])
    traced = equation_of("gray_scott", 16)
    values = traced.parameter_tensors(torch.float64)
    states = iter(range(2, 10**6))

    def known() -> None:
        start = torch.rand(next(states), 2, 16, 16, dtype=torch.float64)
        Stepper(traced)(start, values)

    def anew() -> None:
        Stepper(next(equations))(torch.rand(2, 2, 16, 16, dtype=torch.float64), values)

    return {"what": "first step with another batch size", "against": "tracing", **ratio(known, anew, repetitions)}


def start_row(repetitions: int) -> Row:
    """`kedro registry list` in an empty Kedro project against the same in this one."""
    environment = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "true"}
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "src" / "empty"
        package.mkdir(parents=True)
        (Path(folder) / "conf" / "base").mkdir(parents=True)
        (Path(folder) / "conf" / "local").mkdir()
        settings = '[tool.kedro]\npackage_name = "empty"\nproject_name = "empty"\nkedro_init_version = "1.7.0"\n'
        (Path(folder) / "pyproject.toml").write_text(settings)
        (package / "__init__.py").write_text("")
        (package / "settings.py").write_text("")
        registry = "def register_pipelines():\n    return {'__default__': Pipeline([])}\n"
        (package / "pipeline_registry.py").write_text("from kedro.pipeline import Pipeline\n" + registry)

        def listing(where: Path) -> float:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(
                [sys.executable, "-m", "kedro", "registry", "list"],
                cwd=where,
                env=environment,
                check=True,
                capture_output=True,
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        here, found = PAGE.parents[2], []
        for _ in range(repetitions + 1):
            found.append(listing(Path(folder)) / listing(here))
    return row("kedro registry list", "an empty project", found[1:])


def machine() -> str:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    version = "no C++ compiler"
    if compiler is not None:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return (
        f"{model}, {os.cpu_count()} cores of which one is used, {torch.backends.cpu.get_cpu_capability()}, "
        f"{memory:.0f} GB, copies at {copy_bandwidth() / 1e9:.1f} GB/s; {platform.system()}, Python "
        f"{platform.python_version()}, torch {torch.__version__}, {version.splitlines()[0]}"
    )


def copy_bandwidth(size: int = 2**28) -> float:
    """Bytes read and written per second by a copy that no cache holds."""
    source, target = torch.ones(size // 8, dtype=torch.float64), torch.empty(size // 8, dtype=torch.float64)
    seconds = []
    for _ in range(6):
        begin = time.process_time()
        target.copy_(source)
        seconds.append(time.process_time() - begin)
    return 2 * size / statistics.median(seconds[1:])


def measure(*, quick: bool, compiled: bool, repetitions: int) -> Iterator[Row]:
    """All rows, as they are measured."""
    executions: list[Execution] = ["traced", "compiled"] if compiled else ["traced"]
    yield start_row(2 if quick else min(repetitions, 5))
    yield epoch_row(repetitions)
    yield batch_size_row(min(repetitions, 5))
    if compiled:
        yield compiling_row(1 if quick else 3)
    yield segments_row(*((16, 40) if quick else (128, 200)), repetitions)
    for name in HAND_WRITTEN:
        for cells in (16,) if quick else (64, 256):
            yield from step_rows(name, cells, repetitions, executions)
    for cells in (16,) if quick else (64, 256):
        yield from phiflow_rows(cells, repetitions, executions)
    if compiled:
        yield from step_rows("heat", 12 if quick else 100, repetitions, ["compiled"])
    yield from scaling_rows(*((16, [32]) if quick else (64, [128, 256, 512])), repetitions)
    yield memory_row(*((16, 40) if quick else (128, 10_000)))
    yield from performance_training.rows(quick=quick, compiled=compiled, repetitions=repetitions)


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | against | ratio | quartiles |", "|---|---|---|---|"]
    for found in rows:
        spread = "" if found["lower"] is None else f"{found['lower']:.2f} to {found['upper']:.2f}"
        numbers = f"{found['median']:.2f} | {spread}"
        lines.append(f"| {found['what']} | {found['against']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the page and the numbers."""
    parser = argparse.ArgumentParser(description="performance, as ratios")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; writes no page")
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too: minutes")
    parser.add_argument("--repetitions", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as every run does; it is the same for what hyco is measured against
    rows = []
    for found in measure(quick=arguments.quick, compiled=arguments.compiled, repetitions=arguments.repetitions):
        rows.append(found)
        print(table([found]).splitlines()[-1], flush=True)
    if not arguments.quick:
        where = machine()
        words = f"{described(__doc__)}\n\nMachine: {where}."
        more = [f"python benchmarks/performance.py --compiled --repetitions {arguments.repetitions}"]
        write_page(PAGE, "Performance", words, more if arguments.compiled else ["make bench"], table(rows))
        PAGE.with_suffix(".json").write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
