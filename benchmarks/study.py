"""What the studies share: a file with a line of JSON per draw, and a page with the table of such lines."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.config import OmegaConfigLoader
from scipy.stats import binomtest

from hyco.compute import ComputeConfig, ComputeError, Lost, open_engine, outcomes
from hyco.compute.scripts import scripted

if TYPE_CHECKING:
    from hyco.inversion.assessment import Assessment
    from hyco.inversion.calibrator import Calibrator

# Of intervals, and of the band that counts of draws are compared with.
NOMINAL, CONFIDENCE = 0.95, 0.99
CONF = Path(__file__).parents[1] / "conf"


def parameters(environment: str, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The parameters of a configuration directory, as `kedro run --env` reads them."""
    loader = OmegaConfigLoader(
        str(CONF),
        base_env="base",
        default_run_env=environment,
        merge_strategy={"parameters": "soft"},
        runtime_params=dict(overrides or {}),
    )
    found: dict[str, Any] = loader["parameters"]
    return found


def assessed(trainer: Calibrator) -> Assessment:
    """How sure the current coordinates of a physical model are, worked out if need be."""
    model = trainer.model
    model.assessor.assess(model.coordinates)
    assert model.assessment is not None
    return model.assessment


def read_lines(paths: Iterable[Path | None]) -> list[dict[str, Any]]:
    """The lines of files that need not exist."""
    found = [path.read_text().splitlines() for path in paths if path is not None and path.exists()]
    return [json.loads(line) for lines in found for line in lines]


def add_line(path: Path | None, line: dict[str, Any]) -> None:
    """Append a line, at once, so that a run that is killed loses nothing."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def command_line(doc: str | None, problems: Collection[str]) -> argparse.ArgumentParser:
    """What studies of draws of several problems are asked: which, how many, and where their results and page are."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=problems, nargs="+", default=list(problems))
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--results", type=Path, help="file that a line is appended to per draw")
    parser.add_argument("--write", type=Path, help="write the page of the study")
    add_workers(parser)
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Ask who does the draws; see `compute`."""
    parser.add_argument("--workers", type=int, default=1, help="processes of this machine that do draws side by side")
    parser.add_argument("--scheduler", help="a Dask cluster instead: its address, or its scheduler file")


def compute(arguments: argparse.Namespace) -> ComputeConfig:
    """Who does the draws, as `add_workers` has asked."""
    return ComputeConfig(workers=arguments.workers, scheduler=arguments.scheduler)


def draws_to_do(
    cases: Iterable[tuple[Any, ...]],
    draw: Callable[..., dict[str, Any]],
    results: Path | None,
    keys: Sequence[str],
    workers: ComputeConfig | None = None,
) -> list[dict[str, Any]]:
    """The lines of all cases, those that the file already has among them; new ones are added to it at once.

    Args:
        cases: arguments of `draw`.
        draw: a case to its line; a function of a file, where workers are to find it.
        results: the file; None: none.
        keys: of a line, the arguments that it is of.
        workers: who does them; None: this process. The lines are the same, and in the same order.

    Raises:
        ComputeError: a case was begun in vain as often as allowed; the others are in the file.
    """
    lines, order = read_lines([results]), {case: i for i, case in enumerate(cases)}
    done = {tuple(line[key] for key in keys) for line in lines}
    for line in _drawn([case for case in order if case not in done], draw, workers):
        lines.append(line)
        add_line(results, line)
    return sorted(lines, key=lambda line: order.get(tuple(line[key] for key in keys), -1))


def _drawn(
    cases: Sequence[tuple[Any, ...]], draw: Callable[..., dict[str, Any]], workers: ComputeConfig | None
) -> Iterator[dict[str, Any]]:
    """The lines of cases, as they come."""
    if workers is None or not workers.is_elsewhere:
        yield from (draw(*case) for case in cases)
        return
    lost = []
    with open_engine(workers) as engine:
        pieces = [scripted(draw, case, " ".join(map(str, case))) for case in cases]
        for i, found in outcomes(engine, pieces):
            if isinstance(found, Lost):
                lost.append(f"{pieces[i].label} ({found.reason})")
            else:
                yield json.loads(found)
    if lost:
        raise ComputeError(f"lost: {', '.join(lost)}; start the same command again")


def in_band(covered: int, draws: int) -> bool:
    """Whether the exact binomial test lets so many of so many draws pass for coverage 0.95, at the 99 % level."""
    return bool(binomtest(covered, draws, NOMINAL).pvalue >= 1 - CONFIDENCE)


def band(draws: int) -> tuple[int, int]:
    """The smallest and the largest count that is `in_band`."""
    counts = [count for count in range(draws + 1) if in_band(count, draws)]
    return counts[0], counts[-1]


def write_page(path: Path, title: str, words: str, commands: Iterable[str], table: str) -> None:
    """Write the page of a study: what is measured, how to run it again, and the table.

    Args:
        words: what is measured; of a study's docstring the part after the commands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    again = "\n".join(commands)
    path.write_text(f"# {title}\n\n{words.strip()}\n\n```\n{again}\n```\n\n{table}\n")


def described(doc: str | None) -> str:
    """The part of a study's docstring after its first line and its commands."""
    return (doc or "").split("\n\n", 2)[2].strip()
