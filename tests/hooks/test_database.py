"""MLflow's database: never in parts, and one that was left broken stands in nobody's way."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from hyco.hooks import database
from hyco.hooks.database import prepare_database
from hyco.runtime.locks import FileLock


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Instead of MLflow, which takes seconds, something makes an empty database of the newest version."""
    paths: list[Path] = []

    def make(path: Path) -> None:
        paths.append(path)
        write(path, version="newest")

    monkeypatch.setattr(database, "_make", make)
    monkeypatch.setattr("mlflow.store.db.utils._get_latest_schema_revision", lambda: "newest")
    return paths


def write(path: Path, version: str | None, runs: int = 0, tables: bool = True) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        if tables:
            connection.execute("create table runs (run_uuid text)")
        connection.execute("create table alembic_version (version_num text)")
        if version is not None:
            connection.execute("insert into alembic_version values (?)", (version,))
        for i in range(runs):
            connection.execute("insert into runs values (?)", (str(i),))


def test_there_is_one_afterwards_and_it_is_made_once(made, tmp_path):
    path = tmp_path / "mlflow.db"
    for _ in range(2):
        prepare_database(path)
    assert made == [path]
    assert [p.name for p in tmp_path.iterdir()] == ["mlflow.db"]


def test_who_waits_for_another_process_goes_on_as_soon_as_it_is_there(made, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_LOOK", 0.01)
    path, other = tmp_path / "mlflow.db", FileLock(tmp_path / "mlflow.db.lock")
    other.acquire()
    waiting = threading.Thread(target=prepare_database, args=(path,))
    waiting.start()
    write(tmp_path / "made", version="newest")
    (tmp_path / "made").replace(path)
    waiting.join(20)
    assert not waiting.is_alive()  # though the lock is held still
    other.release()
    assert made == []


@pytest.mark.parametrize(
    "broken",
    [
        lambda path: write(path, version="half way"),
        lambda path: write(path, version=None),
        lambda path: write(path, version="newest", tables=False),
        lambda path: path.write_bytes(b"SQLite format 3\0 and then nothing that is one" * 100),
        lambda path: path.write_bytes(b""),
    ],
    ids=["half way", "no version", "no tables", "damaged", "empty"],
)
def test_a_broken_one_is_set_aside(made, tmp_path, caplog, broken):
    path = tmp_path / "mlflow.db"
    broken(path)
    (tmp_path / "mlflow.db-journal").write_bytes(b"of the broken one")
    content = path.read_bytes()
    prepare_database(path)
    assert made == [path]
    assert "MLflow's database" in caplog.text
    aside = [p for p in tmp_path.iterdir() if "broken" in p.name]
    assert content in [p.read_bytes() for p in aside]
    assert not (tmp_path / "mlflow.db-journal").exists()


def test_one_of_an_earlier_mlflow_with_runs_is_left_to_mlflow(made, tmp_path):
    path = tmp_path / "mlflow.db"
    write(path, version="earlier", runs=2)
    prepare_database(path)
    assert made == []


def test_a_locked_one_is_not_broken_but_waited_for_which_is_told(made, tmp_path, monkeypatch, caplog):
    path = tmp_path / "mlflow.db"
    write(path, version="newest", runs=1)
    connect = sqlite3.connect
    monkeypatch.setattr(database.sqlite3, "connect", lambda *of, **options: connect(*of, **{**options, "timeout": 0.1}))
    monkeypatch.setattr(database, "_SILENCE", 0.0)
    monkeypatch.setattr(database, "_BUSY", 0.3)
    with closing(connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(database.UnwritableDatabaseError, match=r"another program has held it for 0\.3 s"):
            prepare_database(path)
        assert caplog.text.count("holds MLflow's database") == 1
        monkeypatch.setattr(database, "_BUSY", 60)
        waiting = threading.Thread(target=prepare_database, args=(path,))
        waiting.start()
        other.execute("rollback")
        waiting.join(20)
    assert not waiting.is_alive()
    assert made == []


def test_one_that_may_not_be_written_is_told(made, tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    write(path, version="newest", runs=1)
    monkeypatch.setattr("os.access", lambda folder, _: Path(folder) != path)
    with pytest.raises(database.UnwritableDatabaseError, match=r"mlflow\.db is read-only for this user"):
        prepare_database(path)
