"""What a report was made with: versions, the state of the project, and a digest of the data."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

# Packages that results depend on.
_PACKAGES = ("torch", "numpy", "scipy", "phiflow", "phiml", "pydantic", "kedro", "mlflow", "safetensors")


def git_state(project: Path) -> dict[str, str]:
    """The commit of the project, and whether the files differ from it; nothing where git does not know."""

    def git(*arguments: str) -> str:
        done = subprocess.run(("git", *arguments), cwd=project, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": str(bool(git("status", "--porcelain"))).lower()}
    except (OSError, subprocess.CalledProcessError):
        return {}


def provenance(project: Path, data: str | None) -> dict[str, Any]:
    """JSON values for the file beside a report.

    Args:
        project: its folder.
        data: the digest of the observations; None: the run had none.
    """
    from hyco import __version__

    versions = {name: metadata.version(name) for name in _PACKAGES}
    machine = {"python": platform.python_version(), "platform": platform.platform(), "processor": platform.machine()}
    return {"hyco": __version__, **machine, "packages": versions, **git_state(project), "observations": data}
