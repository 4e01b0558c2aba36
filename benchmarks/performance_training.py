"""What a hybrid costs beside its halves, and what surrounds it: rows for `performance.py`."""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gray_scott
from hand_written import HandWritten, inviscid_burgers
from hyco.config import parse
from hyco.datasets.checkpoint import CheckpointDataset
from hyco.datasets.metrics import MetricsDataset
from hyco.equations.registry import build_equation
from hyco.hybrid.trainer import HybridTrainer
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.targets import SyntheticTargets
from hyco.metrics import nrmse_per_step
from hyco.observations import Observations, observe
from hyco.runtime.garbage import first_import
from hyco.stepping.generation import generate
from hyco.training.physical import PhysicalConfig
from study import assessed, parameters

Row = dict[str, Any]
Loss = Callable[[Tensor], Tensor]
ROOT = Path(__file__).parents[1]


def row(what: str, against: str, found: list[float]) -> Row:
    """Median and quartiles of repetitions; no quartiles of a single one."""
    lower, median, upper = quartiles(found) if len(found) > 1 else (None, found[0], None)
    return {"what": what, "against": against, "median": median, "lower": lower, "upper": upper}


def quartiles(found: list[float]) -> list[float]:
    """Lower quartile, median and upper quartile, all within what was found."""
    return statistics.quantiles(found, n=4, method="inclusive")


def in_own_process(call: str, **environment: str) -> float:
    """The number that a call in a module of the benchmarks gives, in a new process with variables of its own."""
    code = (
        f"import {call.split('.')[0]}; from hyco.runtime.memory import keep_freed_memory as keep; keep(); print({call})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def measured(sections: dict[str, Any]) -> tuple[Any, Tensor, Observations]:
    """The equation, the true trajectories and what is measured of them."""
    config = parse(sections)
    equation = build_equation(config.equation)
    data = generate(equation, config.generation, 0)
    return equation, data.tensors["trajectories"], observe(data, config.observation, 0)


def hybrid(sections: dict[str, Any], problem: tuple[Any, Tensor, Observations] | None = None) -> HybridTrainer:
    """A hybrid as `kedro run --pipelines hybrid` trains it."""
    equation, _, observations = problem or measured(sections)
    return HybridTrainer(
        equation, observations, parse(sections).hybrid, 0, configuration={}, device=torch.device("cpu")
    )


class Clocked:
    """Processor time that goes into methods of some objects, by name; within another call it is taken off that one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        # Names of the calls that run, and what others within them took.
        self._running: list[str] = []
        self._inside: list[float] = []

    def watch(self, name: str, owner: Any, method: str) -> None:
        """Count the calls of a method under a name."""
        call = getattr(owner, method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            if name in self._running:
                return call(*args, **kwargs)
            self._running.append(name)
            self._inside.append(0.0)
            begin = time.process_time()
            try:
                return call(*args, **kwargs)
            finally:
                taken = time.process_time() - begin
                self._running.pop()
                own = taken - self._inside.pop()
                self.seconds[name] = self.seconds.get(name, 0.0) + own
                if self._inside:
                    self._inside[-1] += taken

        setattr(owner, method, counted)


@contextmanager
def followed_in(folder: str) -> Iterator[None]:
    """A run of MLflow in a database in a folder, as one follows every training of a project."""
    with first_import("mlflow"):
        import mlflow
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    try:
        with mlflow.start_run(experiment_id=mlflow.create_experiment("benchmark")):
            yield
    finally:
        mlflow.set_tracking_uri(before)


def hybrid_rows(experiment: str, epochs: int, repetitions: int) -> Iterator[Row]:
    """A hybrid against the epochs of its network and the updates of its physics, on the samples that they had.

    The updates include the recording of the step and the error bars, as they do in a training of the physics alone.
    """
    found: dict[str, list[float]] = {"halves": [], "slower": [], "models": [], "conversion": [], "saved": []}
    for _ in range(repetitions):
        sections = parameters(experiment)
        warmup = min(sections["hybrid"]["warmup_epochs"], epochs // 3)
        sections["hybrid"] |= {"epochs": epochs, "warmup_epochs": warmup}
        trainer, clock = hybrid(sections), Clocked()
        clock.watch("network", trainer.synthetic, "epoch")
        for owner, method in (
            (trainer.physical, "update"),
            (trainer.physical.model.assessor, "assess"),
            (trainer.physical.problem.forward.stepper, "_trace"),
        ):
            clock.watch("physics", owner, method)
        clock.watch("rollouts", trainer.physical.problem.forward, "predict")
        clock.watch("rollouts", trainer.synthetic, "targets")
        with tempfile.TemporaryDirectory() as folder, followed_in(folder):
            checkpoints = CheckpointDataset(folder, share=0.0025)
            metrics = MetricsDataset(f"{folder}/metrics.jsonl")
            clock.watch("saved", checkpoints, "save")
            clock.watch("saved", checkpoints, "wait")
            clock.watch("saved", metrics, "save")
            clock.watch("saved", metrics, "flush")
            clock.watch("saved", trainer.run, "record")
            begin = time.process_time()
            for checkpoint, record in trainer.train():
                checkpoints.save(checkpoint)
                checkpoints.wait()  # what its thread takes counts, too
                metrics.save(record)
            metrics.flush()
            whole = time.process_time() - begin
        seconds = clock.seconds
        halves = seconds["network"] + seconds["physics"]
        found["halves"].append(halves / whole)
        found["slower"].append(max(seconds["network"], seconds["physics"]) / whole)
        found["models"].append((halves + seconds["rollouts"]) / whole)
        found["conversion"].append(100 * checkpoint.metadata["seconds"]["conversion"] / whole)
        found["saved"].append(100 * seconds["saved"] / whole)
    yield row(f"hybrid, {epochs} epochs of {experiment}", "its epochs and updates alone, same samples", found["halves"])
    yield row("the same", "with the rollouts of each model for the other", found["models"])
    yield row("the same", "the slower half", found["slower"])
    yield row(f"{experiment}: share of conversions [%]", "", found["conversion"])
    yield row(f"{experiment}: share of records, checkpoints, live metrics and MLflow [%]", "", found["saved"])


def hidden_potential(execution: str) -> tuple[Any, Callable[[], Calibrator], SyntheticTargets]:
    """Problem A with one-step windows: the equation, new trainers, and predictions that a network may have made."""
    sections = parameters("inviscid_burgers")
    equation, states, observations = measured(sections)
    physical = {**sections["physical"], "method": "L-BFGS-B", "max_iterations": 20, "num_predict_steps": 1}
    physical |= {"execution": execution, "suppress_convergence_errors": True, "abs_tol": 1e-12}
    config = PhysicalConfig.model_validate(physical)
    starts, targets = states[0, :-1], states[0, 1:, None]
    noise = torch.randn(targets.shape, generator=torch.Generator().manual_seed(0), dtype=targets.dtype)
    interaction = SyntheticTargets(starts, targets + 0.05 * states.std() * noise, torch.tensor([0]))

    def trainer() -> Calibrator:
        return Calibrator(equation, observations, config, num_predict_steps=1, device=torch.device("cpu"))

    return equation, trainer, interaction


def potential_loss(trainer: Calibrator, hand: HandWritten, interaction: SyntheticTargets, alpha: float) -> Loss:
    """The loss of an update as one writes it for this problem, from the coordinates `[p]`."""
    problem = trainer.problem
    observed, mask = (values[0, -1] for values in problem.data.up_to(1))
    starts, targets = interaction.starts, interaction.targets[:, 0]

    def loss(theta: Tensor) -> Tensor:
        found = hand.bind(starts, problem.forward.values(theta))(starts)
        real = ((found[0] - observed) / problem.data.sigma)[mask].square().sum() + theta.square().sum()
        return alpha * real / mask.sum() + (1 - alpha) * ((found - targets) / problem.data.sigma).square().mean()

    return loss


def update_row(repetitions: int, *, compiled: bool) -> Row:
    """A physical update as large as HYCO-PhiFlow's: L-BFGS, 20 iterations, one-step windows, the hidden potential."""
    execution = "compiled" if compiled else "traced"
    equation, trainer, interaction = hidden_potential(execution)
    hand = inviscid_burgers(equation)
    loss = potential_loss(trainer(), hand.compiled() if compiled else hand, interaction, 0.5)
    start = trainer().model.coordinates

    def evaluations(count: int) -> None:
        for _ in range(count):
            theta = start.clone().requires_grad_(True)
            torch.autograd.grad(loss(theta), theta)

    found, seconds, counts = [], [], []
    trainer().update(0.5, interaction)
    evaluations(2)
    for _ in range(repetitions):
        ours = trainer()
        assessed(ours)  # in a hybrid the error bars of the last update are there
        begin = time.process_time()
        result = ours.update(0.5, interaction)
        middle = time.process_time()
        evaluations(result.evaluations)
        end = time.process_time()
        found.append((end - middle) / (middle - begin))
        seconds.append(middle - begin)
        counts.append(result.evaluations)
    what = f"physical update, {counts[-1]} evaluations, {execution} ({statistics.median(seconds):.2f} s)"
    return row(what, f"the evaluations, hand-written, {'compiled' if compiled else 'eager'}", found)


class _Mallinfo(ctypes.Structure):
    """What glibc tells of its allocator: mallinfo2(3)."""

    _names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = [(name, ctypes.c_size_t) for name in _names]


def bytes_in_use() -> int:
    """Bytes that this process has allocated and not freed; the resident set also holds what was freed and is kept.

    With PYTHONMALLOC=malloc in the environment, Python's own objects are among them.
    """
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def growth_of_memory(epochs: int, leak: int = 0) -> float:
    """kB per epoch by which the memory in use grows after the first 50 epochs of a small hybrid.

    Args:
        leak: bytes that are kept on purpose after each epoch, to see that they are found.
    """
    sections = parameters("burgers_1d")
    sections["equation"]["domain"]["x"]["resolution"] = 32
    sections["generation"]["steps"] = 16
    sections["synthetic"] |= {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "batch_size": 64}
    sections["hybrid"]["epochs"] = epochs
    sizes, kept = [], []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints, metrics = CheckpointDataset(folder, share=0.0025), MetricsDataset(f"{folder}/metrics.jsonl")
        for checkpoint, record in hybrid(sections).train():
            checkpoints.save(checkpoint)
            checkpoints.wait()
            metrics.save(record)
            kept.append(bytearray(leak))
            gc.collect()
            sizes.append(bytes_in_use() / 1e3)
    settled = sizes[min(50, epochs // 2) : -1]  # in the last one steps are recorded that the end alone takes
    return float(np.polyfit(np.arange(len(settled)), settled, 1)[0])


def growth_row(epochs: int) -> Row:
    """The same in a process of its own."""
    found = in_own_process(f"performance_training.growth_of_memory({epochs})", PYTHONMALLOC="malloc")
    return row(f"growth of the memory in use over {epochs} epochs of a hybrid [kB per epoch]", "", [found])


def peak_of(part: str, experiment: str, epochs: int) -> float:
    """Peak resident set [MB] of this process after training a part of an experiment: synthetic, physical or hybrid."""
    sections = parameters(experiment)
    sections["hybrid"] |= {"epochs": epochs, "warmup_epochs": 1}
    trainer = hybrid(sections)
    if part == "hybrid":
        for _ in trainer.train():
            pass
        return peak_memory() / 1e6
    # The samples of a hybrid: windows, and what the other model says of them.
    starts = trainer.synthetic.starts.fill(trainer.synthetic.rollout)
    predicted = starts[:, None].repeat(1, trainer.synthetic.windows.length, *[1] * (starts.ndim - 1))
    if part == "physical":
        initial = trainer.synthetic.windows.initial.nonzero().flatten()
        trainer.physical.update(0.5, SyntheticTargets(starts, predicted, initial))
    else:
        samples = trainer.synthetic.prepare(starts, predicted)
        for epoch in range(1, epochs + 1):
            trainer.synthetic.epoch(epoch, samples, 0.5)
    return peak_memory() / 1e6


def peak_memory() -> float:
    """Bytes that this process has had at most; ru_maxrss would be at least that of the process that started it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * float(next(line.split()[1] for line in status if line.startswith("VmHWM")))


def peak_row(experiment: str, epochs: int) -> Row:
    """Peak memory of a hybrid against that of its halves, each in a process of its own."""
    parts = ("synthetic", "physical", "hybrid")
    peaks = {
        part: in_own_process(f"performance_training.peak_of({part!r}, {experiment!r}, {epochs})") for part in parts
    }
    what = f"peak memory of a hybrid of {experiment} ({peaks['hybrid']:.0f} MB)"
    return row(what, "the larger half", [max(peaks["synthetic"], peaks["physical"]) / peaks["hybrid"]])


def inversion_row(draws: int) -> Row:
    """All work of an inversion through 5000 Euler steps, its error bars included, in simulations of them."""
    found = [gray_scott.run(draw, 0.01, asymmetric=draw % 2 == 1) for draw in range(draws)]
    seconds = statistics.median(line["seconds"] for line in found)
    what = f"Gray-Scott 64², two diffusivities, 5000 steps: simulations of an inversion ({seconds:.0f} s)"
    return row(what, "", [line["simulations"] for line in found])


def first_epoch_row(repetitions: int) -> Row:
    """Seconds from `kedro run` to the first epoch, everything that is cached being there."""
    command = [sys.executable, "-m", "kedro", "run", "--pipelines", "hybrid", "--tags", "train"]
    experiment = "benchmark_of_the_start"
    log = ROOT / "data" / "08_reporting" / experiment / "hybrid_metrics.jsonl"
    found = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "true"}
        environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for _ in range(repetitions + 1):
            log.unlink(missing_ok=True)
            begin = time.perf_counter()
            run = subprocess.Popen(
                [*command, "--params", f"experiment={experiment},hybrid.epochs=200"],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while run.poll() is None and not (log.exists() and log.stat().st_size):
                time.sleep(0.02)
            found.append(time.perf_counter() - begin)
            run.kill()
            run.wait()
    for made in ROOT.glob(f"data/*/{experiment}"):
        shutil.rmtree(made)
    return row("seconds from `kedro run --pipelines hybrid` to the first epoch, warm", "", found[1:])


def potential_rows() -> Iterator[Row]:
    """Seconds of training until the hybrid's network predicts problem A (the hidden potential) so well; seed 0."""
    sections = parameters("inviscid_burgers")
    sections["hybrid"]["alpha"] = "auto"
    problem = measured(sections)
    states = problem[1][1:]
    trainer = hybrid(sections, problem)
    bars, reached, spent = [0.29, 0.06], {}, 0.0
    begin = time.perf_counter()
    for _, record in trainer.train():
        spent += time.perf_counter() - begin
        predicted = trainer.synthetic.rollout(states[:, 0], states.shape[1] - 1)
        error = statistics.mean(nrmse_per_step(predicted, states[:, 1:])[0])
        for bar in bars:
            if error <= bar:
                reached.setdefault(bar, (spent, record["epoch"]))
        begin = time.perf_counter()
    for bar in bars:
        seconds, epoch = reached.get(bar, (float("nan"), 0))
        what = f"seconds of training to nrmse {bar} in the hidden potential, alpha: auto (epoch {epoch})"
        yield row(what, "", [seconds])


def rows(*, quick: bool, compiled: bool, repetitions: int) -> Iterator[Row]:
    """All rows, as they are measured."""
    yield from hybrid_rows("burgers_1d", 6 if quick else 100, 2 if quick else min(repetitions, 3))
    if not quick:
        yield from hybrid_rows("heat", 30, min(repetitions, 3))
        yield from hybrid_rows("burgers_2d", 3, 3)
    yield peak_row("burgers_1d", 6)
    if not quick:
        yield peak_row("burgers_2d", 3)
    yield update_row(repetitions, compiled=False)
    if compiled:
        yield update_row(repetitions, compiled=True)
    yield growth_row(60 if quick else 1000)
    yield first_epoch_row(1 if quick else min(repetitions, 5))
    if not quick:
        yield inversion_row(4)
        yield from potential_rows()
