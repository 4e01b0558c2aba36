"""The engine that the `compute` section describes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

from hyco.compute.config import ComputeConfig
from hyco.compute.errors import ComputeError
from hyco.compute.in_process import InProcess
from hyco.compute.processes import Processes

__all__ = ["ComputeError", "Engine", "open_engine"]

# How many pieces a cluster is given ahead: as many as it may have workers, and no more than its scheduler bears well.
_AHEAD = 1000


@dataclass(frozen=True)
class Engine:
    """Who works, and how.

    Attributes:
        executor: takes pieces.
        ahead: how many pieces it is given before the first is done.
        threads, tries: of the configuration.
        gone: what to say where a piece was cancelled that nobody has cancelled.
        elsewhere: whether other processes work.
    """

    executor: Executor
    ahead: int
    threads: int
    tries: int
    gone: str = "the work was cancelled"
    elsewhere: bool = False


@contextmanager
def open_engine(config: ComputeConfig) -> Iterator[Engine]:
    """Open the engine; in the end, and on an error, what is still being done in it is ended.

    Raises:
        ComputeError: there is none as the configuration says.
    """
    if config.scheduler is not None:
        from hyco.compute.dask_cluster import DaskCluster  # an optional package, and slow to import

        cluster = DaskCluster(config)
        executor: Executor = cluster
        engine = Engine(cluster, _AHEAD, config.threads, config.tries, cluster.gone, elsewhere=True)
    elif config.workers == 1:
        executor = InProcess()
        engine = Engine(executor, 1, config.threads, config.tries)
    else:
        executor = Processes(config.workers)
        engine = Engine(executor, 2 * config.workers, config.threads, config.tries, elsewhere=True)
    try:
        yield engine
    finally:
        executor.shutdown(cancel_futures=True)
