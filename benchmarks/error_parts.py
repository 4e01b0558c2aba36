"""What is in an interval: noise, error of the grid, and misfit of the equation, for one fit on four grids.

    python benchmarks/error_parts.py --write docs/images/error_parts.png

The plate of `problems/independent.py` by second-order differences, 40 sensors, 1 % noise, the same measurements on each
grid. Once they are of the equation that is fitted; once the plate also loses 1.5 % of its heat in a unit of time, of
which the model knows nothing.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

import hyco
from hyco.plots.style import TWO_COLUMNS, in_style, new_figure, to_png
from hyco.report.misfit import largest_chi_square
from independent import measured
from problems.independent import Plate, Truth

GRIDS = ((12, 8), (18, 12), (36, 24), (72, 48))
LOSS, SEED = 0.015, 7


class Leaking(Plate):
    """The plate with sensors, which loses heat."""

    sensors = 40
    loss: ClassVar[float] = LOSS

    def draw(self, random: np.random.Generator) -> tuple[dict[str, str], Truth]:
        """The plate's, times exp(-loss · t)."""
        start, whole = super().draw(random)
        return start, lambda t, at: {"T": whole(t, at)["T"] * np.exp(-self.loss * t)[:, None]}


class Tight(Leaking):
    """The same without the loss."""

    loss = 0.0


def fits(problem: type[Leaking]) -> list[dict[str, Any]]:
    """The estimate on each grid."""
    found = []
    for x, y in GRIDS:
        domain = {"x": {"size": 3.0, "resolution": x}, "y": {"size": 2.0, "resolution": y}}
        equation = hyco.equation(problem.section | {"domain": domain, "order": 2})
        seen = measured(problem(), equation, np.random.default_rng(SEED))
        estimate = hyco.fit(equation, seen, problem.learn, method="Levenberg-Marquardt").estimate
        number = estimate["diffusivity"]
        found.append(
            {
                "value": number.value,
                "std": number.std,
                "interval": number.interval,
                "grid": number.discretisation,
                "chi_square": estimate.reduced_chi_square,
                "most": largest_chi_square(estimate),
            }
        )
        print(problem.__name__, x, y, found[-1])
    return found


def picture(found: dict[str, list[dict[str, Any]]]) -> bytes:
    """Estimates with intervals, their parts in standard deviations, and χ²."""
    true, places = Plate.true["diffusivity"], np.arange(len(GRIDS))
    labels = [f"{x} × {y}" for x, y in GRIDS]
    with in_style():
        figure = new_figure(TWO_COLUMNS, 4.4)
        panels = figure.subplots(2, 3, sharex=True)
        for row, (title, lines) in zip(panels, found.items(), strict=True):
            value, std = (np.array([line[key] for line in lines]) for key in ("value", "std"))
            ends = np.array([line["interval"] for line in lines]).T
            grid = np.array([line["grid"] for line in lines])
            row[0].axhline(true, color="0.5", lw=0.8, label="truth")
            row[0].vlines(places, *ends, color="tab:blue", lw=1.2, label="interval")
            row[0].vlines(places, value - 1.96 * std, value + 1.96 * std, color="tab:orange", lw=4, label="± 1.96 std")
            row[0].plot(places, value, "k.", ms=4, label="estimate")
            row[0].plot(places + 0.18, value - grid, "kx", ms=4, label="without the grid's error")
            row[0].set_title(f"{title}: estimate")
            left = (value - grid - true) / std
            row[1].bar(places - 0.25, np.full(len(GRIDS), 1.96), 0.25, color="tab:orange", label="noise: 1.96")
            row[1].bar(places, np.abs(grid) / std, 0.25, color="tab:blue", label="grid: |discretisation| / std")
            row[1].bar(places + 0.25, np.abs(left), 0.25, color="0.6", label="what is left of the error / std")
            row[1].set_title("parts of the error, in std")
            row[2].plot(places, [line["chi_square"] for line in lines], "ko", label="reduced χ²")
            row[2].plot(places, [line["most"] for line in lines], color="tab:red", lw=1, label="warned of above")
            row[2].axhline(1.0, color="0.5", lw=0.8)
            row[2].set_title("misfit")
            for axis in row:
                axis.set_xticks(places, labels)
        for axis in panels[0]:
            low, high = axis.get_ylim()
            axis.set_ylim(low, high + 0.5 * (high - low))
            axis.legend(fontsize=6, loc="upper right")
        for axis in panels[1]:
            axis.set_xlabel("cells")
        return to_png(figure)


def main() -> None:
    """Make the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, required=True)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    arguments.write.write_bytes(picture({"the right equation": fits(Tight), "heat is lost": fits(Leaking)}))


if __name__ == "__main__":
    main()
