"""The physical model's result: coefficients with error bars, what the data determine, and how it came about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from hyco.inversion.uncertainty import INTERVAL, LEAST_FREEDOM
from hyco.runtime.storage import Bundle, prefixed, unprefixed
from hyco.stepping.stepper import Execution

# Coordinates of which a file of JSON holds the whole covariance.
_MOST_IN_JSON = 64
# Where it is among the residuals in files.
_STRUCTURE = "structure"
# Of the shift that a finer grid predicts, which is not exact, intervals cover so much.
MARGIN = 1.25


@dataclass(frozen=True)
class NumberEstimate:
    """A number with its error bar.

    Attributes:
        value: the estimate, in units of the parameter.
        std: its standard deviation, the noise's alone; None where it was not determined, or nothing tells the noise.
        interval: the 95 % interval, which also reaches to where the measurements alone put the estimate. Where the
            residuals tell the noise it is by Student's t, wider than ± 1.96 std where there are few of them.
        identifiable: whether the data alone narrow down the prior knowledge, and neither the value sits on a bound or
            the limit of a scheme, nor its profile reaches one.
        pull: distance to the optimum on the measurements alone, in standard deviations.
        discretisation: how much of `value` is the error of the physical model's grid and time step, as a finer grid
            predicts it: without it the estimate would be about value - discretisation; None where it was not worked
            out. The interval reaches there.
        limit: in words that the value sits on a bound, or on a limit of the equation or of its scheme, or that the
            interval reaches it, and is one-sided; None: neither.
        profile: the profile likelihood, where it was worked out: `values` of the number, and what χ² rises by there
            (`chi_square`), 3.84 being the end of the 95 % interval; None: the interval is that of the Laplace
            approximation.
        std_white: what `std` would be if the noise were white, where the residuals say that it is correlated and `std`
            and `interval` are those of such noise; None elsewhere.
        std_walls: what the noise of sensors whose measurements are walls adds, as a standard deviation; `interval` has
            it, `std` has not; None where there are none.
        separable: whether it can be told from what the equation lacks: nothing is, or with the terms that are missing
            nothing is left to explain, and the data determine it beside them; None: not looked for, or not told.
    """

    value: float
    std: float | None = None
    interval: tuple[float, float] | None = None
    identifiable: bool = False
    pull: float | None = None
    discretisation: float | None = None
    limit: str | None = None
    profile: dict[str, list[float | None]] | None = None
    std_white: float | None = None
    std_walls: float | None = None
    separable: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """As report.json has it: the value is `estimate`."""
        entry = asdict(self)
        for key in ("limit", "profile", "std_walls", "separable"):
            if entry[key] is None:
                del entry[key]
        interval = None if self.interval is None else list(self.interval)
        return {"estimate": entry.pop("value"), **entry, "interval": interval}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NumberEstimate:
        """The inverse of `to_json`; other keys are ignored."""
        interval = data.get("interval")
        return cls(
            data["estimate"],
            data["std"],
            None if interval is None else (interval[0], interval[1]),
            data["identifiable"],
            data.get("pull"),
            data.get("discretisation"),
            data.get("limit"),
            data.get("profile"),
            data.get("std_white"),
            data.get("std_walls"),
            data.get("separable"),
        )


@dataclass(frozen=True)
class FieldEstimate:
    """A parameter that varies in space, with a map of its standard deviation.

    Attributes:
        value: the estimate `[*space]`, in units of the parameter.
        std: to first order, `[*space]`; None where there are too many unknowns for a covariance.
        identifiable: whether the data determine every direction of it.
        pull: the largest of its coordinates' distances to the optimum on the measurements alone, in standard
            deviations.
        discretisation: how much of `value` is the error of grid and time step, `[*space]`, as of a number; None where
            it was not worked out.
    """

    value: Tensor
    std: Tensor | None = None
    identifiable: bool = False
    pull: float | None = None
    discretisation: Tensor | None = None

    @property
    def interval(self) -> tuple[Tensor, Tensor] | None:
        """The 95 % intervals `[*space]` of each cell: of noise and, where it was worked out, the grid, as of numbers.

        None where there is no standard deviation.
        """
        if self.std is None:
            return None
        moved = self.value if self.discretisation is None else self.value - MARGIN * self.discretisation
        half = INTERVAL / 2 * self.std
        return torch.minimum(self.value, moved) - half, torch.maximum(self.value, moved) + half

    @property
    def of_grid(self) -> float:
        """The error of grid and time step over the standard deviation, root mean squares; 0 where there is none."""
        if self.std is None or self.discretisation is None:
            return 0.0
        return float(self.discretisation.square().mean().sqrt() / self.std.square().mean().sqrt().clamp_min(1e-300))

    def to_json(self) -> dict[str, Any]:
        """With nested lists; the value is `estimate`."""
        std = None if self.std is None else self.std.tolist()
        plain = {"estimate": self.value.tolist(), "std": std, "identifiable": self.identifiable, "pull": self.pull}
        return plain | ({} if self.discretisation is None else {"discretisation": self.discretisation.tolist()})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FieldEstimate:
        """The inverse of `to_json`."""
        std = None if data["std"] is None else torch.tensor(data["std"], dtype=torch.float64)
        value = torch.tensor(data["estimate"], dtype=torch.float64)
        grid = data.get("discretisation")
        grid = None if grid is None else torch.tensor(grid, dtype=torch.float64)
        return cls(value, std, data["identifiable"], data["pull"], grid)


@dataclass(frozen=True)
class Outcome:
    """How the last search ended.

    Attributes:
        status, reason: see `OptimisationResult`.
        iterations, evaluations: of that search.
        forward_simulations: of all searches so far, in simulations of all training data.
        ends: where the search from each guess ended, `{"x": …, "value": …, "status": …}`.
    """

    status: str
    reason: str
    iterations: int | None = None
    evaluations: int | None = None
    forward_simulations: float | None = None
    ends: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What there is of it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class PhysicalEstimate:
    """What an inversion, or the physical half of a hybrid, says of the unknown parameters.

    `estimate["viscosity"]` is a `NumberEstimate` or a `FieldEstimate`.

    Attributes:
        numbers: learnt numbers by full name.
        fields: learnt fields by name.
        values: numbers by the parameter's name as the equation takes them; with `fields` they complete it.
        covariance: of the optimiser's coordinates `labels`, `[k, k]`, from the real data and the prior alone; infinite
            where there is no information; None if it was not determined.
        labels: names of those coordinates.
        identifiability: singular values and directions, see `Identifiability.to_dict`; None likewise.
        reduced_chi_square: squared residuals in units of σ over degrees of freedom, 1 where model and noise are right;
            if σ is not known, in units of a thousandth of the channel's standard deviation, whatever the loss; None
            likewise.
        degrees_of_freedom: of the residuals, where these have to tell the noise: less than half of one tells nothing,
            and no number has a standard deviation; None where the noise is known, or error bars were not determined.
        residual_freedom: degrees of freedom that `reduced_chi_square` is by, whether the noise is known or not.
        outliers: share of the residuals that are larger than three standard deviations, where the loss is robust; None
            where it is not.
        initial_state_prior: of unknown initial states, in part from the data: `length_scale`, `amplitude` and `mean`,
            numbers or by channel; None where there was none.
        alternative_minima: numbers of other minima that fit the data as well.
        outcome: how the last search ended; None if there was none: then all this is the first guess.
        weights: of regularisations, as they were chosen.
        residuals: root mean square of the whitened residuals, see `residual_summary`.
        structure: how they differ from white noise, see `ResidualStructure`; None where that was not tested.
        grid: `cells` by axis and `order` of the physical model's scheme, and keys of a more `accurate` one where there
            is one, which the error of the grid is told with; None where that was not worked out.
        walls: the fit with the walls at the outermost measured positions, see `OtherWalls`; None: not looked at.
        verdict: `cause` of the misfit of the equation as it is, `why`, and missing `terms`, see `Verdict` and
            `FoundTerms`; None: not judged.
        from_predictions: whether the estimate comes from an update with the network's predictions.
        equation, resolution: what the physical model assumes where it differs from the data's equation and grid.
        ranges: numbers for keys of that equation that are `auto`.
        execution: how the equation's step was run.
        evaluations: of the loss `[n, 1 + numbers]`, NaN where it was not finite, then the numbers; of more than 2000
            the first and the last thousand.
    """

    numbers: dict[str, NumberEstimate]
    fields: dict[str, FieldEstimate] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    covariance: Tensor | None = None
    labels: tuple[str, ...] = ()
    identifiability: dict[str, Any] | None = None
    reduced_chi_square: float | None = None
    degrees_of_freedom: float | None = None
    residual_freedom: float | None = None
    outliers: float | None = None
    initial_state_prior: dict[str, Any] | None = None
    alternative_minima: list[dict[str, float]] = field(default_factory=list)
    outcome: Outcome | None = None
    weights: dict[str, float] = field(default_factory=dict)
    residuals: dict[str, Tensor] = field(default_factory=dict)
    structure: dict[str, Any] | None = None
    grid: dict[str, Any] | None = None
    walls: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    from_predictions: bool = False
    equation: dict[str, Any] = field(default_factory=dict)
    resolution: dict[str, int] | None = None
    ranges: dict[str, float] = field(default_factory=dict)
    execution: Execution = "auto"
    evaluations: Tensor = field(default_factory=lambda: torch.empty((0, 1), dtype=torch.float64))

    def __getitem__(self, name: str) -> NumberEstimate | FieldEstimate:
        """The estimate of a parameter, by full name.

        Raises:
            KeyError: it was not learnt; the message says what was.
        """
        if name in self.numbers:
            return self.numbers[name]
        if name in self.fields:
            return self.fields[name]
        raise KeyError(f"{name!r} was not learnt; there are: {', '.join([*self.numbers, *self.fields])}")

    @property
    def _filled(self) -> dict[str, Any]:
        """`ranges` as files have them: where nothing was `auto`, not at all."""
        return {"ranges": self.ranges} if self.ranges else {}

    @property
    def _told(self) -> dict[str, Any]:
        """`structure` as files have it: where it was not tested, not at all."""
        return {} if self.structure is None else {_STRUCTURE: self.structure}

    @property
    def noise_told(self) -> bool:
        """Whether the noise is known or the residuals tell it: else no number has a standard deviation."""
        return self.degrees_of_freedom is None or self.degrees_of_freedom >= LEAST_FREEDOM

    def stepper_values(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The learnt parameters as a stepper takes them: `[]`, or `[1, *space]` for a field."""
        numbers = {name: torch.tensor(value, dtype=dtype) for name, value in self.values.items()}
        return numbers | {name: f.value.to(dtype)[None] for name, f in self.fields.items()}

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which know no infinity and no NaN."""
        covariance = None
        if self.covariance is not None and len(self.labels) <= _MOST_IN_JSON:
            covariance = [[v if math.isfinite(v) else None for v in row] for row in self.covariance.tolist()]
        names = ["loss", *self.numbers]
        return {
            "parameters": {name: number.to_json() for name, number in self.numbers.items()},
            "fields": {name: f.to_json() for name, f in self.fields.items()},
            "values": self.values,
            "covariance": covariance,
            "labels": list(self.labels),
            "identifiability": self.identifiability,
            "reduced_chi_square": self.reduced_chi_square,
            "degrees_of_freedom": self.degrees_of_freedom,
            "residual_freedom": self.residual_freedom,
            "grid": self.grid,
            "walls": self.walls,
            "verdict": self.verdict,
            "outliers": self.outliers,
            "initial_state_prior": self.initial_state_prior,
            "alternative_minima": self.alternative_minima,
            "outcome": {} if self.outcome is None else self.outcome.to_json(),
            "weights": self.weights,
            "residuals": {name: t.tolist() for name, t in self.residuals.items()} | self._told,
            "from_predictions": self.from_predictions,
            "assumed": {"equation": self.equation, "resolution": self.resolution, **self._filled},
            "execution": self.execution,
            "evaluations": [
                {name: value if math.isfinite(value) else None for name, value in zip(names, row, strict=True)}
                for row in self.evaluations.tolist()
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PhysicalEstimate:
        """The inverse of `to_json`; other keys are ignored."""
        covariance = data["covariance"]
        if covariance is not None:
            rows = [[math.inf if v is None else v for v in row] for row in covariance]
            covariance = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(rows))
        rows = [[math.nan if v is None else v for v in entry.values()] for entry in data["evaluations"]]
        evaluations = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), 1 + len(data["parameters"]))
        summaries = [name for name in data["residuals"] if name != _STRUCTURE]
        return cls(
            numbers={name: NumberEstimate.from_json(entry) for name, entry in data["parameters"].items()},
            fields={name: FieldEstimate.from_json(entry) for name, entry in data["fields"].items()},
            residuals={name: torch.tensor(data["residuals"][name], dtype=torch.float64) for name in summaries},
            structure=data["residuals"].get(_STRUCTURE),
            covariance=covariance,
            labels=tuple(data["labels"]),
            outcome=Outcome(**data["outcome"]) if data["outcome"] else None,
            equation=data["assumed"]["equation"],
            resolution=data["assumed"]["resolution"],
            ranges=data["assumed"].get("ranges", {}),
            evaluations=evaluations,
            **{key: data[key] for key in _PLAIN if key in data},
        )

    def to_bundle(self) -> Bundle:
        """Tensors and JSON values, for checkpoints: bit for bit, and in little space."""
        tensors = {"evaluations": self.evaluations, **prefixed("residuals", self.residuals)}
        if self.covariance is not None:
            tensors["covariance"] = self.covariance
        for name, f in self.fields.items():
            tensors[f"field/{name}"] = f.value
            if f.std is not None:
                tensors[f"field_std/{name}"] = f.std
            if f.discretisation is not None:
                tensors[f"field_discretisation/{name}"] = f.discretisation
        metadata = {key: getattr(self, key) for key in _PLAIN}
        metadata |= {
            "numbers": {name: number.to_json() for name, number in self.numbers.items()},
            "fields": {name: {"identifiable": f.identifiable, "pull": f.pull} for name, f in self.fields.items()},
            "labels": list(self.labels),
            "outcome": None if self.outcome is None else self.outcome.to_json(),
            "equation": self.equation,
            "resolution": self.resolution,
            **self._filled,
            **self._told,
        }
        return Bundle(tensors, metadata)

    @classmethod
    def from_bundle(cls, bundle: Bundle) -> PhysicalEstimate:
        """The inverse of `to_bundle`."""
        tensors, meta = bundle.tensors, bundle.metadata
        fields = {
            name: FieldEstimate(
                tensors[f"field/{name}"],
                tensors.get(f"field_std/{name}"),
                **entry,
                discretisation=tensors.get(f"field_discretisation/{name}"),
            )
            for name, entry in meta["fields"].items()
        }
        return cls(
            numbers={name: NumberEstimate.from_json(entry) for name, entry in meta["numbers"].items()},
            fields=fields,
            residuals=unprefixed("residuals", tensors),
            covariance=tensors.get("covariance"),
            labels=tuple(meta["labels"]),
            outcome=None if meta["outcome"] is None else Outcome(**meta["outcome"]),
            equation=meta["equation"],
            resolution=meta["resolution"],
            ranges=meta.get("ranges", {}),
            evaluations=tensors["evaluations"],
            structure=meta.get(_STRUCTURE),
            **{key: meta[key] for key in _PLAIN if key in meta},
        )


# Attributes that are JSON values as they are, under their own names.
_PLAIN = (
    "values",
    "identifiability",
    "reduced_chi_square",
    "degrees_of_freedom",
    "residual_freedom",
    "grid",
    "walls",
    "verdict",
    "outliers",
    "initial_state_prior",
    "alternative_minima",
    "weights",
    "from_predictions",
    "execution",
)
