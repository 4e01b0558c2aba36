"""What a step of APEBench's Gray-Scott data is: the equation itself, with and without the low pass of the solver.

    python benchmarks/apebench_gray_scott.py build/apebench/gray_scott_2d.npz

The data are those of `apebench_networks.py`. Exponax 0.1.0 makes them (its `GrayScott`, with its defaults): twenty
steps of ETDRK2 (Cox and Matthews 2002, https://doi.org/10.1006/jcph.2002.6995) for each step of the data, in which the
state loses its wave numbers from 40 of 80 on, along each axis, before the reactions see it. Printed is the error of
single steps and of rollouts from the initial states of the held-out trajectories, for that low pass, for none, and for
convolutions along each axis that come near it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from apebench_networks import CELLS, HELD, errors, score

# Of `phy_gs_type`: size of the domain, step, diffusivities, feed and kill rate; steps of the solver in one of the data.
SIZE, STEP, DIFFUSIVITIES, FEED, KILL, SUBSTEPS = 2.5, 20.0, (2e-5, 1e-5), 0.04, 0.06, 20
# The highest wave number that the reactions see.
CUTOFF = 39
# Steps whose error is printed.
SINGLE, SHOWN = (1, 2, 3, 11, 50), (1, 5, 10, 25, 50)

Solver = Callable[[Tensor], Tensor]


def masks(taps: int | None) -> tuple[Tensor, Tensor]:
    """Along each axis, what the low pass leaves of each wave number.

    Args:
        taps: of a convolution, the ideal one's in a Kaiser window of 3; 0: no low pass; None: the ideal one.
    """
    whole, half = torch.fft.fftfreq(CELLS, 1 / CELLS).double(), torch.fft.rfftfreq(CELLS, 1 / CELLS).double()
    if taps is None:
        return (whole.abs() <= CUTOFF).double(), (half <= CUTOFF).double()
    if taps == 0:
        return torch.ones_like(whole), torch.ones_like(half)
    at = np.arange(taps) - taps // 2
    weights = np.sinc(at * 2 * CUTOFF / CELLS) * np.kaiser(taps, 3.0)
    phases = [2 * np.pi / CELLS * np.outer(k.numpy(), at) for k in (whole, half)]
    first, second = (torch.from_numpy(np.cos(phase) @ (weights / weights.sum())) for phase in phases)
    return first, second


def solver(taps: int | None) -> Solver:
    """One step of states `[B, 2, x, y]`, float64; see `masks`."""
    rows, columns = masks(taps)
    low_pass = rows[:, None] * columns
    waves = [2 * np.pi / SIZE * f(CELLS, 1 / CELLS).double() for f in (torch.fft.fftfreq, torch.fft.rfftfreq)]
    squares = waves[0][:, None] ** 2 + waves[1] ** 2
    step = STEP / SUBSTEPS
    decay = -step * torch.tensor(DIFFUSIVITIES).double().view(2, 1, 1) * squares
    # (e^z - 1) / z and (e^z - 1 - z) / z², by their series where z is small.
    small, z = decay.abs() < 1e-3, decay.where(decay.abs() >= 1e-3, torch.ones(()).double())
    first = torch.where(small, 1 + decay / 2 + decay**2 / 6, torch.expm1(z) / z)
    second = torch.where(small, 0.5 + decay / 6 + decay**2 / 24, (torch.expm1(z) - z) / z**2)

    def reactions(transformed: Tensor) -> Tensor:
        u, v = torch.fft.irfft2(low_pass * transformed, s=(CELLS, CELLS)).unbind(dim=1)
        both = u * v**2
        return torch.fft.rfft2(torch.stack([FEED * (1 - u) - both, both - (FEED + KILL) * v], dim=1))

    def forward(states: Tensor) -> Tensor:
        y = torch.fft.rfft2(states)
        for _ in range(SUBSTEPS):
            rates = reactions(y)
            ahead = decay.exp() * y + step * first * rates
            y = ahead + step * second * (reactions(ahead) - rates)
        return torch.fft.irfft2(y, s=(CELLS, CELLS))

    return forward


def main() -> None:
    """Print the errors."""
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as file:
        truth = torch.from_numpy(file["train"][-HELD:]).double()
    variances = torch.fft.rfft2(truth[:, [1, 5, 50]]).abs().square()
    beyond = masks(None)[0][:, None] * masks(None)[1] == 0
    variances[..., 0, 0] = 0
    share = variances[..., beyond].sum(dim=(0, -1)) / variances.sum(dim=(0, -1, -2))
    print("share of the variance of u and v beyond the cut, after 1, 5 and 50 steps:", share.numpy().round(5).tolist())
    columns = ["low pass", *(f"step {at}" for at in SINGLE), *(f"after {at}" for at in SHOWN), "score", "CPU seconds"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for taps in (None, 0, 15, 31):
        begin, step = time.process_time(), solver(taps)
        single = [errors(step(truth[:, at - 1])[:, None], truth[:, at : at + 1])[0] for at in SINGLE]
        states, found = truth[:, 0], []
        for at in range(1, truth.shape[1]):
            states = step(states)
            found += errors(states[:, None], truth[:, at : at + 1])
        numbers = " | ".join(f"{value:.2g}" for value in [*single, *(found[at - 1] for at in SHOWN), score(found)])
        name = {None: "the solver's", 0: "none"}.get(taps, f"{taps} cells")
        print(f"| {name} | {numbers} | {time.process_time() - begin:.0f} |", flush=True)


if __name__ == "__main__":
    main()
