import time

import pytest

from hyco.datasets.figure import PDFS, FigureDataset
from hyco.plots.style import figure_of_words, new_figure
from hyco.runtime.storage import write_atomically


def test_a_figure_is_a_png_and_a_pdf_of_vectors_and_comes_back_as_png(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    assert dataset.load() is None
    figure = new_figure(2, 1)
    figure.subplots().plot([0, 1])
    dataset.save(figure)
    assert dataset.load().startswith(b"\x89PNG")
    PDFS.finish()
    pdf = (tmp_path / "figure.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/Subtype /Image" not in pdf
    assert b"CreationDate" not in pdf
    assert dataset.preview()


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
    PDFS.finish()
    assert not list(tmp_path.iterdir())


def test_a_pdf_that_cannot_be_written_is_an_error_in_the_end(tmp_path):
    dataset = FigureDataset(str(tmp_path / "figure.png"), dpi=50)
    (tmp_path / "figure.pdf").mkdir()

    def write():
        dataset.save(new_figure(2, 1))
        PDFS.finish()

    with pytest.raises(OSError, match=r"figure\.pdf"):
        write()
    PDFS.finish()
