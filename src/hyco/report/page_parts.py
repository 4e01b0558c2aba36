"""Parts of a page: pictures as data, tables of text, what a run was made with."""

from __future__ import annotations

import base64
import platform
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from io import BytesIO
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from hyco.plots.formula import formula_svg
from hyco.plots.frames import indexed
from hyco.report.chart import Chart

# Pixels of the pictures per pixel of the page: they stay sharp on a phone and on paper.
_DENSITY = 1.5625
# Colours of an animation.
_COLOURS = 128
# What results depend on.
_PACKAGES = ("hyco", "torch", "phiflow", "phiml", "numpy", "scipy")


@dataclass(frozen=True)
class Picture:
    """A picture with its words.

    Attributes:
        source: as a data address.
        alt: what it shows, for who does not see it.
        caption: below it.
        width, height: on the page [px].
    """

    source: str
    alt: str
    caption: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Table:
    """Rows of text below a head."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Section:
    """A part of the page; without an id it goes on with the part before it."""

    id: str
    name: str
    words: Sequence[str] = ()
    figures: Sequence[Picture] = ()
    tables: Sequence[Table] = field(default_factory=tuple)
    charts: Sequence[Chart] = ()


def data_address(data: bytes, kind: str) -> str:
    """Bytes as an address that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def png_picture(data: bytes, alt: str, caption: str = "") -> Picture:
    """A PNG file as a picture.

    Raises:
        ValueError: it is none.
    """
    if not data.startswith(b"\x89PNG"):
        raise ValueError("a figure of the page is no PNG file")
    width, height = struct.unpack(">II", data[16:24])
    return Picture(data_address(data, "image/png"), alt, caption, round(width / _DENSITY), round(height / _DENSITY))


def formula_pictures(formulas: Sequence[str], words: str) -> list[Picture]:
    """An equation as it is set in print, a picture for each line of it; its text stands for it elsewhere.

    Args:
        formulas: the lines in LaTeX.
        words: the equation in letters.
    """
    return [
        Picture(data_address(formula_svg(latex).encode(), "image/svg+xml"), f"{words} In LaTeX: {latex}")
        for latex in formulas
    ]


def frame_files(frames: NDArray[np.uint8]) -> tuple[str, list[str]]:
    """Frames `[N, height, width, 3]` as files in base64, and their kind; few colours make them small."""
    files = []
    for image in indexed(frames, _COLOURS):
        buffer = BytesIO()
        image.save(buffer, "PNG", compress_level=6)
        files.append(base64.b64encode(buffer.getvalue()).decode("ascii"))
    return "image/png", files


def versions() -> list[tuple[str, str]]:
    """Of what results depend on: packages, Python, the machine."""
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return [
        ("versions", ", ".join(found)),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
    ]


def rendered(template: str, content: Mapping[str, Any]) -> str:
    """A page.

    Args:
        template: name of its file.
        content: what stands in it, all of it escaped.

    Raises:
        jinja2.UndefinedError: something is missing.
    """
    environment = Environment(
        loader=PackageLoader("hyco.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(content)
