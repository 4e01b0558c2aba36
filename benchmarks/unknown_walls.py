"""What stands in a wall or a source, learnt from an independent solver's data: how often intervals hold the truth.

    python benchmarks/unknown_walls.py [--draws 200] [--kinds value flux robin source]

u_t = D u_xx + s on [0, 2] by formula, 24 cells, values in all cells at ten times with 1 % noise; D and one more number
are unknown. The truth is a method of lines of SciPy on 40 times as many cells. For each number: the mean and the spread
of (estimate - truth)/std, how many of the 95 % intervals hold the truth, and the range of that count, with 99 %, if
95 % do. The error of the grid is left out of them: they are of the noise alone.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.stats import binom

import hyco
from hyco.expressions import Expression

DIFFUSIVITY, LENGTH, CELLS, FINER, DT = 0.15, 2.0, 24, 40, 0.1
TIMES = DT * np.arange(1, 11)
BEND = "0.2*(cos(pi*x) - 1)"
# By kind: the unknown beside D, its true value, the wall at 0 and the source as the equation has them, the wall at 0 as
# a, b and c of a u + b ∂u/∂n = c, and the start, which fulfils it.
KINDS = {
    "value": ("g", 0.8, "g", "0", (1.0, 0.0, 0.8), f"0.8 + 0.5*sin(pi*x/4) + {BEND}"),
    "flux": ("q", -0.6, {"flux": "q"}, "0", (0.0, 1.0, -0.6), f"0.3 + 2.4/pi*sin(pi*x/4) + {BEND}"),
    "robin": (
        "k",
        1.5,
        {"robin": {"a": "k", "b": 1.0, "c": 0.5}},
        "0",
        (1.5, 1.0, 0.5),
        f"0.6 + 1.6/pi*sin(pi*x/4) + {BEND}",
    ),
    "source": ("A", 0.7, 0.0, "A*exp(-t)*sin(pi*x/2)**2", (1.0, 0.0, 0.0), f"sin(pi*x/4) + {BEND}"),
}


def numpy_of(formula: str, **values: float | np.ndarray) -> np.ndarray:
    """A formula by the package's own reader, which has no part in the solver."""
    return Expression(formula)({k: torch.as_tensor(v, dtype=torch.float64) for k, v in values.items()}).numpy()


def truth(kind: str) -> np.ndarray:
    """Values in the cells at the times, `[10, 24]`."""
    _name, value, _, source, (a, b, c), start = KINDS[kind]
    n = CELLS * FINER
    h = LENGTH / n
    x = (np.arange(n) + 0.5) * h

    def rate(t: float, u: np.ndarray) -> np.ndarray:
        ghost = (c - (a / 2 - b / h) * u[0]) / (a / 2 + b / h)
        wide = np.concatenate([[ghost], u, u[-1:]])
        added = 0.0 if source == "0" else value * np.exp(-t) * np.sin(np.pi * x / 2) ** 2
        return DIFFUSIVITY * (wide[2:] - 2 * u + wide[:-2]) / h**2 + added

    begun = numpy_of(start, x=x)
    tolerances = {"rtol": 1e-9, "atol": 1e-10, "lband": 1, "uband": 1}
    solved = solve_ivp(rate, (0, TIMES[-1]), begun, method="LSODA", t_eval=TIMES, **tolerances)
    # The centre of a cell lies between two of the finer ones.
    each = solved.y.T.reshape(len(TIMES), CELLS, FINER)
    return 0.5 * (each[:, :, FINER // 2 - 1] + each[:, :, FINER // 2])


@cache
def model(kind: str) -> Any:
    """The equation; the same one for all draws, so that its step is recorded once."""
    name, _, wall, source, *_ = KINDS[kind]
    return hyco.equation(
        {
            "name": "formula",
            "domain": {"x": {"size": LENGTH, "resolution": CELLS}},
            "boundary": {"x": {"lower": wall, "upper": "neumann"}},
            "dt": DT,
            "substeps": 16 if kind == "robin" else 2,
            "stages": 4,
            "rates": {"u": f"D*laplace(u) + {source}"},
            "parameters": {"D": 0.3, name: 1.0},
        }
    )


def fit(kind: str, exact: np.ndarray, seed: int, folder: Path) -> dict[str, Any]:
    """The two numbers from one draw of the noise."""
    name, value, *_, start = KINDS[kind]
    equation = model(kind)
    noise = 0.01 * exact.std()
    values = exact + noise * np.random.default_rng(seed).normal(size=exact.shape)
    x = (np.arange(CELLS) + 0.5) * LENGTH / CELLS
    t, places = np.meshgrid(TIMES, x, indexing="ij")
    file = folder / "rod.csv"
    table = np.stack([t.ravel(), places.ravel(), values.ravel()], axis=1)
    np.savetxt(file, table, delimiter=",", header="t,x,u", comments="")
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"u": "u"}, "std": {"u": float(noise)}, "start": 0.0}
    observations = hyco.read_measurements(str(file), equation, {**section, "initial": {"u": start}}, {"train_sim": [0]})
    learn = [
        {"name": "D", "initial_guess": 0.3, "bounds": [0.01, 1.0]},
        {"name": name, "initial_guess": 0.5 * value, "bounds": sorted([-3 * value, 5 * value])},
    ]
    estimate = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt", discretisation=False).estimate
    return {key: estimate[key] for key in ("D", name)}


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    first, last = (int(binom.ppf(q, options.draws, 0.95)) for q in (0.005, 0.995))
    print(
        f"| unknown | number | mean pull | its spread | intervals with the truth (99 %: {first} to {last}) | s a fit |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in options.kinds:
        name, value, *_ = KINDS[kind]
        exact, begun = truth(kind), time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            found = [fit(kind, exact, seed, Path(folder)) for seed in range(options.draws)]
        seconds = (time.perf_counter() - begun) / options.draws
        for key, true in (("D", DIFFUSIVITY), (name, value)):
            pull = np.array([(f[key].value - true) / f[key].std for f in found])
            held = sum(f[key].interval[0] <= true <= f[key].interval[1] for f in found)
            print(
                f"| {kind} | {key} | {pull.mean():.2f} | {pull.std():.2f} | {held} of {len(found)} | {seconds:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
