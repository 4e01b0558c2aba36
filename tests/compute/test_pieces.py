"""One piece of work: text in, text out, and a file."""

import json
import logging
import sys

import pytest
import torch

from hyco.compute import Piece, PieceError, pieces
from hyco.compute.pieces import MachineError, as_text, file_of, perform, value_of
from hyco.runtime.random_streams import stream_seed

PIECE = Piece("hyco.runtime.random_streams:stream_seed", {"seed": 7}, "a seed")


def done(piece, threads=1, folder=None):
    return value_of(perform(as_text(piece, threads, folder)), piece.label)


def test_a_function_by_name_gets_its_arguments():
    assert done(PIECE) == stream_seed(7)


def test_its_threads_are_those_of_the_piece_and_afterwards_those_that_were(monkeypatch):
    torch.set_num_threads(1)
    seen = []
    monkeypatch.setattr(pieces, "_function", lambda *_: lambda seed: seen.append(torch.get_num_threads()))
    done(PIECE, threads=2)
    assert seen == [2]
    assert torch.get_num_threads() == 1


def test_a_result_is_kept_and_taken_again_unless_it_is_damaged(tmp_path, caplog):
    path = file_of(PIECE, tmp_path)
    assert done(PIECE, folder=tmp_path) == stream_seed(7)
    assert json.loads(path.read_text())["value"] == stream_seed(7)
    path.write_bytes(pieces.serialised_json({"value": 3}))
    assert done(PIECE, folder=tmp_path) == 3
    path.write_text(path.read_text()[:-9])
    with caplog.at_level(logging.WARNING):
        assert done(PIECE, folder=tmp_path) == stream_seed(7)
    assert f"{path} cannot be read" in caplog.text
    assert "it is done anew" in caplog.text
    # Another argument is another piece, and so is another function.
    others = [Piece(PIECE.function, {"seed": 8}, ""), Piece("hyco.metrics:f", {"seed": 7}, "")]
    assert len({file_of(piece, tmp_path) for piece in (PIECE, *others)}) == 3


def test_a_result_of_other_code_is_not_taken(tmp_path, monkeypatch):
    assert done(PIECE, folder=tmp_path) == stream_seed(7)
    here = file_of(PIECE, tmp_path)
    monkeypatch.setattr(pieces, "code", lambda: "of another version")
    assert file_of(PIECE, tmp_path) != here
    monkeypatch.undo()
    monkeypatch.setattr(pieces, "sources", lambda: {"my_equation": "of another state"})
    assert file_of(PIECE, tmp_path) != here


def test_a_worker_that_has_imported_other_files_refuses(monkeypatch):
    monkeypatch.setattr(pieces, "_SEEN", {})
    monkeypatch.setattr(pieces, "sources", lambda: {"my_equation": "before"})
    assert done(PIECE) == stream_seed(7)
    monkeypatch.setattr(pieces, "sources", lambda: {"my_equation": "after"})
    with pytest.raises(PieceError, match="my_equation has changed since a worker imported it: start the workers again"):
        done(PIECE)
    text = json.dumps({**json.loads(as_text(PIECE, 1, None)), "code": "of another version"})
    with pytest.raises(PieceError, match="a worker has other files of hyco"):
        value_of(perform(text), "a seed")


def test_what_another_process_warns_of_is_said_by_the_run(monkeypatch, caplog):
    def warn(seed):
        logging.getLogger("hyco.training").info("epoch %d", 1)
        logging.getLogger("hyco.training").warning("seed %d is unlucky", seed)
        return seed

    monkeypatch.setattr(pieces, "_function", lambda *_: warn)
    text = perform(as_text(PIECE, 1, None, elsewhere=True))
    caplog.clear()  # it was said here as well
    assert value_of(text, "a seed") == 7
    assert caplog.messages == ["a seed: seed 7 is unlucky"]
    caplog.clear()
    assert done(PIECE) == 7  # of this process, where it is said once
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == ["seed 7 is unlucky"]


def test_only_functions_of_a_module_itself_are_called():
    with pytest.raises(ValueError, match="is defined elsewhere"):
        done(Piece("hyco.compute.pieces:import_module", {"name": "os"}, "an import"))


def test_a_result_that_cannot_be_kept_is_sent_all_the_same(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    assert done(PIECE, folder=tmp_path / "file" / "folder") == stream_seed(7)
    assert "not kept for a later run" in caplog.text


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("too fast"), ValueError, "^too fast$"),
        (FloatingPointError("not finite"), FloatingPointError, "^not finite$"),
        (KeyError("u"), PieceError, "^a seed: KeyError: 'u'$"),
        (OSError("no space"), MachineError, "^OSError: no space$"),
        (MemoryError("64 GB"), MachineError, "^MemoryError: 64 GB$"),
    ],
)
def test_errors_come_back_as_text(error, kind, text, monkeypatch, tmp_path):
    def fail(seed):
        raise error

    monkeypatch.setattr(pieces, "_function", lambda *_: fail)
    with pytest.raises(kind, match=text):
        done(PIECE, folder=tmp_path)
    assert not list(tmp_path.rglob("*.json"))  # what failed is no result


def test_only_functions_of_this_package_are_called():
    with pytest.raises(ValueError, match="os:getcwd is no function of this package"):
        done(Piece("os:getcwd", {}, ""))


def test_workers_find_the_files_of_the_project(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    text = as_text(PIECE, 1, None)
    monkeypatch.undo()
    assert str(tmp_path) not in sys.path
    monkeypatch.setattr(sys, "path", list(sys.path))
    perform(text)
    assert str(tmp_path) in sys.path
    assert not any(folder.startswith(sys.prefix) for folder in json.loads(text)["path"])


def test_folders_of_installed_packages_are_nobodys_own_wherever_they_are(monkeypatch, tmp_path):
    theirs = [str(tmp_path / "python3" / name) for name in ("site-packages", "dist-packages")]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "project"), *theirs])
    assert pieces._own_path() == [str(tmp_path / "project")]
