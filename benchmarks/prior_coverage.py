"""How often the 95 % interval contains the truth where the state at t = 0 is unknown and its prior is from the data.

    python benchmarks/prior_coverage.py --draws 40 --results prior.jsonl --write docs/studies/prior_coverage.md

Heat in an insulated rod: u_t = D u_xx on 0 to 2 with D = 0.03, no flux through the ends, by its cosine modes and not by
hyco's solver. Each draw has another smooth state at t = 0, a Gaussian random field of standard deviation 1 and
correlation length 0.25 about 20, other places of its sensors and other noise. The sensors measure at 16 times from 0.1
to 3; their noise is 0.02. D alone is asked for, and the prior of the state at t = 0 (mean, amplitude and correlation
length) is `auto`. `spread` is the standard deviation of (estimate - truth)/std, 1 if the stated std is right; `width`
the median width of the intervals over D.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import statistics
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest

import hyco
from hyco.compute import ComputeConfig
from study import add_workers, compute, described, draws_to_do, write_page

DIFFUSIVITY, LENGTH, SIZE, MEAN, NOISE, TIMES = 0.03, 0.25, 2.0, 20.0, 0.02, 16
SENSORS = (10, 20)
_MODES = 60
Numbers = NDArray[np.float64]


def rod(random: np.random.Generator, sensors: int) -> pd.DataFrame:
    """What the sensors have measured, a row for each time and sensor."""
    k = np.pi * np.arange(1, _MODES + 1) / SIZE
    # A field of standard deviation 1: its modes have the Gaussian's spectrum.
    std = np.exp(-0.25 * (k * LENGTH) ** 2)
    amplitudes = np.sqrt(2) * std / np.linalg.norm(std) * random.standard_normal(_MODES)
    x, t = np.sort(random.uniform(0, SIZE, sensors)), np.linspace(0.1, 3.0, TIMES)
    t, x = (part.ravel() for part in np.meshgrid(t, x, indexing="ij"))
    modes = np.cos(np.outer(x, k)) * np.exp(-DIFFUSIVITY * np.outer(t, k**2))
    return pd.DataFrame({"t": t, "x": x, "T": MEAN + modes @ amplitudes + NOISE * random.standard_normal(len(t))})


def draw(sensors: int, seed: int, std: float | str) -> dict[str, Any]:
    """The fit to one draw, as a line of results."""
    equation = hyco.equation(
        {
            "name": "heat",
            "domain": {"x": {"size": SIZE, "resolution": 48}},
            "boundary": "neumann",
            "dt": 0.1,
            "order": 4,
            "form": "nondivergence",
            "max_diffusivity": 0.5,
            "parameters": {"diffusivity": 0.1},
        }
    )
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "T"}, "std": std, "start": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rod.csv"
        rod(np.random.default_rng([sensors, seed]), sensors).to_csv(path, index=False)
        observations = hyco.read_measurements(path, equation, section, {"train_sim": [0], "interpolation": "cubic"})
    learn = [{"name": "diffusivity", "initial_guess": 0.1, "bounds": [0.001, 0.5]}]
    found = hyco.fit(equation, observations, learn, method="Levenberg-Marquardt").estimate["diffusivity"]
    low, high = found.interval or (float("nan"), float("nan"))
    return {
        "sensors": sensors,
        "seed": seed,
        "noise": std,
        "estimate": found.value,
        "std": found.std,
        "low": low,
        "high": high,
        "covered": bool(low <= DIFFUSIVITY <= high),
    }


def run(
    draws: int, std: float | str, results: Path | None, workers: ComputeConfig | None = None
) -> list[dict[str, Any]]:
    """All draws; those that the file of results has are not run again."""
    cases = itertools.product(SENSORS, range(draws), [std])
    return draws_to_do(cases, draw, results, ("sensors", "seed", "noise"), workers)


def table(lines: Iterable[dict[str, Any]]) -> str:
    """A row for each number of sensors."""
    lines = list(lines)
    rows = ["| sensors | noise | draws | covered | coverage (95 %) | bias | spread | width |", "|" + "---|" * 8]
    for sensors, noise in sorted({(line["sensors"], str(line["noise"])) for line in lines}):
        own = [line for line in lines if (line["sensors"], str(line["noise"])) == (sensors, noise)]
        covered = sum(line["covered"] for line in own)
        exact = binomtest(covered, len(own)).proportion_ci(0.95, "exact")
        z = [(line["estimate"] - DIFFUSIVITY) / line["std"] for line in own if line["std"]]
        width = statistics.median((line["high"] - line["low"]) / DIFFUSIVITY for line in own)
        share = f"{covered / len(own):.3f} ({exact.low:.2f}-{exact.high:.2f})"
        cells = [sensors, noise, len(own), covered, share, f"{np.mean(z):+.2f}", f"{np.std(z):.2f}", f"{width:.3f}"]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows)


def main() -> None:
    """Run draws, print the table, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--results", type=Path, help="file that a line is appended to per draw")
    parser.add_argument("--unknown", action="store_true", help="std: estimate, in the place of the noise")
    parser.add_argument("--write", type=Path)
    add_workers(parser)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    noise = "estimate" if arguments.unknown else NOISE
    lines = run(arguments.draws, noise, arguments.results, compute(arguments))
    print(table(lines))
    if arguments.write:
        command = f"python benchmarks/prior_coverage.py --draws {arguments.draws}"
        write_page(arguments.write, "Coverage with a prior from the data", described(__doc__), [command], table(lines))


if __name__ == "__main__":
    main()
