"""What a step on a large grid costs: operations, bytes that they move, bytes that a gradient keeps, and time.

    python benchmarks/large_rollout.py --resolutions 256 512 1024 --device cpu

Operations and bytes are counted while a traced step runs once: each operation reads its inputs and writes its output,
a Fourier transform of n numbers as often as it has passes, log2(n)/4. "Kept" is what automatic differentiation keeps of
a step, each tensor once. Times are of the processor in single precision (on a GPU of the clock, after a
synchronisation), the least of three. "Model" is launches · 5 µs (on a CPU 2 µs) + bytes / bandwidth, with the bandwidth
of a copy of 256 MB measured here.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hyco.equations.registry import build_equation
from hyco.stepping.stepper import Stepper

_LAUNCH = {"cpu": 2e-6, "cuda": 5e-6}
EQUATIONS: dict[str, dict[str, Any]] = {
    "burgers": {"name": "burgers", "dt": 0.01, "max_speed": 2.5, "parameters": {"viscosity": 0.02}},
    "gray_scott": {
        "name": "gray_scott",
        "dt": 1.0,
        "parameters": {"feed": 0.04, "kill": 0.06, "diffusivity_u": 0.16, "diffusivity_v": 0.08},
    },
    "navier_stokes": {"name": "navier_stokes", "dt": 0.01, "max_speed": 2.5, "parameters": {"viscosity": 0.01}},
}


class Counted(TorchDispatchMode):
    """Counts operations and the bytes that they move."""

    def __init__(self) -> None:
        super().__init__()
        self.launches, self.bytes = 0, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
            moved = float(sum(t.numel() * t.element_size() for t in tensors))
            if "fft" in str(func):
                moved *= max(1.0, math.log2(max(t.numel() for t in tensors)) / 4)
            self.launches, self.bytes = self.launches + 1, self.bytes + moved
        return result


def kept_by_gradient(run: Callable[[], torch.Tensor]) -> int:
    """Bytes that automatic differentiation keeps, each tensor's memory once."""
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = run()
    del result
    return sum(kept.values())


def seconds(run: Callable[[], Any], device: torch.device, repeats: int = 3) -> float:
    """The least time of some runs."""
    clock, found = (time.process_time if device.type == "cpu" else time.perf_counter), []
    for _ in range(repeats):
        begin = clock()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(clock() - begin)
    return min(found)


def measured(name: str, resolution: int, device: torch.device, bandwidth: float) -> str:
    """A line of the table."""
    axis = {"size": resolution * 0.1 if name != "gray_scott" else float(resolution), "resolution": resolution}
    equation = build_equation({**EQUATIONS[name], "domain": {"x": axis, "y": axis}})
    generator = torch.Generator().manual_seed(0)
    state = equation.initial_states(1, 1.0, 0.3, generator).float().to(device)
    bound = Stepper(equation, "traced").bind(state, equation.parameter_tensors(torch.float32, device))
    with torch.no_grad():
        bound(state)
        with Counted() as counted:
            bound(state)
        forward = seconds(lambda: bound(state), device)
    start = state.clone().requires_grad_()
    kept = kept_by_gradient(lambda: bound(start))
    both = seconds(lambda: torch.autograd.grad(bound(start).square().sum(), start), device)
    model = counted.launches * _LAUNCH[device.type] + counted.bytes / bandwidth
    return (
        f"| {name} | {resolution}² | {counted.launches} | {counted.bytes / 1e6:.1f} | {kept / 1e6:.1f} | "
        f"{1e3 * forward:.1f} | {1e3 * both:.1f} | {1e3 * model:.1f} |"
    )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--equations", nargs="+", default=[*EQUATIONS])
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    source = torch.zeros(2**26, dtype=torch.float32, device=device)
    target = torch.ones_like(source)
    bandwidth = 2 * source.nbytes / seconds(lambda: target.copy_(source), device)
    print(f"bandwidth of a copy: {bandwidth / 1e9:.1f} GB/s\n")
    print("| equation | cells | launches | moved [MB] | kept [MB] | step [ms] | with gradient [ms] | model [ms] |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.equations:
        for resolution in arguments.resolutions:
            print(measured(name, resolution, device, bandwidth), flush=True)


if __name__ == "__main__":
    main()
