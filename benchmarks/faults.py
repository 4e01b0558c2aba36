"""Does anything get lost, or go wrong in silence? Faults by the thousand, and what came of each.

    python benchmarks/faults.py files|configurations|numbers|disks|soak [--count N] [--seed 0] [--minutes M]

- files: every kind of file that is read back is damaged (bits, bytes, ends, holes, parts of others). It must be refused
  in one line with its name, or be read as what was written.
- configurations: keys and values of an experiment are replaced by what nobody means. It must be refused in lines, or
  be one that can be built; nothing is computed.
- numbers: NaN and infinities are put into weights, the optimiser's state, initial states, the loss. None may come
  into a checkpoint or a final model; where a training cannot go on it ends with an error that says so.
- disks: files may have no more than so many bytes. What cannot be written is told, and what was there stays whole.
- soak: short epochs of a hybrid by the thousand: memory, open files, time and checkpoints stay as they are.

Each prints its counts below a line that sums them up, and ends with exit code 1 where one that must be zero is not.
Whole commands that are killed, interrupted, or lose MLflow are in `faults_commands.py`.
"""

from __future__ import annotations

import argparse
import copy
import functools
import logging
import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from hyco.config import ConfigurationError, complete, mistakes_in
from hyco.datasets.checkpoint import CheckpointDataset
from hyco.datasets.growing import GrowingJSONDataset
from hyco.datasets.json_file import JSONDataset
from hyco.datasets.metrics import MetricsDataset
from hyco.datasets.tensor import TensorDataset
from hyco.equations.registry import build_equation
from hyco.hooks.errors import foreseen
from hyco.hooks.parameter_files import require_plain
from hyco.hybrid.config import HybridConfig
from hyco.hybrid.trainer import HybridTrainer
from hyco.observations import ObservationConfig, Observations, observe
from hyco.runtime.storage import Bundle, UnwritableError, read_bundle, write_atomically, write_bundle
from hyco.sections import merge
from hyco.stepping.generation import GenerationConfig, generate
from hyco.training.config import SyntheticConfig
from hyco.training.final import final_physical_model, final_synthetic_model
from hyco.training.finite import DeadNetworkError
from hyco.training.trainer import SyntheticTrainer

ROOT = Path(__file__).resolve().parents[1]
EQUATION = {
    "name": "burgers",
    "domain": {"x": {"size": 4.0, "resolution": 16}},
    "dt": 0.05,
    "max_speed": 6.0,
    "parameters": {"viscosity": 0.1},
}
SYNTHETIC = {"network": {"name": "resnet", "filters": 4, "blocks": 1}, "learning_rate": 3e-3, "batch_size": 2}
PHYSICAL = {
    "learnable_parameters": [{"name": "viscosity", "initial_guess": 0.3, "bounds": [0.01, 1.0]}],
    "max_iterations": 1,
    "suppress_convergence_errors": True,
}
BAD_NUMBERS = (math.nan, math.inf, -math.inf, 3e38)
# What must not happen, and so must have a count of zero.
FAILURES = ("silently different", "traceback", "name missing", "not finite", "broken", "growing", "too few")


class Deadline:
    """When a part has to stop, however many faults are left (`time.monotonic`)."""

    end = math.inf


def trials(count: int) -> Iterator[int]:
    """The numbers of the faults, as many as there is time for."""
    for i in range(count):
        if time.monotonic() > Deadline.end:
            return
        yield i


class Small:
    """A problem of a moment."""

    def __init__(self) -> None:
        self.equation = build_equation(EQUATION)
        self.trajectories = generate(self.equation, GenerationConfig(simulations=3, steps=6, length_scale=0.8), 0)
        config = ObservationConfig.model_validate({"train_sim": [0], "val_sim": [1], "test_sim": [2], "noise": 0.01})
        self.observations: Observations = observe(self.trajectories, config, 0)

    def hybrid(self, epochs: int) -> HybridTrainer:
        """A hybrid of a moment."""
        ruled = {"num_predict_steps": 3, "epochs": epochs}
        section = {**ruled, "warmup_epochs": 1, "alpha": 0.7}
        parts = {"synthetic": {**SYNTHETIC, **ruled}, "physical": {**PHYSICAL, **ruled}}
        return HybridTrainer(
            self.equation,
            self.observations,
            HybridConfig.model_validate({**section, **parts}),
            0,
            configuration={"equation": EQUATION, "hybrid": {**section, **parts}},
            device=torch.device("cpu"),
        )


@functools.cache
def problem() -> Small:
    """The one that all parts share."""
    return Small()


@functools.cache
def trained() -> Bundle:
    """The last checkpoint of a hybrid."""
    *_, (checkpoint, _) = problem().hybrid(2).train()
    return checkpoint


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A file that something happened to; sometimes, by chance, nothing."""
    data, kind = bytearray(content), chance.randrange(8)
    at, length = chance.randrange(len(data)), chance.randrange(1, 64)
    if kind in (0, 1, 2):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 3:
        del data[at:]
    elif kind == 4:
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == 5:
        data[at:at] = chance.randbytes(length)
    elif kind == 6:
        del data[at : at + length]
    else:
        other = chance.randrange(len(data))
        data[at : at + length] = data[other : other + length]
    return bytes(data)


def same(one: Any, other: Any) -> bool:
    """Whether two values that were read are equal, to the bit."""
    if isinstance(one, Bundle):
        alike = one.metadata == other.metadata and one.tensors.keys() == other.tensors.keys()
        return alike and all(torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
    return bool(one == other)


def files(count: int, chance: random.Random) -> Counter[str]:
    """Damage to every kind of file that is read back."""
    small, outcomes, checkpoint = problem(), Counter[str](), trained()
    folder = Path(tempfile.mkdtemp())
    comparison = {"configuration": EQUATION, "runs": [{"method": "hybrid", "nrmse": 0.25}] * 3}

    def bundle(name: str, value: Bundle) -> tuple[Path, Callable[[], Any]]:
        path = folder / f"{name}.safetensors"
        write_bundle(path, value)
        return path, lambda: TensorDataset(str(path)).load()

    def values(name: str, dataset: Any, value: Any) -> tuple[Path, Callable[[], Any]]:
        dataset.save(value)
        return folder / name, dataset.load

    epochs = MetricsDataset(str(folder / "hybrid_metrics.jsonl"))
    for epoch in range(1, 6):
        epochs.save({"epoch": epoch, "metrics": {"loss": 1 / epoch, "physical_loss": None}})
    model = folder / "physical_model.json"
    kinds = {
        "trajectories": bundle("trajectories", small.trajectories),
        "observations": bundle("observations", small.observations.to_bundle()),
        "checkpoint": bundle("last", checkpoint),
        "network": bundle("synthetic_model", final_synthetic_model(checkpoint)),
        "physical model": values("physical_model.json", JSONDataset(str(model)), final_physical_model(checkpoint)),
        "comparison": values("comparison.json", GrowingJSONDataset(str(folder / "comparison.json")), comparison),
        "history": (folder / "hybrid_metrics.jsonl", epochs.load),
    }
    good = {name: (path.read_bytes(), load()) for name, (path, load) in kinds.items()}
    names = list(kinds)
    for i in trials(count):
        name = names[i % len(names)]
        path, load = kinds[name]
        content, value = good[name]
        path.write_bytes(damaged(content, chance))
        begin = time.perf_counter()
        try:
            outcome = "as written" if same(value, load()) else "silently different"
        except Exception as error:
            cause = foreseen(error)
            outcome = "refused" if cause and "\n" not in str(cause) else f"traceback: {error!r:.200}"
            if cause and path.name not in str(cause):
                outcome = "name missing"
        outcomes["slower than 1 s"] += time.perf_counter() - begin > 1
        if outcome == "silently different" and name == "history":
            # A last line that is cut off is that of a process that was killed: the epochs before it count.
            outcome = "a whole number of epochs" if load() == value[: len(load())] else outcome
        outcomes[outcome if outcome in ("refused", "as written") else f"{outcome} ({name})"] += 1
        path.write_bytes(content)
    return outcomes


NONSENSE: tuple[Any, ...] = (
    *(None, True, False, "", "x", "yes", [], {}, [[]], {"a": 1}, 0, -1, 1, 2**70, 10**400, 1e300, -1e300, 1e-300, "1"),
    *(math.nan, math.inf, -math.inf, "nan", "inf", "../../../x", "x" * 20_000, "\x00", "é", "auto", [None], [1e400]),
    *("__import__('os').system('true')", "(" * 500, "x**x**x**x", {"name": "heat"}, {"mode": "full"}, [0, 0], [1, -1]),
)


def leaves(value: Any, key: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys of all values, sections among them."""
    if key:
        yield key
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*key, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*key, i))


def mutated(parameters: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Parameters with one to three values that nobody means."""
    changed = copy.deepcopy(parameters)
    for _ in range(chance.randrange(1, 4)):
        key = chance.choice(list(leaves(changed)))
        node: Any = changed
        for part in key[:-1]:
            node = node[part]
        kind = chance.randrange(8)
        if kind == 0:
            del node[key[-1]]
        elif kind == 1 and isinstance(node, dict):
            node[f"{key[-1]}_"] = chance.choice(NONSENSE)
        else:
            node[key[-1]] = chance.choice(NONSENSE)
    return changed


def configurations(count: int, chance: random.Random) -> Counter[str]:
    """Values that nobody means, and YAML files that are none."""
    outcomes, path = Counter[str](), Path(tempfile.mkdtemp()) / "parameters.yml"
    experiments = []
    for name in ("burgers_1d", "heat", "gray_scott", "darcy", "heat_sensors", "smoke"):
        parameters: dict[str, Any] = {"experiment": name}
        for file in (*sorted((ROOT / "conf/base").glob("parameters*.yml")), ROOT / "conf" / name / "parameters.yml"):
            parameters = merge(parameters, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        experiments.append({**parameters, "experiment": name})
    for i in trials(count):
        begin = time.perf_counter()
        try:
            if i % 5 == 4:
                text = yaml.safe_dump(chance.choice(experiments)).encode()
                path.write_bytes(damaged(text, chance))
                require_plain(path)
                parameters = yaml.safe_load(path.read_bytes())
            else:
                parameters = mutated(chance.choice(experiments), chance)
            found = mistakes_in(complete(parameters))
            outcome = "refused" if found else "taken"
        except ConfigurationError:
            outcome = "refused"
        except Exception as error:
            outcome = f"traceback: {type(error).__name__}: {' '.join(str(error).split()):.200}"
        outcomes[outcome] += 1
        outcomes["slower than 1 s"] += time.perf_counter() - begin > 1
    return outcomes


def numbers(count: int, chance: random.Random) -> Counter[str]:
    """Numbers that are not finite, wherever a training has some."""
    small, outcomes = problem(), Counter[str]()
    for _ in trials(count):
        config = SyntheticConfig.model_validate(
            {
                **SYNTHETIC,
                "optimizer": chance.choice(["adam", "adamw", "sgd"]),
                "ema_decay": chance.choice([None, 0.9]),
                "gradient_clip": chance.choice([None, 1.0]),
            }
        )
        trainer = SyntheticTrainer(
            small.observations, config, 0, num_predict_steps=3, epochs=5, device=torch.device("cpu")
        )
        place, when = (
            chance.choice(["weights", "optimiser", "average", "starts", "rate", "loss"]),
            chance.randrange(1, 4),
        )
        try:
            for epoch in range(1, 6):
                starts = trainer.window_starts(trainer.rollout, real_alone=True)
                if epoch == when:
                    starts = poison(trainer, starts, place, chance)
                trainer.epoch(epoch, trainer.prepare(starts))
                state = trainer.state().tensors
                if not all(bool(v.isfinite().all()) for v in state.values() if v.is_floating_point()):
                    outcomes[f"not finite ({place})"] += 1
                    break
            else:
                outcomes["went on"] += 1
        except DeadNetworkError as error:
            outcomes["ended with an error" if "epoch" in str(error) else f"name missing: {error}"] += 1
        except Exception as error:
            outcomes[f"traceback ({place}): {error!r:.200}"] += 1
    return outcomes


@torch.no_grad()
def poison(trainer: SyntheticTrainer, starts: torch.Tensor, place: str, chance: random.Random) -> torch.Tensor:
    """Put a bad number into a training; returns the starts."""
    value, optimiser = chance.choice(BAD_NUMBERS), trainer.optimisation.optimizer
    state = [v for entry in optimiser.state.values() for v in entry.values() if torch.is_tensor(v) and v.ndim]
    averaged = trainer.optimisation.averaged
    if place == "starts":
        starts = starts.clone()
        starts.view(-1)[chance.randrange(starts.numel())] = value
        return starts
    if place == "rate":
        trainer.optimisation.finite.factor = abs(value) if value == value else math.inf
    elif place == "loss":
        trainer.model.mean.fill_(value) if hasattr(trainer.model, "mean") else None
    else:
        tensors = list(trainer.model.parameters())
        if place == "optimiser" and state:
            tensors = state
        elif place == "average" and averaged is not None:
            tensors = list(averaged.module.parameters())
        tensor = chance.choice(tensors)
        tensor.view(-1)[chance.randrange(tensor.numel())] = value
    return starts


def disks(count: int, chance: random.Random) -> Counter[str]:
    """Files that may have no more than so many bytes, as of a disk that is full."""
    import resource
    import signal

    outcomes, checkpoint = Counter[str](), trained()
    folder = Path(tempfile.mkdtemp())
    CheckpointDataset(str(folder)).save(checkpoint)
    before = (folder / "last.safetensors").read_bytes()
    later = Bundle(checkpoint.tensors, {**checkpoint.metadata, "epoch": checkpoint.metadata["epoch"] + 1})
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for i in trials(count):
        limit = chance.randrange(0, len(before))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most[1]))
        try:
            if i % 2:
                CheckpointDataset(str(folder)).save(later)
            else:
                write_atomically(folder / "figure.png", bytes(len(before)))
            outcome = "written"
        except Exception as error:
            cause = next((one for one in (error, error.__cause__) if isinstance(one, UnwritableError)), None)
            outcome = "told" if str(folder) in str(cause) else f"traceback: {error!r:.200}"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, most)
        whole = same(read_bundle(folder / "last.safetensors"), checkpoint)
        left = [p for p in folder.iterdir() if p.name.startswith(".") or p.name == "figure.png"]
        outcomes[outcome if whole and not left else "broken"] += 1
    return outcomes


# Epochs after which everything that is bounded is full, twice.
_FULL = 2500


def soak(count: int, _: random.Random) -> Counter[str]:
    """Short epochs of a hybrid by the thousand."""
    folder, small = Path(tempfile.mkdtemp()), Small()
    dataset, history = CheckpointDataset(str(folder), share=0.0025), MetricsDataset(str(folder / "h.jsonl"))
    seen, begin, done = [], time.process_time(), 0
    trainer = small.hybrid(count)
    for checkpoint, record in trainer.train():
        dataset.save(checkpoint)
        history.save(record)
        done = record["epoch"]
        if time.monotonic() > Deadline.end:
            break
        if record["epoch"] % max(1, count // 10) == 0:
            dataset.finish()
            size = (folder / "last.safetensors").stat().st_size
            memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            handles = len(list(Path("/proc/self/fd").iterdir()))
            now = time.process_time()  # of this process alone, whatever else the machine does
            seen.append((record["epoch"], (now - begin) / max(1, count // 10), size, memory, handles))
            begin = now
            print("epoch, seconds each, bytes of checkpoint and memory, open files:", *seen[-1], flush=True)
    outcomes = Counter({"epochs": done})
    if done < _FULL or len(seen) < 4:
        return outcomes + Counter({"too few to tell": 1})
    first, last = seen[len(seen) // 2 - 1], seen[-1]  # by the middle everything that is bounded is full
    for i, name in ((2, "checkpoint"), (3, "memory"), (4, "open files")):
        outcomes[f"growing {name}"] += last[i] > 1.1 * first[i] + 8
    half = len(seen) // 2
    outcomes["growing time of an epoch"] += min(s[1] for s in seen[half:]) > 1.25 * min(s[1] for s in seen[:half])
    return outcomes


PARTS: dict[str, tuple[Callable[[int, random.Random], Counter[str]], int]] = {
    "files": (files, 10_000),
    "configurations": (configurations, 2_000),
    "numbers": (numbers, 1_000),
    "disks": (disks, 40),
    "soak": (soak, 5_000),
}


def main() -> int:
    """The parts that are asked for; 1 where something happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--count", type=int, help="faults of each part; without it as many as the part has by itself")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=math.inf, help="at most, of each part")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    bad = 0
    for name in arguments.parts:
        part, usual = PARTS[name]
        begin = time.monotonic()
        Deadline.end = begin + 60 * arguments.minutes
        outcomes = part(arguments.count or usual, random.Random(arguments.seed))
        mistakes = sum(number for outcome, number in outcomes.items() if outcome.startswith(FAILURES))
        print(f"{name}, seed {arguments.seed}: {mistakes} that must not be ({time.monotonic() - begin:.0f} s)")
        for outcome, number in sorted(outcomes.items()):
            wrong = outcome.startswith(FAILURES) and number > 0
            bad += wrong
            print(f"  {number:6d}  {outcome}{'  <-- must not be' if wrong else ''}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
