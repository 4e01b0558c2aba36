"""Statistics of a comparison over its seeds, and tables of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hyco.comparison.config import results
from hyco.runtime.random_streams import stream_seed
from hyco.training.checkpoints import OBSERVATIONS

if TYPE_CHECKING:
    import pandas as pd

Record = dict[str, Any]

# Stands for an error that is not finite where quantiles are taken: between a number and infinity there is none.
_LARGEST = 1e300
_HYBRIDS = ("sequence", "hybrid", "hybrid_auto")


def summarise(
    runs: Sequence[Record], trainings: Mapping[str, Any], *, draws: int, confidence: float, seed: int
) -> dict[str, Any]:
    """Statistics of every method over the seeds, and ratios of hybrids to what they are compared with.

    Args:
        runs: the records.
        trainings: by name, each with its `method`.
        draws, confidence, seed: of the bootstrap, see `ratio`.

    Returns:
        `methods` {method: {runs, failed, nrmse, nrmse_all, training_seconds, wall_seconds, parameters {name:
        {relative_error, covered, intervals}}}}, each quantity as `statistics` has it, and `ratios`, a list.
    """
    by_method: dict[str, list[Record]] = {}
    for record in runs:
        by_method.setdefault(record["method"], []).append(record)
    methods = {method: _of_method(records) for method, records in by_method.items()}
    ratios: list[dict[str, Any]] = []
    for method, against in _pairs(trainings):
        if method in by_method and against in by_method:
            ratios += _ratios(by_method[method], by_method[against], draws=draws, confidence=confidence, seed=seed)
    return {"methods": methods, "ratios": ratios}


def over_time(comparison: Mapping[str, Any]) -> dict[str, tuple[list[float], list[float], list[float]]]:
    """For each method lower quartile, median and upper quartile over the seeds of the error of every step.

    Empty for measurements, whose times differ from part to part, and for static problems, which have no time. A value
    that is missing or not finite counts as the largest.
    """
    if OBSERVATIONS in comparison.get("configuration", {}):
        return {}
    found: dict[str, list[list[float]]] = {}
    for record in comparison["runs"]:
        if len(record["per_step"]) > 1:
            errors = [_LARGEST if value is None else float(value) for value in record["per_step"]]
            found.setdefault(record["method"], []).append(errors)
    bands = {}
    for method, seeds in found.items():
        quartiles = np.quantile(np.array(seeds), (0.25, 0.5, 0.75), axis=0)
        low, middle, high = np.where(quartiles < _LARGEST / 1e3, quartiles, np.inf).tolist()
        bands[method] = (low, middle, high)
    return bands


def statistics(values: Mapping[int, float | None]) -> dict[str, Any] | None:
    """Median, quartiles and worst (largest) of values by seed, those that are missing left out; None without any."""
    present = {seed: value for seed, value in values.items() if value is not None}
    if not present:
        return None
    lower, median, upper = (float(q) for q in np.quantile(list(present.values()), (0.25, 0.5, 0.75)))
    worst = max(present, key=lambda seed: present[seed])
    return {
        "median": median,
        "lower_quartile": lower,
        "upper_quartile": upper,
        "worst": present[worst],
        "worst_seed": worst,
        "count": len(present),
    }


def ratio(pairs: Sequence[tuple[float, float]], *, draws: int, confidence: float, seed: int) -> dict[str, Any]:
    """Geometric mean of ratios a/b over paired seeds, with a bootstrap interval (percentiles) of that mean.

    Args:
        pairs: positive numbers (a, b), one pair per seed.
        draws: resamples of the pairs.
        confidence: of the interval; `low` and `high` are None for fewer than two pairs.
        seed: of the resampling.
    """
    logs = np.log([a / b for a, b in pairs])
    entry: dict[str, Any] = {"geometric_mean": float(np.exp(logs.mean())), "low": None, "high": None}
    if len(logs) > 1:
        generator = np.random.default_rng(stream_seed(seed, "bootstrap"))
        means = logs[generator.integers(len(logs), size=(draws, len(logs)))].mean(axis=1)
        low, high = np.quantile(means, ((1 - confidence) / 2, (1 + confidence) / 2))
        entry |= {"low": float(np.exp(low)), "high": float(np.exp(high))}
    return entry


def table(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """One row per run and parameter."""
    import pandas as pd  # it takes half a second

    rows = []
    for record in comparison["runs"]:
        row = {"experiment": comparison["experiment"]} | {
            key: record[key]
            for key in (
                "method",
                "training",
                "seed",
                "status",
                "reason",
                "nrmse",
                "nrmse_all",
                "training_seconds",
                "wall_seconds",
            )
        }
        for name, p in (record["parameters"] or {None: {}}).items():
            kept = ("true", "estimate", "std", "relative_error", "pull", "identifiable")
            rows.append(row | {"parameter": name} | {key: p.get(key) for key in kept})
    return pd.DataFrame(rows)


class Part(NamedTuple):
    """A part of the page: a heading, words and a table."""

    heading: str
    words: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def introduction(comparison: Mapping[str, Any]) -> str:
    """Which seeds there are, and how to read the tables."""
    measured = OBSERVATIONS in comparison.get("configuration", {})
    drawn = "weights and batches anew; the data were measured" if measured else "data, weights and batches anew"
    return (
        f"Seeds: {', '.join(map(str, comparison['seeds']))}. Each draws {drawn}; all methods have the same data. IQR: "
        "from the lower to the upper quartile. Worst: of the seed in parentheses. Failed runs do not count."
    )


def parts_of(comparison: Mapping[str, Any]) -> Iterator[Part]:
    """The summary as tables."""
    summary, measured = comparison["summary"], OBSERVATIONS in comparison.get("configuration", {})
    yield _part(
        "Rollouts",
        ("method", "runs", "failed", "nrmse: median", "IQR", "worst", "all simulations: median", "training s"),
        (
            (
                method,
                entry["runs"],
                entry["failed"],
                *_three(entry["nrmse"]),
                _median(entry["nrmse_all"]),
                _median(entry["training_seconds"], ".1f"),
            )
            for method, entry in summary["methods"].items()
        ),
    )
    learnt = [(m, name, p) for m, entry in summary["methods"].items() for name, p in entry["parameters"].items()]
    if learnt and measured:
        header: tuple[str, ...] = ("method", "parameter", "estimate: median", "IQR", "std: median")
        rows = ((m, name, *_three(p["estimate"])[:2], _median(p["std"])) for m, name, p in learnt)
        yield _part("Parameters", header, rows)
    elif learnt:
        header = ("method", "parameter", "relative error: median", "IQR", "worst", "95 % intervals with the truth")
        errors = (
            (m, name, *_three(p["relative_error"], ".2%"), _share(p["covered"], p["intervals"]))
            for m, name, p in learnt
        )
        yield _part("Parameters", header, errors)
    if summary["ratios"]:
        yield _part(
            "Hybrids against the models alone",
            ("method", "against", "quantity", "ratio", "interval", "pairs", "worst", "shift: median", "worst"),
            map(_ratio_row, summary["ratios"]),
            "Geometric mean of the ratios over paired seeds, below 1 where the first is better, with its bootstrap "
            "interval. Shift: between the two estimates, in standard deviations of the second.",
        )
    failed = [(r["method"], r["seed"], r["reason"]) for r in comparison["runs"] if r["status"] != "finished"]
    if failed:
        yield _part("Failed", ("method", "seed", "reason"), failed)


def markdown(comparison: Mapping[str, Any]) -> str:
    """The summary as a page."""
    parts = [f"# {comparison['experiment']}: methods compared", introduction(comparison)]
    for part in parts_of(comparison):
        parts += [f"## {part.heading}\n", *([f"{part.words}\n"] if part.words else []), _rows(part.header, part.rows)]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _part(heading: str, header: tuple[str, ...], rows: Iterable[Sequence[Any]], words: str = "") -> Part:
    return Part(heading, words, header, [tuple(str(cell) for cell in row) for row in rows])


def _pairs(trainings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Which methods are compared: hybrids with the same model alone, and with other ways to both."""
    for name, training in trainings.items():
        if training["method"] not in _HYBRIDS:
            continue
        for method, part in results(name, training["method"]).items():
            for other, opponent in trainings.items():
                other_way = opponent["method"] in ("sequence", "pinn") and training["method"] != "sequence"
                if opponent["method"] == part or other_way:
                    yield method, next(m for m, p in results(other, opponent["method"]).items() if p == part)


def _of_method(records: Sequence[Record]) -> dict[str, Any]:
    """The statistics of one method."""
    finished = [record for record in records if record["status"] == "finished"]
    names = dict.fromkeys(name for record in finished for name in record["parameters"])
    quantities = ("nrmse", "nrmse_all", "training_seconds", "wall_seconds")
    return {
        "runs": len(records),
        "failed": len(records) - len(finished),
        **{quantity: statistics({r["seed"]: r[quantity] for r in finished}) for quantity in quantities},
        "parameters": {name: _of_parameter(name, finished) for name in names},
    }


def _of_parameter(name: str, records: Sequence[Record]) -> dict[str, Any]:
    """Errors of one parameter, and how many of its intervals hold the truth."""
    estimates = {r["seed"]: r["parameters"][name] for r in records if name in r["parameters"]}
    with_truth = [p for p in estimates.values() if p["true"] is not None and p["interval"] is not None]
    return {
        "estimate": statistics({seed: p["estimate"] for seed, p in estimates.items()}),
        "std": statistics({seed: p["std"] for seed, p in estimates.items()}),
        "relative_error": statistics({seed: p["relative_error"] for seed, p in estimates.items()}),
        "covered": sum(p["interval"][0] <= p["true"] <= p["interval"][1] for p in with_truth),
        "intervals": len(with_truth),
    }


def _ratios(first: Sequence[Record], second: Sequence[Record], **bootstrap: Any) -> Iterator[dict[str, Any]]:
    """Ratios of nrmse and of each parameter's relative error over the seeds that both methods have."""
    ours = {r["seed"]: r for r in first if r["status"] == "finished"}
    theirs = {r["seed"]: r for r in second if r["status"] == "finished"}
    asked = sorted({r["seed"] for r in first} & {r["seed"] for r in second})
    paired = [seed for seed in asked if seed in ours and seed in theirs]
    names = {"method": first[0]["method"], "against": second[0]["method"]}
    yield names | _ratio("nrmse", {s: (ours[s]["nrmse"], theirs[s]["nrmse"]) for s in paired}, asked, **bootstrap)
    for name in dict.fromkeys(n for s in paired for n in ours[s]["parameters"]):
        both = [s for s in paired if name in ours[s]["parameters"] and name in theirs[s]["parameters"]]
        a, b = ({s: runs[s]["parameters"][name] for s in both} for runs in (ours, theirs))
        errors = {s: (a[s]["relative_error"], b[s]["relative_error"]) for s in both}
        shifts = {
            s: abs(a[s]["estimate"] - b[s]["estimate"]) / b[s]["std"]
            for s in both
            if None not in (a[s]["estimate"], b[s]["estimate"]) and b[s]["std"]
        }
        yield names | _ratio(f"relative error of {name}", errors, asked, **bootstrap) | {"shift": statistics(shifts)}


def _ratio(
    quantity: str, pairs: Mapping[int, tuple[float | None, float | None]], asked: Sequence[int], **bootstrap: Any
) -> dict[str, Any]:
    """One ratio; seeds for which it does not exist (a run failed, a value is missing or zero) are named."""
    usable = {seed: (a, b) for seed, (a, b) in pairs.items() if a and b}
    entry: dict[str, Any] = {"quantity": quantity, "pairs": len(usable)}
    entry["left_out"] = [seed for seed in asked if seed not in usable]
    if not usable:
        return entry | {"geometric_mean": None, "low": None, "high": None, "worst": None, "worst_seed": None}
    each = {seed: a / b for seed, (a, b) in usable.items()}
    worst = max(each, key=lambda seed: each[seed])
    return entry | ratio(list(usable.values()), **bootstrap) | {"worst": each[worst], "worst_seed": worst}


def _ratio_row(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    shift = entry.get("shift")
    return (
        entry["method"],
        entry["against"],
        entry["quantity"],
        _number(entry["geometric_mean"]),
        _range(entry["low"], entry["high"]),
        entry["pairs"],
        _worst(entry),
        _median(shift),
        _worst(shift),
    )


def _rows(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _three(entry: Mapping[str, Any] | None, how: str = ".4g") -> tuple[str, str, str]:
    """Median, interquartile range and worst."""
    if entry is None:
        return "", "", ""
    return _median(entry, how), _range(entry["lower_quartile"], entry["upper_quartile"], how), _worst(entry, how)


def _median(entry: Mapping[str, Any] | None, how: str = ".4g") -> str:
    return "" if entry is None else _number(entry["median"], how)


def _worst(entry: Mapping[str, Any] | None, how: str = ".4g") -> str:
    return "" if entry is None or entry["worst"] is None else f"{entry['worst']:{how}} ({entry['worst_seed']})"


def _range(low: float | None, high: float | None, how: str = ".4g") -> str:
    return "" if low is None or high is None else f"{low:{how}} to {high:{how}}"


def _number(value: float | None, how: str = ".4g") -> str:
    return "" if value is None else f"{value:{how}}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole else ""
