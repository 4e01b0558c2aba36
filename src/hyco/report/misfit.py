"""In words: residuals larger than the noise, residuals that are not white, and what the grid has to do with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from hyco.inversion.estimate import PhysicalEstimate
from hyco.inversion.found_terms import FoundTerms
from hyco.inversion.structure import SIGNIFICANCE

# A reduced χ² beyond so many of its standard deviations, √(2/ν) with ν degrees of freedom, is not chance.
_DEVIATIONS = 3.0
# The same where the degrees of freedom are not known, of files that do not say them.
_MISFIT = 1.5
# What the error of a grid that is fine enough has of the standard deviation.
_SMALL = 0.5
# By so much χ² has to differ to tell where the walls are.
_TOLD = 10.0
# By so many cells' widths a wall has to be moved.
_WHERE = 0.5
# A reduced χ² below this, where the unit is a thousandth of the data's standard deviation, says that there is no noise
# and no other error either: the data were made on this grid.
_EXACT = 1e-4


def largest_chi_square(estimate: PhysicalEstimate) -> float:
    """A reduced χ² that is larger is hardly chance: 1 + 3 √(2/ν)."""
    freedom = estimate.residual_freedom
    return _MISFIT if freedom is None else 1 + _DEVIATIONS * math.sqrt(2 / max(freedom, 1.0))


def chi_square_words(estimate: PhysicalEstimate, parameters: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What a reduced χ² far above one says; None where it is none.

    Args:
        parameters: entries of numbers as reports have them.
    """
    chi_square, most = estimate.reduced_chi_square, largest_chi_square(estimate)
    if chi_square is None or chi_square <= most:
        return None
    words = (
        f"leaves residuals of {chi_square**0.5:.3g} times the noise (reduced χ² {chi_square:.3g}, by chance at most "
        f"{most:.3g}): do not trust its error bars. "
    )
    if coarse := [name for name, entry in parameters.items() if _is_coarse(entry)]:
        return words + f"The grid is the likely cause: its error in {coarse[0]} is larger than the standard deviation."
    causes = "The equation or the noise level is wrong"
    tests = _tests(estimate)
    if _told(tests.get("time")) or _told(tests.get("space")):
        causes = "The equation is wrong where residuals are correlated, or such noise is larger than was said"
    elif _told(tests.get("outliers")):
        causes = "There are outliers (physical.loss: huber), or the equation or the noise level is wrong"
    if estimate.from_predictions:
        causes += ", or the network still pulls the estimate (raise hybrid.alpha, or train longer)"
    if estimate.grid is None:
        causes += ", or the grid is too coarse: fit once more on a finer one"
    return f"{words}{causes}."


def grid_words(
    estimate: PhysicalEstimate, parameters: Mapping[str, Mapping[str, Any]], *, measured: bool
) -> Iterator[str]:
    """Of which numbers and fields the error of the grid is larger than the standard deviation, and what grid would do.

    Args:
        parameters: as above.
        measured: the data were not simulated by this run.
    """
    chi_square = estimate.reduced_chi_square or 0.0
    if estimate.grid is None or (estimate.degrees_of_freedom is not None and chi_square < _EXACT):
        return
    coarse = {
        name: abs(entry["discretisation"]) / max(entry["std"], 1e-300)
        for name, entry in parameters.items()
        if _is_coarse(entry)
    }
    fields = {name: times for name, found in estimate.fields.items() if (times := found.of_grid) > 1}
    coarse |= fields
    for name, times in coarse.items():
        finer = (times / _SMALL) ** (1 / estimate.grid["order"])
        cells = [f"{math.ceil(finer * n)} cells along {axis}" for axis, n in estimate.grid["cells"].items()]
        keys = [f"equation.{key}: {value}" for key, value in estimate.grid["accurate"].items()]
        better = f", or a more accurate scheme ({', '.join(keys)})" if keys else ""
        covers = "its interval, but not the band of the picture, covers" if name in fields else "the interval covers"
        yield (
            f"the error of grid and time step in {name} is {times:.2g} standard deviations; {covers} it. "
            f"With about {' and '.join(cells)}, and steps as much shorter, it would be half of one{better}."
            + ("" if measured else " Data that were simulated on the same grid do not have that error.")
        )


def walls_words(estimate: PhysicalEstimate, parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Where the measurements fit better with walls elsewhere, or as well at the outermost positions, and numbers there.

    Args:
        parameters: as above.
    """
    if estimate.walls is None:
        return
    rise, other = estimate.walls["chi_square"], estimate.walls["numbers"]
    shifts = {
        name: (other[name] - entry["estimate"]) / entry["std"]
        for name, entry in parameters.items()
        if name in other and entry.get("std")
    }
    moved = [
        f"{name} would be {other[name]:.4g} ({times:+.2g} standard deviations)"
        for name, times in shifts.items()
        if abs(times) > 1
    ]
    domain = "; ".join(
        f"equation.domain.{axis}: lower {keys['lower']:.6g}, size {keys['size']:.6g}"
        for axis, keys in estimate.walls["domain"].items()
    )
    if (cells := estimate.walls.get("cells")) is not None:
        # A wall that is moved by less may make up for the error of the grid.
        if rise < -_TOLD and cells > _WHERE:
            then = f"; {', '.join(moved)}" if moved else ""
            yield (
                f"the measurements fit better if the walls are elsewhere: χ² would fall by {-rise:.3g}, to first order "
                f"at {domain}{then}. Say where the walls are; where they are known, something else is wrong beside "
                f"them."
            )
    elif rise < -_TOLD:
        then = f"; {', '.join(moved)}" if moved else ""
        yield (
            f"the measurements fit better if the walls are at the outermost positions, not half a cell beyond: χ² "
            f"would fall by {-rise:.3g}{then}. If they are there, say {domain}."
        )
    elif moved and rise < _TOLD:
        yield (
            "the measurements do not tell whether the walls are half a cell beyond the outermost positions or at them. "
            f"There, {', '.join(moved)}: the interval does not have that. Check {domain}."
        )


def noise_of_walls_words(parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """To which numbers the noise of sensors at walls adds much.

    Args:
        parameters: as above.
    """
    much = {
        name: entry["std_walls"] / entry["std"]
        for name, entry in parameters.items()
        if entry.get("std_walls") and entry.get("std") and entry["std_walls"] > _SMALL * entry["std"]
    }
    if much:
        each = ", ".join(f"{name} {times:.2g}" for name, times in much.items())
        yield (
            "walls are what sensors measured, with their noise and lines between their times, which adds standard "
            f"deviations of its own (std_walls), in those by the measurements inside: {each}. The interval has them, "
            "std has not. Where a wall holds one value, say it, or learn it: boundary: {x: {lower: NAME}}, and NAME in "
            "physical.learnable_parameters."
        )


def structure_words(estimate: PhysicalEstimate) -> Iterator[str]:
    """Where the residuals are correlated or have outliers."""
    tests = _tests(estimate)
    where = {"time": "one measurement of a sensor and the next", "space": "neighbouring places at the same time"}
    told = [f"{tests[key]['correlation']:.2g} between {of}" for key, of in where.items() if _told(tests.get(key))]
    if told:
        bars = (
            "std and interval are those of such noise (std_white: of white noise)"
            if any(n.std_white is not None for n in estimate.numbers.values())
            else "Error bars are those of such noise"
        )
        yield (
            f"residuals are correlated: {' and '.join(told)}. The noise is not white, or the equation, a wall or "
            f"the grid is wrong there (residual_correlation.png). {bars}, which is right if it is the noise."
        )
    outliers = tests.get("outliers")
    if outliers is not None and _told(outliers) and not estimate.outliers:
        yield (
            f"{100 * outliers['share']:.2g} % of the residuals are beyond {outliers['beyond']:g} robust standard "
            "deviations, hardly any of Gaussian noise would be (outliers). Look at them, or let physical.loss: huber "
            "keep them from pulling the estimate."
        )


def verdict_words(estimate: PhysicalEstimate) -> Iterator[str]:
    """What the misfit comes from, which terms are missing, and what is not told from them."""
    verdict = estimate.verdict
    if verdict is None or verdict["cause"] == "consistent":
        return
    found = None if verdict["terms"] is None else FoundTerms.from_json(verdict["terms"])
    if found is None:
        # What a wall does reaches inside, too.
        walls = (
            " The conditions at the walls belong to the physics: check them." if verdict["cause"] == "physics" else ""
        )
        yield f"the misfit looks like one of the {verdict['cause']}: {verdict['why']}.{walls}"
    else:
        yield _of_terms(found)
    if confounded := [name for name, number in estimate.numbers.items() if number.separable is False]:
        yield (
            f"{', '.join(confounded)}: not separable from the discrepancy. What the equation lacks may have moved the "
            "estimate by more than the interval says."
        )


def _of_terms(found: FoundTerms) -> str:
    """Such as: a drag -0.1*u in the rate of u is missing."""
    if not found.helpful:
        return (
            f"{found.words} would explain a part of the misfit alone: {found.fall}. What is missing is something else, "
            "too."
        )
    beside = ", ".join(f"{name} = {entry['estimate']:.4g}" for name, entry in found.parameters.items())
    left = "" if found.consistent else " Something is left to explain."
    return f"{found.words} {'are' if len(found.terms) > 1 else 'is'} missing: {found.fall}; then {beside}.{left}"


def _tests(estimate: PhysicalEstimate) -> Mapping[str, Any]:
    return estimate.structure or {}


def _told(test: Any) -> bool:
    return test is not None and test["p"] < SIGNIFICANCE


def _is_coarse(entry: Mapping[str, Any]) -> bool:
    """Whether the error of the grid is larger than the standard deviation."""
    error, std = entry.get("discretisation"), entry.get("std")
    return error is not None and std is not None and abs(error) > std
