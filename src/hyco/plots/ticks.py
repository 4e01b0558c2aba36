"""Numbers beside axes: few digits, in plain letters, as a formula takes fifty times as long to lay out."""

from __future__ import annotations

import re

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

_RAISED = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")


def short(value: float, digits: int = 2) -> str:
    """A number with few digits, as a label: `0.028`, or `3.3×10⁻⁶` where that is shorter."""
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    power = f"×{_power(exponent)}" if exponent else ""
    return mantissa.replace("-", "−") + power


class PlainNumbers(ScalarFormatter):
    """Matplotlib's numbers of a linear axis, with a common factor as `×10⁻³` and what is added as `+1.1×10⁵`."""

    def get_offset(self) -> str:
        """What all numbers are multiplied by, and what is added to them."""
        factor = re.sub(r"^1e([-−]?\d+)", lambda found: f"×{_power(found[1])}", super().get_offset())
        return re.sub(r"(?<=\d)e([-−]?\d+)", lambda found: f"×{_power(found[1])}", factor)


def use_plain_numbers(figure: Figure) -> None:
    """Give every linear axis of a figure, those of colour bars too, numbers in plain letters."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(PlainNumbers())


def tidy_log_ticks(axis: Axis, decades: float) -> None:
    """Ticks for a logarithmic axis: powers of ten where it is wide, plain numbers where it is narrow."""
    axis.set_minor_formatter(NullFormatter())
    if decades > 2.5:
        axis.set_major_locator(LogLocator(numticks=7))
        axis.set_major_formatter(FuncFormatter(_power_of_ten))
        return
    axis.set_major_locator(
        LogLocator(subs=(1.0, 2.0, 5.0)) if decades > 0.8 else MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3)
    )
    axis.set_major_formatter(FuncFormatter(_four_digits))
    axis.set_minor_locator(LogLocator(subs=tuple(range(1, 10))) if decades > 0.8 else NullLocator())


def few_ticks(most: int) -> MaxNLocator:
    """At most so many intervals between round numbers."""
    return MaxNLocator(most, steps=[1, 2, 2.5, 5, 10])


def two_digits(value: float, _: int | None = None) -> str:
    """A number of a colour bar."""
    return short(value, 2)


def three_digits(value: float, _: int | None = None) -> str:
    """A number of a colour bar."""
    return short(value, 3)


def _four_digits(value: float, _: int | None = None) -> str:
    return short(value, 4)


def _power_of_ten(value: float, _: int | None = None) -> str:
    mantissa, exponent = f"{value:.3e}".split("e")
    return _power(exponent) if float(mantissa) == 1 else ""


def _power(exponent: str) -> str:
    return f"10{str(int(exponent.replace('−', '-'))).translate(_RAISED)}"
