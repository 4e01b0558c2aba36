"""An empty database of MLflow, which takes it a second to make: a copy is kept in the user's cache."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from hyco.runtime.cache import DamagedCacheError, cache_folder, keep, read_kept

log = logging.getLogger(__name__)


def make_database(path: Path, artifacts: str) -> None:
    """Make a database without runs where there is none.

    MLflow makes its tables in some hundred steps. The first time they are kept; later databases of the same version of
    MLflow begin as a copy of them.

    Args:
        path: of the file.
        artifacts: where files of runs go, as an address.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    kept = _kept()
    copied = kept is not None and _copied(kept, path)
    make: Any = SqlAlchemyStore
    store = make(f"sqlite:///{path.as_posix()}", artifacts)  # adds what it misses
    store.engine.dispose()
    if kept is not None and not copied:
        _keep(path, kept)


def _kept() -> Path | None:
    """The copy for this version of MLflow; None: there is no cache."""
    from mlflow.store.db.utils import _get_latest_schema_revision
    from mlflow.version import VERSION

    revision = _get_latest_schema_revision()  # type: ignore[no-untyped-call]
    try:
        return cache_folder("mlflow") / f"{VERSION}-{revision}.db"
    except RuntimeError:
        return None


def _copied(kept: Path, path: Path) -> bool:
    """Copy the tables that were kept, if they are there and what was kept."""
    try:
        path.write_bytes(read_kept(kept))
    except FileNotFoundError:
        return False
    except (OSError, DamagedCacheError) as error:
        log.info("%s is not used (%s): MLflow's tables are made anew.", kept, error)
        path.unlink(missing_ok=True)
        return False
    return True


def _keep(path: Path, kept: Path) -> None:
    """Keep the tables of a new database, without the one experiment that MLflow has put in: it has a place."""
    try:
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            copy = Path(folder) / kept.name
            shutil.copyfile(path, copy)
            with closing(sqlite3.connect(copy)) as database, database:
                database.execute("delete from experiment_tags")
                database.execute("delete from experiments")
            copy.chmod(0o600)
            keep(copy, kept)
    except (OSError, sqlite3.Error) as error:
        log.info("MLflow's empty database is not kept for later runs (%s).", error)
