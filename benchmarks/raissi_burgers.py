"""Both coefficients of the Burgers equation from 2000 of 256 × 100 points (physics alone), over noise draws.

    python benchmarks/raissi_burgers.py --draws 500 --noise 0.01 --results raissi.jsonl     # also 0, 0.05, 0.10
    python benchmarks/raissi_burgers.py --table raissi.jsonl --write docs/studies/raissi_burgers.md

u_t + λ₁ u u_x = λ₂ u_xx on [-1, 1], u(x, 0) = -sin πx, u(±1, t) = 0, λ = (1, 0.01/π); truth by the Cole-Hopf
transformation. The initial state is odd, so that the periodic Fourier method keeps the boundary condition. Points and
noise are drawn anew for each draw; noise in units of the standard deviation of u.
"""

from __future__ import annotations

import argparse
import logging
import math
import statistics
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyco.equations.equation import Equation
from hyco.equations.registry import build_equation
from hyco.fields import FieldSpec, Layout
from hyco.inversion.calibrator import Calibrator
from hyco.observations import Observations
from hyco.runtime.random_streams import stream
from hyco.training.physical import PhysicalConfig
from problems import raissi_burgers as problem
from study import add_line, described, read_lines, write_page

TRUE = {"convection": 1.0, "viscosity": problem.VISCOSITY}
STEPS, SAMPLES = 99, 2000


@lru_cache(maxsize=4)
def equation(cells: int) -> Equation:
    """The model on `cells` cells, a multiple of 255: every point of the data then is the centre of a cell."""
    if cells % 255:
        raise ValueError(f"{cells} cells: a multiple of 255 is needed, so that every point is the centre of a cell")
    h = 2.0 / cells
    return build_equation(
        {
            "name": "burgers",
            "domain": {"x": {"size": 2.0, "resolution": cells, "lower": -1.0 - h / 2}},
            "dt": 0.01,
            "max_speed": 1.05,
            "max_convection": 1.5,
            "scheme": "spectral",
            "parameters": TRUE,
        }
    )


@lru_cache(maxsize=1)
def truth() -> Tensor:
    """The exact solution at the points of the data, `[100, 256]`."""
    x, t = problem.points()
    return torch.from_numpy(problem.truth(x[None], t[:, None]))


def observations(cells: int, noise: float, draw: int) -> Observations:
    """2000 points, drawn without replacement, with noise."""
    values = truth()
    noise_std = noise * float(values.std(correction=0))
    measured = values + noise_std * torch.randn(values.shape, generator=stream(draw, "noise"), dtype=values.dtype)
    chosen = torch.zeros(values.numel(), dtype=torch.bool)
    chosen[torch.randperm(values.numel(), generator=stream(draw, "points"))[:SAMPLES]] = True
    chosen = chosen.reshape(values.shape)
    # The points x = -1 and x = 1 are the same cell: where both are drawn, the second is left out.
    grid = equation(cells).layout.grid
    targets = torch.zeros((1, STEPS + 1, 1, cells), dtype=torch.float64)
    mask = torch.zeros(targets.shape, dtype=torch.bool)
    columns = torch.arange(256) * (cells // 255) % cells
    for column in reversed(range(256)):
        seen = chosen[:, column]
        targets[0, seen, 0, columns[column]] = measured[seen, column]
        mask[0, seen, 0, columns[column]] = True
    start = -torch.sin(math.pi * torch.from_numpy(grid.centers("x")))
    return Observations(
        values=targets,
        mask=mask,
        initial_states=start[None, None],
        noise_std=torch.tensor([noise_std], dtype=torch.float64),
        train=[0],
        val=[],
        layout=Layout(grid, (FieldSpec("velocity", ("x",)),)),
        dt=0.01,
    )


def run(cells: int, noise: float, draw: int) -> dict[str, Any]:
    """One draw of points and noise: relative errors, error bars and cost."""
    physical = PhysicalConfig.model_validate(
        {
            "learnable_parameters": [
                {"name": "convection", "initial_guess": 0.5, "bounds": [0.1, 1.5], "transform": "none"},
                {"name": "viscosity", "initial_guess": 0.02, "bounds": [1e-3, 0.2]},
            ],
            "method": "Levenberg-Marquardt",
            "num_predict_steps": STEPS,
            "horizons": [30],
            "abs_tol": 1e-6 if noise else 1e-12,
        }
    )
    start = time.perf_counter()
    trainer = Calibrator(
        equation(cells),
        observations(cells, noise, draw),
        physical,
        num_predict_steps=STEPS,
        device=torch.device("cpu"),
    )
    result = trainer.update()
    estimates = trainer.model.numbers()
    line: dict[str, Any] = {"cells": cells, "noise": noise, "draw": draw, "status": str(result.status)}
    for name, true in TRUE.items():
        line[f"error_{name}"] = estimates[name].value / true - 1
        line[f"std_{name}"] = estimates[name].std / true
        low, high = estimates[name].interval
        line[f"inside_{name}"] = low <= true <= high
    return line | {"simulations": trainer.problem.simulations, "seconds": time.perf_counter() - start}


def table(lines: list[dict[str, Any]]) -> str:
    """Markdown: one row per noise level and coefficient."""
    names = ("noise", "cells", "coefficient", "draws", "RMS error", "Cramér-Rao std", "RMS(error/std)", "inside 95 %")
    rows = ["| " + " | ".join(names) + " | PINN |", "|" + "---|" * (len(names) + 1)]
    published = {
        (0.0, "convection"): ".085 %",
        (0.0, "viscosity"): ".12 %",
        (0.01, "convection"): ".042 %",
        (0.01, "viscosity"): ".84 %",
    }
    for noise, cells in sorted({(line["noise"], line["cells"]) for line in lines}):
        found = [line for line in lines if (line["noise"], line["cells"]) == (noise, cells)]
        for name in TRUE:
            errors = [line[f"error_{name}"] for line in found]
            stds = [line[f"std_{name}"] for line in found]
            rms = math.sqrt(statistics.fmean(e**2 for e in errors))
            row = [f"{noise:.0%}", cells, name, len(found), f"{rms:.2%}" if noise else f"{rms:.1e}"]
            if noise:
                ratio = math.sqrt(statistics.fmean((e / s) ** 2 for e, s in zip(errors, stds, strict=True)))
                inside = sum(line[f"inside_{name}"] for line in found) / len(found)
                row += [f"{math.sqrt(statistics.fmean(s**2 for s in stds)):.2%}", f"{ratio:.3f}", f"{inside:.1%}"]
            else:
                row += ["", "", ""]
            rows.append("| " + " | ".join(map(str, [*row, published.get((noise, name), "")])) + " |")
    return "\n".join(rows)


def commands(lines: list[dict[str, Any]]) -> list[str]:
    """What was run."""
    draws = Counter((line["noise"], line["cells"]) for line in lines)
    return [
        f"python benchmarks/raissi_burgers.py --noise {n} --cells {c} --draws {draws[n, c]} --results raissi.jsonl"
        for n, c in sorted(draws)
    ]


def main() -> None:
    """Run draws, or print the table of what was run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--cells", type=int, default=510, help="a multiple of 255")
    parser.add_argument(
        "--results", type=Path, help="file that a line is appended to per draw; draws in it are left out"
    )
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of these files and stop")
    parser.add_argument("--write", type=Path, help="with --table: write it to this file too")
    arguments = parser.parse_args()
    if arguments.table:
        lines = read_lines(arguments.table)
        text = table(lines)
        if arguments.write:
            note = " Errors are relative; the Cramér-Rao standard deviation is that of the points of each draw."
            title = "Burgers from 2000 points, physics alone"
            write_page(arguments.write, title, described(__doc__) + note, commands(lines), text)
        print(text)
        return
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    lines = read_lines([arguments.results])
    done = {(line["noise"], line["cells"], line["draw"]) for line in lines}
    for draw in range(arguments.draws):
        if (arguments.noise, arguments.cells, draw) in done:
            continue
        lines.append(run(arguments.cells, arguments.noise, draw))
        add_line(arguments.results, lines[-1])
    print(table(lines))


if __name__ == "__main__":
    main()
