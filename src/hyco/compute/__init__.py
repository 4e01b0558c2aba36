"""Many independent pieces of work: in this process, in processes of this machine, or on a Dask cluster.

`config.py` says where, `pieces.py` what a piece is and how it is done, `engines.py` opens an engine, which is a
`concurrent.futures.Executor`, and `work.py` sends pieces through it. A piece is text, and so is its result: a
function of this package by name, its arguments as JSON, and files for what is large. Nothing else travels.
"""

from hyco.compute.config import ComputeConfig, SecurityConfig
from hyco.compute.engines import ComputeError, Engine, open_engine
from hyco.compute.pieces import Piece, PieceError
from hyco.compute.work import Lost, outcomes

__all__ = [
    "ComputeConfig",
    "ComputeError",
    "Engine",
    "Lost",
    "Piece",
    "PieceError",
    "SecurityConfig",
    "open_engine",
    "outcomes",
]
