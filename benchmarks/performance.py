"""What hyco's inner loops cost beside hand-written code, PhiFlow and a bare training loop.

    python benchmarks/performance.py                    # or: make bench; --compiled adds torch.compile
    python benchmarks/performance.py --quick --repetitions 3

Each row is a ratio of processor times of two pieces of work that give the same numbers, that of what is named second
over that of hyco, measured in turn in one process on one thread: above 1 hyco takes less. The median of the
repetitions and their quartiles are given, so that other load on the machine changes little. Memory is the growth of
the resident set of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines import CentralBurgers, bare_epoch, phiflow_burgers, torch_burgers, torch_gray_scott
from hyco.generation import GenerationConfig, generate
from hyco.observations import ObservationConfig, observe
from hyco.physics.registry import build_equation
from hyco.physics.stepper import Path as Execution
from hyco.physics.stepper import Stepper
from hyco.rollout import PhysicalModel, rollout, segment_lengths, tape_bytes
from hyco.training.synthetic import SyntheticConfig, SyntheticTrainer
from study import described, write_page

PAGE = Path(__file__).parents[1] / "docs" / "studies" / "performance.md"
Row = dict[str, Any]
Work = Callable[[], Any]


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
    lower, median, upper = statistics.quantiles(found, n=4)
    return {"median": median, "lower": lower, "upper": upper}


class Bound:
    """A stepper with parameters as a step of a rollout."""

    def __init__(self, stepper: Stepper, values: dict[str, Tensor]) -> None:
        self.stepper, self.values = stepper, values


def _roll_out(step: Any, start: Tensor, steps: int) -> Tensor:
    return rollout(step.stepper.bind(start, step.values) if isinstance(step, Bound) else step, start, steps)


def gradient_of(step: Any, start: Tensor, steps: int, parameter: Tensor) -> Work:
    """Value and gradient of a rollout."""
    return lambda: torch.autograd.grad(_roll_out(step, start, steps).square().sum(), parameter, retain_graph=True)


def forward_of(step: Any, start: Tensor, steps: int) -> Work:
    """A rollout without gradient."""

    def work() -> Tensor:
        with torch.no_grad():
            return _roll_out(step, start, steps)

    return work


def burgers_rows(cells: int, repetitions: int, paths: list[Execution]) -> list[Row]:
    """Central differences, 4 samples, float32, 20 steps: our step against PhiFlow's and a hand-written one."""
    equation = CentralBurgers(cells)
    generator = torch.Generator().manual_seed(0)
    start = equation.initial_states(4, 0.5, 1.0, generator).float()
    viscosity = torch.tensor(0.05, requires_grad=True)
    rows = []
    for path in paths:
        others: dict[str, Callable[[Tensor], Tensor]] = {
            "PhiFlow eager": phiflow_burgers(equation, viscosity, jit=False),
            "PhiFlow jit": phiflow_burgers(equation, viscosity, jit=True),
            "hand-written, eager": torch_burgers(equation, viscosity),
        }
        if path == "compiled":
            others["hand-written, compiled"] = torch.compile(torch_burgers(equation, viscosity))
        ours = Bound(Stepper(equation, path), {"viscosity": viscosity})
        for name, other in others.items():
            for kind, work, against in (
                ("forward", forward_of(ours, start, 20), forward_of(other, start, 20)),
                ("gradient", gradient_of(ours, start, 20, viscosity), gradient_of(other, start, 20, viscosity)),
            ):
                what = f"Burgers {cells}², {kind}: {path} step"
                rows.append({"what": what, "against": name, **ratio(work, against, repetitions)})
    return rows


def gray_scott(cells: int, dt: float = 0.4) -> Any:
    """The equation with one Euler step per state."""
    domain = {axis: {"size": 1.6 * cells, "resolution": cells} for axis in ("x", "y")}
    coefficients = {"diffusivity_u": 0.2, "diffusivity_v": 0.08, "feed": 0.018, "kill": 0.051}
    return build_equation({"name": "gray_scott", "domain": domain, "dt": dt, "substeps": 1, "parameters": coefficients})


def gray_scott_rows(cells: int, repetitions: int, paths: list[Execution]) -> list[Row]:
    """Gray-Scott in float64: our step against a hand-written one."""
    equation = gray_scott(cells)
    start = equation.initial_states(1, 0.2 * cells, 1.0, torch.Generator().manual_seed(0))
    values = equation.parameter_tensors(torch.float64)
    leaf = values["diffusivity_u"].requires_grad_(True)
    rows = []
    for path in paths:
        hand = torch_gray_scott(equation, values)
        other = torch.compile(hand) if path == "compiled" else hand
        ours = Bound(Stepper(equation, path), values)
        for kind, work, against in (
            ("forward", forward_of(ours, start, 20), forward_of(other, start, 20)),
            ("gradient", gradient_of(ours, start, 20, leaf), gradient_of(other, start, 20, leaf)),
        ):
            name = f"hand-written, {'compiled' if path == 'compiled' else 'eager'}"
            what = f"Gray-Scott {cells}², {kind}: {path} step"
            rows.append({"what": what, "against": name, **ratio(work, against, repetitions)})
    return rows


def scaling_row(small: int, large: int, repetitions: int) -> Row:
    """Time per cell of the traced Gray-Scott step on a small grid over that on a large one."""
    works = []
    for cells, steps in ((large, 2), (small, 2 * (large // small) ** 2)):
        equation = gray_scott(cells)
        start = equation.initial_states(1, 0.2 * cells, 1.0, torch.Generator().manual_seed(0))
        step = Stepper(equation).bind(start, equation.parameter_tensors(torch.float64))
        works.append(lambda step=step, start=start, steps=steps: forward_of(step, start, steps)())
    what = f"time per cell and step at {large}²"
    return {"what": what, "against": f"at {small}²", **ratio(works[0], works[1], repetitions)}


def segments_row(cells: int, steps: int, repetitions: int) -> Row:
    """The gradient in segments against the whole tape, float64."""
    equation = gray_scott(cells)
    start = equation.initial_states(1, 0.2 * cells, 1.0, torch.Generator().manual_seed(0)).requires_grad_(True)
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
    equation = gray_scott(cells)
    start = equation.initial_states(1, 0.2 * cells, 1.0, torch.Generator().manual_seed(0)).requires_grad_(True)
    values = equation.parameter_tensors(torch.float64)
    model = PhysicalModel(equation, equation.layout)
    step = model.stepper.bind(start, values)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lengths = segment_lengths(steps, start.numel() * 8, tape_bytes(step, start), budget)
    print(f"segments of {lengths} steps", file=sys.stderr)
    end = model.rollout(start, values, steps, memory_budget=budget, read=[steps])
    torch.autograd.grad(end.square().sum(), start)
    return 1024.0 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def memory_row(cells: int, steps: int) -> Row:
    """The same in a process of its own."""
    code = f"import performance; print(performance.memory_of_a_long_gradient({cells}, {steps}))"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
    )
    gigabytes = float(run.stdout) / 1e9
    what = f"memory [GB] of the gradient of {steps} steps at {cells}², budget 1 GB"
    return {"what": what, "against": "1 GB", "median": gigabytes, "lower": gigabytes, "upper": gigabytes}


def trainer(simulations: int = 4, steps: int = 12) -> SyntheticTrainer:
    """A small network for Burgers in one dimension."""
    equation = build_equation(
        {
            "name": "burgers",
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
    samples = ours.prepare(ours.starts.fill(ours.predict))
    times = ratio(lambda: ours.epoch(1, samples), lambda: bare_epoch(other, samples), repetitions)
    return {"what": "epoch of the network", "against": "a bare loop", **times}


def batch_size_row(repetitions: int) -> Row:
    """The first step with a batch size, of a traced equation, against tracing it again."""
    equations = iter([gray_scott(16) for _ in range(2 * repetitions + 4)])
    traced = gray_scott(16)
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
    lower, median, upper = statistics.quantiles(found[1:], n=4)
    return {
        "what": "kedro registry list",
        "against": "an empty project",
        "median": median,
        "lower": lower,
        "upper": upper,
    }


def machine() -> str:
    """The machine in words."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{model}, {os.cpu_count()} cores of which one is used, {versions}"


def measure(*, quick: bool, compiled: bool, repetitions: int) -> Iterator[Row]:
    """All rows, as they are measured."""
    paths: list[Execution] = ["traced", "compiled"] if compiled else ["traced"]
    yield start_row(2 if quick else min(repetitions, 5))
    yield epoch_row(repetitions)
    yield batch_size_row(min(repetitions, 5))
    yield segments_row(*((16, 40) if quick else (128, 200)), repetitions)
    for cells in (16,) if quick else (64, 256):
        yield from gray_scott_rows(cells, repetitions, paths)
        yield from burgers_rows(cells, repetitions, paths)
    yield scaling_row(*((16, 32) if quick else (64, 512)), repetitions)
    yield memory_row(*((16, 40) if quick else (128, 10_000)))


def table(rows: list[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| what | against | ratio | quartiles |", "|---|---|---|---|"]
    for row in rows:
        numbers = f"{row['median']:.2f} | {row['lower']:.2f} to {row['upper']:.2f}"
        lines.append(f"| {row['what']} | {row['against']} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, and write the page and the numbers."""
    parser = argparse.ArgumentParser(description="performance, as ratios")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; writes no page")
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too: minutes")
    parser.add_argument("--repetitions", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for row in measure(quick=arguments.quick, compiled=arguments.compiled, repetitions=arguments.repetitions):
        rows.append(row)
        print(table([row]).splitlines()[-1], flush=True)
    if not arguments.quick:
        words = f"{described(__doc__)}\n\nMachine: {machine()}."
        write_page(PAGE, "Performance", words, ["make bench"], table(rows))
        PAGE.with_suffix(".json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
