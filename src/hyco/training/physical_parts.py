"""Parts of a physical training as pieces of work, see `hyco.compute`: searches from several guesses, and profiles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyco.compute import ComputeConfig, ComputeError, Engine, Lost, Piece, open_engine, outcomes
from hyco.equations.registry import build_equation
from hyco.inversion.calibrator import Calibrator
from hyco.inversion.inverse_problem import InverseProblem
from hyco.inversion.optimisers.result import OptimisationResult
from hyco.inversion.parts import SearchOptions
from hyco.inversion.profile import profile_of
from hyco.inversion.profile_curve import ProfileFound
from hyco.inversion.search import minimised
from hyco.observations import Observations
from hyco.runtime.storage import Bundle, digest, read_bundle, write_bundle
from hyco.training.physical import PhysicalConfig


class Workers:
    """The workers of the section `compute`, who do parts of one training of the physics; see `Parts`.

    They are begun at the first part. A part has as many threads as the training itself: its last digits are the same.
    The folder stays until the training has ended; whoever runs it removes the folder.

    Args:
        compute: who works.
        folder: of observations, states and results, which workers have to see under the same path.
        equation, physical: the sections.
        observations: of the training.
        device: of the models.
        resume: whether results that a training has left which was killed are used.
    """

    def __init__(
        self,
        compute: ComputeConfig,
        folder: Path,
        equation: Mapping[str, Any],
        physical: Mapping[str, Any],
        observations: Observations,
        *,
        device: torch.device,
        resume: bool = False,
    ) -> None:
        self._compute, self._folder, self._observations = compute, folder.absolute(), observations
        self._same = {"equation": dict(equation), "physical": dict(physical), "device": str(device)}
        self._stack = ExitStack()
        self._engine: Engine | None = None
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def searches(
        self,
        problem: InverseProblem,
        batches: Sequence[Tensor],
        options: SearchOptions,
        information: Tensor | None,
    ) -> list[OptimisationResult]:
        """See `Parts.searches`."""
        state = {
            "execution": problem.forward.stepper.execution,
            "weights": dict(problem.forward.space.weights),
            "scale": problem.data.scale,
        }
        each = [{"state": state, "guesses": batch.tolist(), "options": asdict(options)} for batch in batches]
        if information is not None:
            each = [{**one, "information": information.tolist()} for one in each]
        found = self._done(problem, "search_from", each, "searches from guesses")
        return [OptimisationResult.from_json(one) for one in found]

    def profiles(
        self,
        problem: InverseProblem,
        state: Callable[[], Bundle],
        numbers: Sequence[int],
        minima: Sequence[Tensor],
        budget: float,
    ) -> list[ProfileFound]:
        """See `Parts.profiles`."""
        with torch.enable_grad():  # the state holds slopes, and a part in this process has its own
            file, others = self._file("state", state()), [place.tolist() for place in minima]
            same = {"state": file, "minima": others, "budget": budget}
            each = [{**same, "number": number} for number in numbers]
            found = self._done(problem, "profile_one", each, "profile likelihoods")
        return [ProfileFound.from_json(one) for one in found]

    def _done(
        self, problem: InverseProblem, function: str, each: Sequence[Mapping[str, Any]], words: str
    ) -> list[dict[str, Any]]:
        """What pieces have found, in their order.

        Raises:
            ComputeError: one was begun in vain as often as allowed.
        """
        if self._engine is None:
            compute = self._compute.model_copy(update={"threads": torch.get_num_threads()})
            self._engine = self._stack.enter_context(open_engine(compute))
        same = {**self._same, "observations": self._file("observations", self._observations.to_bundle())}
        pieces = [
            Piece(f"{__name__}:{function}", {**same, **own}, f"{words}, {i + 1} of {len(each)}")
            for i, own in enumerate(each)
        ]
        found = dict(outcomes(self._engine, pieces, folder=self._folder))
        for i, one in found.items():
            if isinstance(one, Lost):
                raise ComputeError(
                    f"{pieces[i].label}: {one.reason}. The others are kept: go on with resume=true, or with "
                    "compute.workers=1"
                )
        problem.forward.count_from(problem.forward.work + sum(one["work"] for one in found.values()))
        return [found[i]["found"] for i in range(len(each))]

    def _file(self, name: str, bundle: Bundle) -> str:
        """The file of a bundle; its name changes with its content."""
        path = self._folder / f"{name}-{digest(bundle)}.safetensors"
        if not path.exists():
            write_bundle(path, bundle)
        return str(path)


def search_from(
    equation: Mapping[str, Any],
    physical: Mapping[str, Any],
    observations: str,
    device: str,
    state: Mapping[str, Any],
    guesses: list[list[float]],
    options: Mapping[str, Any],
    information: list[float] | None = None,
) -> dict[str, Any]:
    """One search from a batch of guesses, as a piece of work.

    Args:
        equation, physical: the sections.
        observations: the file of what was measured.
        device: of the models.
        state: how the step runs, weights of regularisations that were chosen, and the scale of the residuals.
        guesses: coordinates `[K, q]`.
        options: attributes of a `SearchOptions`.
        information: diagonal `[q]`, see `hyco.inversion.search.Search`.
    """
    physics = _calibrator(json.dumps(equation), json.dumps(physical), observations, device)
    problem = physics.problem
    problem.forward.model.take(state["execution"])
    problem.forward.space.take_weights(state["weights"])
    problem.data.rescale(state["scale"])
    problem.forward.count_from(0)
    given = None if information is None else torch.tensor(information, dtype=torch.float64)
    points = torch.tensor(guesses, dtype=torch.float64)
    found = minimised(problem, physics.config, points, SearchOptions(**options), given)
    return {"found": found.to_json(), "work": problem.forward.work}


def profile_one(
    equation: Mapping[str, Any],
    physical: Mapping[str, Any],
    observations: str,
    device: str,
    state: str,
    number: int,
    minima: list[list[float]],
    budget: float,
) -> dict[str, Any]:
    """The profile of one number, as a piece of work.

    Args:
        equation, physical, observations, device: see `search_from`.
        state: the file of the calibrator's state, assessed.
        number: its coordinate.
        minima: coordinates of others that fit as well.
        budget: see `profile_of`.
    """
    physics = _calibrator(json.dumps(equation), json.dumps(physical), observations, device)
    physics.load(read_bundle(Path(state)))
    assessment = physics.model.assessment
    assert assessment is not None  # the state is that of one who has it
    others = [torch.tensor(place, dtype=torch.float64) for place in minima]
    found = profile_of(physics.problem, assessment, physics.model.coordinates, number, others, budget)
    return {"found": found.to_json(), "work": found.work}


@lru_cache(maxsize=1)
def _calibrator(equation: str, physical: str, observations: str, device: str) -> Calibrator:
    """That of the training, from JSON and a file; kept for the parts that follow."""
    config = PhysicalConfig.model_validate(json.loads(physical))
    seen = Observations.from_bundle(read_bundle(Path(observations)))
    built = build_equation(json.loads(equation))
    return Calibrator(built, seen, config, num_predict_steps=config.num_predict_steps, device=torch.device(device))
