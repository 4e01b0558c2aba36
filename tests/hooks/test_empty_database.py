"""A copy of MLflow's empty database is the database that MLflow would make."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hyco.hooks.empty_database import make_database


class Store:
    """Makes tables where there are none, and the one experiment, as MLflow's does in a second."""

    made = 0

    def __init__(self, address: str, artifacts: str) -> None:
        self.engine = self
        with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as database, database:
            if not database.execute("select * from sqlite_master").fetchall():
                Store.made += 1
                database.execute("create table alembic_version (version_num text)")
                database.execute("create table experiments (name text, artifact_location text)")
                database.execute("create table experiment_tags (key text)")
            database.execute("insert into experiments values ('Default', ?)", (f"{artifacts}/0",))

    def dispose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hyco" / "mlflow"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of our own instead of MLflow's."""
    monkeypatch.setattr(Store, "made", 0)
    monkeypatch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", Store)


def content(path: Path) -> tuple[list[str], list[tuple[str, str]], list[tuple[str]]]:
    """Tables as they were made, experiments with their places, and the version."""
    with closing(sqlite3.connect(path)) as database:
        return (
            sorted(sql for (sql,) in database.execute("select sql from sqlite_master where sql is not null")),
            database.execute("select name, artifact_location from experiments").fetchall(),
            database.execute("select version_num from alembic_version").fetchall(),
        )


@pytest.mark.slow
def test_a_copy_is_what_mlflow_makes_with_a_place_of_its_own(kept, tmp_path, monkeypatch):
    make_database(tmp_path / "first.db", "file:///here/mlruns")
    (copy,) = kept.glob("*.db")
    assert content(copy)[1] == []
    monkeypatch.setattr("mlflow.store.db.utils._initialize_tables", lambda engine: pytest.fail("made anew"))
    make_database(tmp_path / "second.db", "file:///there/mlruns")
    (tables, _, version), (copied, experiments, same) = content(tmp_path / "first.db"), content(tmp_path / "second.db")
    assert (copied, same) == (tables, version)
    assert experiments == [("Default", "file:///there/mlruns/0")]


@pytest.mark.parametrize("kind", ["a bit", "cut off", "empty", "other version", "unknown", "of others"])
def test_a_copy_that_cannot_be_trusted_is_made_anew(store, kind, kept, tmp_path):
    make_database(tmp_path / "first.db", "file:///here/mlruns")
    (copy,) = kept.glob("*.db")
    if kind == "of others":
        copy.chmod(0o666)
    elif kind == "unknown":
        copy.with_suffix(".sha256").unlink()
    elif kind == "other version":
        with closing(sqlite3.connect(copy)) as database, database:
            database.execute("insert into alembic_version values ('another')")
    else:
        whole = copy.read_bytes()
        bit = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
        copy.write_bytes({"a bit": bit, "cut off": whole[:5000], "empty": b""}[kind])
    make_database(tmp_path / "second.db", "file:///here/mlruns")
    assert content(tmp_path / "second.db") == content(tmp_path / "first.db")
    assert Store.made == 2
    make_database(tmp_path / "third.db", "file:///here/mlruns")
    assert content(tmp_path / "third.db") == content(tmp_path / "first.db")
    assert Store.made == 2, "it was kept anew"
    assert copy.stat().st_mode & 0o022 == 0


def test_without_a_folder_for_it_nothing_is_kept(store, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_database(tmp_path / "first.db", "file:///here/mlruns")
    assert content(tmp_path / "first.db")[1] == [("Default", "file:///here/mlruns/0")]
