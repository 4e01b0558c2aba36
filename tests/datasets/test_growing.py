import json

import pytest

from hyco.datasets.growing import GrowingJSONDataset


def test_the_last_state_is_what_is_loaded(tmp_path):
    dataset = GrowingJSONDataset(str(tmp_path / "new" / "file.json"))
    for count in (1, 2):
        dataset.save({"runs": list(range(count)), "name": "é"})
    assert dataset.load() == {"runs": [0, 1], "name": "é"}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.json"]


def test_a_missing_file_is_none_where_there_may_be_none_else_an_error(tmp_path):
    path = str(tmp_path / "none.json")
    assert GrowingJSONDataset(path, must_exist=False).load() is None
    with pytest.raises(Exception, match=r"none\.json"):
        GrowingJSONDataset(path).load()
    assert not GrowingJSONDataset(path).exists()


def test_what_json_does_not_know_is_refused_and_the_old_file_stays(tmp_path):
    dataset = GrowingJSONDataset(str(tmp_path / "file.json"))
    dataset.save({"a": 1})
    with pytest.raises(Exception, match="JSON compliant"):
        dataset.save({"a": float("nan")})
    assert dataset.load() == {"a": 1}


def test_the_preview_shows_some_keys(tmp_path):
    dataset = GrowingJSONDataset(str(tmp_path / "file.json"), preview=["a"])
    assert dataset.preview() == ""
    dataset.save({"a": 1, "b": 2})
    assert json.loads(dataset.preview()) == {"a": 1}
