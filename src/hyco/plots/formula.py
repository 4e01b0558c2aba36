"""Equations as they are set in print."""

from __future__ import annotations

from io import StringIO

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image


def formula_svg(latex: str, size: float = 15.0) -> str:
    """A formula as an SVG picture of its letters' outlines, which needs no font.

    Args:
        latex: what matplotlib sets of it, without dollar signs.
        size: of the letters [points].

    Raises:
        ValueError: it cannot be set.
    """
    buffer = StringIO()
    with rc_context({"svg.fonttype": "path", "mathtext.fontset": "stix", "svg.hashsalt": latex}):
        math_to_image(f"${latex}$", buffer, prop=FontProperties(size=size), format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]
