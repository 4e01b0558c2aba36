"""Functions of programs that are no part of the package."""

import json
import logging
import math
import sys

import pytest

from hyco.compute.pieces import as_text, perform, value_of
from hyco.compute.scripts import call, scripted

PROGRAM = "import logging\n\ndef twice(x):\n    return {'x': 2 * x, 'level': logging.root.manager.disable}\n"


@pytest.fixture
def twice(tmp_path, monkeypatch):
    (tmp_path / "own_program.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(tmp_path)
    import own_program

    yield own_program.twice
    del sys.modules["own_program"]


def done(piece):
    return json.loads(value_of(perform(as_text(piece, 1, None)), piece.label))


def test_a_function_of_a_file_is_called_as_silent_as_its_sender_and_may_return_infinities(twice):
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    piece = scripted(twice, [math.inf], "twice")
    logging.disable(before)
    assert done(piece) == {"x": math.inf, "level": logging.WARNING}
    assert logging.root.manager.disable == before


def test_a_file_that_has_changed_is_refused(twice, tmp_path):
    piece = scripted(twice, [1], "twice")
    (tmp_path / "own_program.py").write_text(PROGRAM + "# another\n")
    with pytest.raises(ValueError, match=r"own_program.py is not what the sender has"):
        call(**piece.arguments)
