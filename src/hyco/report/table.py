"""The report as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def table(report: Mapping[str, Any]) -> pd.DataFrame:
    """The report as a table, one row per method and parameter."""
    import pandas as pd  # it takes half a second

    rows = []
    for method, entry in report["methods"].items():
        row = {
            "experiment": report["experiment"],
            "seed": report["seed"],
            "method": method,
            "nrmse_mean": entry["nrmse"]["mean"],
            "nrmse_last": entry["nrmse"]["per_step"][-1],
            "training_seconds": entry.get("training_seconds"),
        }
        parameters = entry.get("parameters") or {None: {}}
        for name, p in parameters.items():
            rows.append(
                row
                | {"parameter": name}
                | {k: p.get(k) for k in ("true", "estimate", "std", "relative_error", "identifiable", "separable")}
            )
    return pd.DataFrame(rows)
