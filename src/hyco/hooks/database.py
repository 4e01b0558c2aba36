"""MLflow's database in the project's folder: made aside and renamed, so that no other process sees a part of it."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from hyco.hooks.empty_database import make_database
from hyco.runtime.locks import FileLock, HeldError

log = logging.getLogger(__name__)

# Seconds that another process may take to make it, as many that start at once share the cores, and between two looks
# whether it is there.
_PATIENCE, _LOOK = 600.0, 1.0
# Seconds that a write waits for those of other runs; SQLite's own 5 are too few for many that start at once.
_BUSY = 60
# Seconds after which a wait is told.
_SILENCE = 5.0


def address(path: Path) -> str:
    """The tracking URI of a database."""
    return f"sqlite:///{path.as_posix()}?timeout={_BUSY}"


class UnwritableDatabaseError(RuntimeError):
    """The database cannot be written: another program holds it, or this user may not."""


def prepare_database(path: Path) -> None:
    """Make the database if there is none, or if it was left broken; that one is set aside. It can be written then.

    MLflow makes a database in many steps, in place: a process that is killed meanwhile leaves one that no later run can
    use, and so do two that start at once.

    Args:
        path: of the file.

    Raises:
        hyco.runtime.locks.HeldError: another process has been making it for ten minutes.
        UnwritableDatabaseError: another one has held it for a minute, or it is read-only.
    """
    _make_once(path)
    for one in (path, path.parent):  # SQLite notes beside it what a write would change
        if not os.access(one, os.W_OK):
            raise UnwritableDatabaseError(f"{one} is read-only for this user")
    _await_turn(path)


def _await_turn(path: Path) -> None:
    """Wait until the database can be written, in short tries: MLflow's own wait hears no signal and says nothing."""
    begin, told = time.monotonic(), False
    while True:
        try:
            with closing(sqlite3.connect(f"file:{path.as_posix()}?mode=rw", uri=True, timeout=0.2)) as database:
                database.execute("begin immediate")
                database.rollback()
            return
        except sqlite3.Error as error:
            if "locked" not in str(error):
                return  # MLflow says what is wrong with it
        waited = time.monotonic() - begin
        if waited > _BUSY:
            raise UnwritableDatabaseError(f"another program has held it for {_BUSY} s")
        if waited > _SILENCE and not told:
            told = True
            log.warning("Another program holds MLflow's database %s: waiting for it, for %d s at most.", path, _BUSY)


def _make_once(path: Path) -> None:
    """Make the database, or let another process do so."""
    lock, deadline = FileLock(path.with_name(f"{path.name}.lock")), time.monotonic() + _PATIENCE
    told = deadline - _PATIENCE + _SILENCE
    while not lock.held:
        if path.exists() and _mistake(path) is None:
            return
        if time.monotonic() > told:
            told = deadline
            log.warning("Another process makes MLflow's database %s: waiting for it.", path)
        try:
            lock.acquire(_LOOK)
        except HeldError:
            if time.monotonic() >= deadline:
                raise
    try:
        if path.exists():
            mistake = _mistake(path)
            if mistake is None:  # another process has made it meanwhile
                return
            aside = path.with_name(f"{path.name}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
            path.replace(aside)
            # What belongs to it would be taken for a part of the new one.
            for suffix in ("-journal", "-wal", "-shm"):
                beside = path.with_name(path.name + suffix)
                if beside.exists():
                    beside.replace(aside.with_name(aside.name + suffix))
            log.warning("MLflow's database %s is broken (%s). It is now %s; a new one is made.", path, mistake, aside)
        _make(path)
    finally:
        lock.release()


def _make(path: Path) -> None:
    part = path.with_name(f"{path.name}.part")
    for left in path.parent.glob(f"{part.name}*"):  # by a killed process
        left.unlink()
    make_database(part, (path.parent / "mlruns").as_uri())
    part.replace(path)


def _mistake(path: Path) -> str | None:
    """Why a database cannot be used; None: it can, or it is one that MLflow itself can bring up to date."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    try:
        # To be written, too: what a killed process has left in its journal has to be taken back.
        with closing(sqlite3.connect(f"file:{path.as_posix()}?mode=rw", uri=True, timeout=2.0)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            if not {"runs", "alembic_version"} <= tables:
                return "it has no tables of runs"
            versions = [version for (version,) in database.execute("select version_num from alembic_version")]
            if database.execute("select count(*) from runs").fetchone()[0]:
                return None  # where it is of an earlier MLflow, that says what to do
            newest = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
            return None if versions == [newest] else "it was left unfinished, and has no runs"
    except sqlite3.OperationalError as error:
        # Locked, or not allowed: it is not broken.
        return None if "malformed" not in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
