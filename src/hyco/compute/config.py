"""Where pieces of work are done: the `compute` section."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

_ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):\d{1,5}")


class SecurityConfig(BaseModel):
    """The files with which a client proves to a Dask scheduler who it is, and the scheduler to it (PEM)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca: str = Field(min_length=1, description="certificate of the authority that has signed those of the cluster")
    certificate: str = Field(min_length=1, description="certificate of this client")
    key: str = Field(min_length=1, description="private key of that certificate")


class ComputeConfig(BaseModel):
    """Keys of the `compute` section. No result depends on `workers`, `scheduler` and `on_disk`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workers: PositiveInt = Field(
        default=1, strict=True, description="processes of this machine that work side by side; 1: the run itself"
    )
    threads: PositiveInt = Field(
        default=1,
        strict=True,
        description="CPU threads of torch for each piece, wherever it is done, but those of a physical training, which "
        "has `threads`; last digits may depend on it",
    )
    tries: PositiveInt = Field(
        default=3, strict=True, description="how often a piece is begun whose process dies, or whose machine fails"
    )
    scheduler: str | None = Field(
        default=None,
        min_length=1,
        description="a Dask cluster instead: `tcp://host:port`, `tls://host:port`, or the path of its scheduler file",
    )
    security: SecurityConfig | None = Field(
        default=None, description="files of TLS, for a scheduler at `tls://`; null: an open one"
    )

    on_disk: bool = Field(
        default=False,
        strict=True,
        description="trajectories and observations stay in their files, for data larger than memory: a network reads "
        "its windows from there",
    )

    @property
    def is_elsewhere(self) -> bool:
        """Whether work is done outside of the run's own process."""
        return self.workers > 1 or self.scheduler is not None

    @property
    def is_address(self) -> bool:
        """Whether the scheduler is named by its address; else by its file."""
        return self.scheduler is not None and _ADDRESS.fullmatch(self.scheduler) is not None

    @model_validator(mode="after")
    def _one_place(self) -> ComputeConfig:
        if self.scheduler is None:
            if self.security is not None:
                raise ValueError(
                    "security is of a scheduler, and there is none: name compute.scheduler, or leave it out"
                )
            return self
        if self.workers != 1:
            raise ValueError(
                f"workers: {self.workers} are processes of this machine, and scheduler: {self.scheduler} has its own "
                "workers: leave one of them out"
            )
        if "://" in self.scheduler and not self.is_address:
            raise ValueError(
                f"scheduler: {self.scheduler!r} is no address; allowed: tcp://host:port, tls://host:port, or the path "
                "of a scheduler file"
            )
        if self.is_address and self.scheduler.startswith("tls:") != (self.security is not None):
            raise ValueError(
                f"scheduler: {self.scheduler} and security do not fit: tls:// needs compute.security with ca, "
                "certificate and key, tcp:// has none"
            )
        return self
