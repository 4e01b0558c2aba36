import contextlib
import re
import sys
import time
import zlib
from functools import partial
from io import BytesIO

import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont
from kedro.io import DatasetError

from hyco.datasets.figure import FIGURES, FigureDataset
from hyco.plots import fonts
from hyco.plots.ready import get_ready
from hyco.plots.style import figure_of_words, new_figure
from hyco.runtime.errors import is_message
from hyco.runtime.storage import write_atomically


def test_a_figure_is_a_png_and_a_pdf_of_vectors_and_comes_back_as_png(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    assert dataset.load() is None
    figure = new_figure(2, 1)
    figure.subplots().plot([0, 1])
    dataset.save(figure)
    assert dataset.load().startswith(b"\x89PNG")
    FIGURES.finish()
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/Subtype /Image" not in pdf
    assert b"CreationDate" not in pdf
    assert dataset.preview()


def drawn(words=""):
    """What draws a figure, or one of words."""
    if words:
        return figure_of_words(words)
    figure = new_figure(2, 1)
    figure.subplots().set_title("α = $x^2$")
    return figure


def test_what_draws_a_figure_makes_the_same_files_as_the_figure(tmp_path, monkeypatch):
    monkeypatch.setattr("hyco.datasets.figure.can_be_sent", callable)  # here matplotlib is known
    FIGURES.get_ready(get_ready)
    given = {"figure": drawn(), "function": drawn, "again": drawn}
    for name, data in given.items():
        FigureDataset(str(tmp_path / f"{name}.png"), dpi=50).save(data)
    FIGURES.finish()
    for form in ("png", "pdf"):
        assert len({(tmp_path / f"{name}.{form}").read_bytes() for name in given}) == 1, form


def test_settings_that_were_made_in_this_process_are_those_of_the_figure(tmp_path):
    FIGURES.get_ready(int)
    with mpl.rc_context({"axes.facecolor": "yellow"}):
        for name, data in {"figure": drawn(), "function": drawn}.items():
            FigureDataset(str(tmp_path / f"{name}.png"), dpi=50).save(data)
    FIGURES.finish()
    assert (tmp_path / "figure.png").read_bytes() == (tmp_path / "function.png").read_bytes()


def test_fonts_that_were_read_ahead_make_the_same_file_and_are_used_once(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "_ahead", {})
    get_ready()
    assert [len(left) for left in fonts._ahead.values()] == [2, 2]
    assert not any(table in font for left in fonts._ahead.values() for font in left for table in fonts._LAYOUT)
    for name in ("ahead", "read"):
        figure = drawn()
        with fonts.without_layout_tables():
            figure.savefig(tmp_path / name, format="pdf", metadata={"CreationDate": None})
        assert sum(len(left) for left in fonts._ahead.values()) < 4
        fonts._ahead.clear()
    assert (tmp_path / "ahead").read_bytes() == (tmp_path / "read").read_bytes()


def test_what_draws_nothing_leaves_no_file(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    dataset.save(drawn)
    dataset.save(partial(drawn, "no number is learnt"))
    assert dataset.load() is None
    FIGURES.finish()
    assert not list(tmp_path.iterdir())


def test_where_there_is_nothing_to_show_there_is_no_file(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"))
    dataset.save(new_figure(1, 1))
    dataset.save(figure_of_words("no number is learnt"))
    assert not list(tmp_path.iterdir())
    assert dataset.load() is None


def test_a_pdf_file_that_is_being_written_does_not_come_after_what_took_its_place(tmp_path, monkeypatch):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)

    def slow(path, content):
        time.sleep(0.3 if path.suffix == ".pdf" else 0)
        write_atomically(path, content)

    monkeypatch.setattr("hyco.datasets.figure.write_atomically", slow)
    dataset.save(new_figure(1, 1))
    dataset.save(figure_of_words("no number is learnt"))
    FIGURES.finish()
    assert not list(tmp_path.iterdir())


def test_a_pdf_that_cannot_be_written_is_an_error_in_the_end(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    (tmp_path / "figure.pdf").mkdir()

    def write():
        dataset.save(new_figure(2, 1))
        FIGURES.finish()

    with pytest.raises(OSError, match=r"figure\.pdf cannot be written .*make room"):
        write()
    FIGURES.finish()


def test_a_png_that_cannot_be_written_says_what_to_do_when_it_is_loaded(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    (tmp_path / "figure.png").mkdir()

    def write():
        dataset.save(new_figure(2, 1))
        dataset.load()

    with pytest.raises(DatasetError, match=r"figure\.png cannot be written .*make room") as raised:
        write()
    assert is_message(raised.value.__cause__)
    with contextlib.suppress(OSError):
        FIGURES.finish()


def test_a_png_file_is_there_when_it_is_loaded_though_it_is_drawn_beside(tmp_path, monkeypatch):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)

    def slow(path, content):
        time.sleep(0.5)
        write_atomically(path, content)

    monkeypatch.setattr("hyco.datasets.figure.write_atomically", slow)
    dataset.save(new_figure(2, 1))
    assert dataset.load().startswith(b"\x89PNG")
    FIGURES.finish()


def test_a_figure_that_cannot_be_drawn_is_an_error_when_it_is_loaded(tmp_path, monkeypatch):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)

    def broken(_):
        raise ValueError("no layout")

    monkeypatch.setattr("hyco.plots.style.settled", broken)

    def draw():
        dataset.save(new_figure(2, 1))
        dataset.load()

    with pytest.raises(DatasetError, match=r"figure\.png could not|no layout"):
        draw()
    if sys.platform == "linux":
        with pytest.raises(OSError, match=r"figure\.pdf"):
            FIGURES.finish()
    assert not list(tmp_path.iterdir())


def test_the_fonts_of_a_pdf_have_what_draws_their_letters_and_no_tables_of_layout(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    figure = new_figure(2, 1)
    figure.subplots().set_title("fi α² AV")
    dataset.save(figure)
    FIGURES.finish()
    fonts = list(_fonts((tmp_path / "figure.pdf").read_bytes()))
    assert fonts
    for tables in fonts:
        assert {"glyf", "head", "hhea", "hmtx", "loca", "maxp"} <= tables
        assert not {"GSUB", "GPOS", "GDEF", "kern"} & tables


def _fonts(pdf):
    """The tables of each TrueType font in a PDF file."""
    for begin in re.finditer(rb"stream\r?\n", pdf):
        with contextlib.suppress(zlib.error):
            content = zlib.decompressobj().decompress(pdf[begin.end() :])
            if content[:4] == b"\0\1\0\0":
                with TTFont(BytesIO(content)) as font:
                    yield set(font.reader.keys())
