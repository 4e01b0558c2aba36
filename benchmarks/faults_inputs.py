"""Whole commands that meet damaged files, configurations that nobody means, and disks that are full or read-only.

    python benchmarks/faults_inputs.py files|configurations|disks|folders [--count N] [--seed 0]
        [--minutes M]

- files: files of all kinds that a command reads, measurements among them, are damaged (bits, bytes, ends, holes, parts
  of others). It must be refused in one line with its name, within a second beside the start-up; or the run comes to
  what it comes to without the damage, where the file is made anew or the one before it is used. A file of measurements
  has no checksum: what can be read of it is taken.
- configurations: values of an experiment are replaced by what nobody means, and its file is damaged. It must be refused
  in lines before anything is written, or be one that data can be made of.
- disks: the disk of `data/`, or that of the whole project, is filled at a random instant but for so many bytes, and has
  room again later. The run must say so in a line; every file is whole, and the run is resumed to the bit.
- folders: each folder that a run writes to is read-only. It must be told before anything is trained.

The last two mount file systems, so they need the rights of root; `folders` goes by the modes of files where these bind,
as with `setpriv --bounding-set=-dac_override,-dac_read_search python benchmarks/faults_inputs.py folders`. Each prints
its counts, and ends with exit code 1 where one that must be zero is not.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.io
import xarray as xr
import yaml

from faults import damaged, mutated
from faults_commands import Part, main, resumed, strike, wholes
from faults_project import TINY, Project, arguments_of, differing, output_of
from forked import ROOT
from hyco.sections import merge

MEASURED = ("csv", "parquet", "nc", "h5", "npz", "mat", "zarr")


def measured_project() -> tuple[Project, dict[str, str]]:
    """A project with a trained experiment and a file of measurements of each format; their parameters, by format."""
    project = Project()
    for pipeline in ("hybrid", "compare"):
        text = output_of(process := project.start(pipeline, "one"), Counter())
        if process.returncode:
            raise RuntimeError(text)
    folder = project.path / "data" / "01_raw"
    writer = multiprocessing.get_context("fork").Process(target=write_measurements, args=(folder,))  # Zarr has threads
    writer.start()
    writer.join()
    section = {"time": "t", "axes": {"x": "x"}, "fields": {"temperature": "u"}, "std": {"temperature": 0.01}}
    sections = {key: TINY[key] for key in ("experiment", "threads", "equation", "synthetic", "physical", "hybrid")}
    for suffix in MEASURED:
        name = f"measured_{suffix}"
        measured = {"measurements": {"file": f"data/01_raw/mine.{suffix}", **section}}
        observation = {"train_sim": [0], "initial_state": "observed", "holdout": {"fraction": 0.2, "by": "times"}}
        (project.path / "conf" / name).mkdir()
        content = {**sections, "experiment": name, **measured, "observation": observation}
        (project.path / "conf" / name / "parameters.yml").write_text(yaml.safe_dump(content))
    return project, {suffix: f"measured_{suffix}" for suffix in MEASURED}


def write_measurements(folder: Path) -> None:
    """The same measurements in every format, and states to predict from."""
    t, x = np.linspace(0, 0.3, 7), (np.arange(16) + 0.5) / 4
    u = np.sin(np.pi * x / 2)[None] * np.exp(-t)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(7, 16))
    folder.mkdir(parents=True, exist_ok=True)
    times, places = np.meshgrid(t, x, indexing="ij")
    table = pd.DataFrame({"t": times.ravel(), "x": places.ravel(), "u": u.ravel()})
    table.to_csv(folder / "mine.csv", index=False)
    table.to_parquet(folder / "mine.parquet")
    array = xr.Dataset({"u": (("t", "x"), u)}, {"t": t, "x": x})
    array.to_netcdf(folder / "mine.nc", engine="h5netcdf")
    array.to_zarr(folder / "mine.zarr", zarr_format=2, consolidated=True)
    with h5py.File(folder / "mine.h5", "w") as file:
        file.update({"u": u, "t": t, "x": x})
    np.savez(folder / "mine.npz", u=u, t=t, x=x)
    scipy.io.savemat(folder / "mine.mat", {"u": u, "t": t, "x": x})
    states = xr.Dataset({"temperature": (("x",), u[0])}, {"x": x})
    states.to_netcdf(folder / "states.nc", engine="h5netcdf")
    np.savez(folder / "states.npz", temperature=u[0], x=x)


def newest(folder: Path) -> Path:
    """The file of the newest version."""
    return sorted(folder.rglob("*.*"))[-1]


def files(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    project, measured = measured_project()
    raw, models, reporting = project.path / "data" / "01_raw", project.models("one"), project.reporting("one")
    run = ("run", "--env", "tiny")
    predict = (*run, "--pipelines", "predict", "--params")
    again = (*run, *arguments_of("hybrid", "one", "resume=true"))
    data = project.path / "data"
    anew = (*run, *arguments_of("hybrid", "one"))
    # What is damaged, and the command that reads it; with a result to compare, where it may be made anew.
    kinds: list[tuple[str, Path, tuple[str, ...], bool]] = [
        ("trajectories", data / "02_intermediate/one/trajectories.safetensors", anew, True),
        ("observations", data / "05_model_input/one/observations.safetensors", anew, True),
        ("checkpoint", models / "hybrid_checkpoints/last.safetensors", again, True),
        ("network", newest(models / "hybrid_synthetic_model.safetensors"), (*predict, "experiment=one"), True),
        ("physical model", newest(models / "hybrid_physical_model.json"), (*predict, "experiment=one"), True),
        ("comparison", reporting / "comparison.json", (*run, *arguments_of("compare", "one", "resume=true")), True),
        ("history", reporting / "hybrid_metrics.jsonl", again, True),
        *(
            (
                f"states .{end}",
                raw / f"states.{end}",
                (*predict, f"experiment=one,predict.initial_states=data/01_raw/states.{end}"),
                False,
            )
            for end in ("nc", "npz")
        ),
        *(
            (
                f"measurements .{end}",
                raw / f"mine.{end}",
                ("run", "--env", measured[end], "--pipelines", "generation"),
                False,
            )
            for end in MEASURED
        ),
    ]
    start_up, whole = {}, {}
    output_of(project.command("kedro", again), outcomes)
    kept = project.path / "kept"
    shutil.copytree(data, kept)
    for name, _, arguments, _ in kinds:
        process = project.command("kedro", arguments)
        if text := output_of(process, outcomes) if process.wait() else "":
            raise RuntimeError(f"{name}: {text}")
        start_up[name], whole[name] = used(process), project.results("one")
    for i in range(count):
        yield
        name, path, arguments, comparable = kinds[i % len(kinds)]
        shutil.rmtree(data)
        shutil.copytree(kept, data)
        target = chance.choice([p for p in path.rglob("*") if p.is_file()]) if path.is_dir() else path
        before = target.read_bytes()
        target.write_bytes(damaged(before, chance))
        process = project.command("kedro", arguments)
        text = output_of(process, outcomes)
        last = text.splitlines()[-1] if text else ""
        if process.returncode == 1:
            outcome = "refused" if path.name in last or path.name in text else "name missing"
            outcomes["late: more than 1 s beside a whole run"] += used(process) > start_up[name] + 1
        elif process.returncode == 0:
            other = differing(project.results("one"), whole[name]) if comparable else []
            told = "cannot be read" in text or f"{path.name} lacks" in text
            outcome = "told, and made anew or mended" if told else "as written"
            if not comparable:
                outcome = "read" if target.read_bytes() != before else "as written"
            elif other and not told:
                outcome = "silently different"
        else:
            outcome = f"wrong exit code {process.returncode}"
        outcomes[f"{outcome} ({name})" if outcome.startswith(("name", "silently", "wrong")) else outcome] += 1
        outcomes[f"damaged: {name.split(' .')[0]}"] += 1
        if outcome.startswith(("name", "silently", "wrong")):
            print(name, target, outcome, text[-2000:], flush=True)
    project.remove()


def used(process: Any) -> float:
    """Seconds of CPU that a command took."""
    return float(process.rusage.ru_utime + process.rusage.ru_stime)


def _base() -> dict[str, Any]:
    """The parameters that all experiments share."""
    parameters: dict[str, Any] = {}
    for file in sorted((ROOT / "conf/base").glob("parameters*.yml")):
        parameters = merge(parameters, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    return parameters


def configurations(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    project, parameters = Project(), _base()
    parameters = {**merge(parameters, TINY), "experiment": "tiny"}
    for i in range(count):
        yield
        if i % 5 == 4:
            project.configure(damaged(yaml.safe_dump(parameters).encode(), chance))
        else:
            project.configure(mutated(parameters, chance))
        shutil.rmtree(project.path / "data", ignore_errors=True)
        process = project.command("kedro", ("run", "--env", "tiny", "--pipelines", "generation"))
        try:
            process.wait(60)
        except TimeoutError:
            outcomes["takes longer than a minute"] += 1
            print((project.path / "conf/tiny/parameters.yml").read_text(errors="replace"), flush=True)
            continue
        text = output_of(process, outcomes)
        made = [p for p in (project.path / "data").rglob("*") if p.is_file()]
        if process.returncode == 0:
            outcomes["taken"] += 1
            continue
        refused = process.returncode == 1 and any(line.startswith("Error: ") for line in text.splitlines())
        outcome = "refused" if refused else "wrong end"
        outcomes[outcome] += 1
        outcomes["wrong: something was written"] += bool(made)
        if outcome != "refused" or made:
            shown = (project.path / "conf/tiny/parameters.yml").read_bytes()[:6000]
            print(process.returncode, text[-1500:], made, shown.decode(errors="replace"), sep="\n", flush=True)
    project.remove()


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Something mounted on a folder."""
    subprocess.run(("mount", *options, str(folder)), check=True)
    try:
        yield
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """A folder or file that may not be written: by its mode, or by a mount for whom modes do not bind."""
    mode = path.stat().st_mode
    path.chmod(mode & ~0o222)
    try:
        if not os.access(path, os.W_OK):
            yield
            return
        with mounted(path, "--bind", str(path)):
            subprocess.run(("mount", "-o", "remount,ro,bind", str(path)), check=True)
            yield
    finally:
        path.chmod(mode)


# Bytes of the disk, and those that are left at the fault.
_DISK = 128 * 2**20
_LEFT = (0, 1, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 1024)


def disks(count: int, chance: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    for i in range(count):
        yield
        pipeline = ("hybrid", "physical", "hybrid with figures", "synthetic")[i % 4]
        whole, everything, left = wholes().results(pipeline), i % 3 == 2, _LEFT[i % len(_LEFT)]
        disk = Path(tempfile.mkdtemp(prefix="hyco_faults_disk_"))
        project = None if everything else Project()
        place = disk if project is None else project.path / "data"
        place.mkdir(exist_ok=True)
        with mounted(place, "-t", "tmpfs", "-o", f"size={_DISK}", "none"):
            project = Project(disk) if project is None else project
            process, name = project.start(pipeline, "full"), "full"
            strike(project, process, pipeline, name, 1.2 * wholes().seconds[pipeline], chance)
            fill(place, left * 1024)
            begin = time.monotonic()
            text = output_of(process, outcomes)
            last = text.splitlines()[-1]
            told = process.returncode == 1 and any(
                word in last for word in ("make room", "No space", "are free", "full")
            )
            outcome = "ended before, or needed no more" if process.returncode == 0 else "told" if told else "wrong end"
            broken = project.broken_files()
            outcomes[outcome] += 1
            outcomes["broken files"] += len(broken)
            outcomes["late: more than 30 s"] += time.monotonic() - begin > 30
            if outcome == "wrong end" or broken:
                print(pipeline, left, outcome, broken, text[-3000:], flush=True)
            (place / "balloon").unlink()
            resumed(project, pipeline, name, whole, outcomes)
        project.remove()
        disk.rmdir()


def fill(disk: Path, left: int) -> None:
    """Fill a disk but for so many bytes."""
    with (disk / "balloon").open("wb", buffering=0) as file:
        while (free := shutil.disk_usage(disk).free) > left:
            try:
                file.write(bytes(min(free - left, 2**20)))
            except OSError:
                return


# Folders that a run writes to, and the file of MLflow.
_FOLDERS = (
    *("data", "data/02_intermediate", "data/05_model_input", "data/06_models", "data/07_model_output"),
    *("data/08_reporting", "data/.locks", "mlruns", "mlflow.db", ".", "data/06_models/read_only"),
)


def folders(count: int, _: random.Random, outcomes: Counter[str]) -> Iterator[None]:
    """See the top of this file."""
    for i in range(count):
        yield
        project, folder = Project(), _FOLDERS[i % len(_FOLDERS)]
        pipeline = ("hybrid", "all")[i // len(_FOLDERS) % 2]
        output_of(project.start("hybrid", "before"), outcomes)
        before = project.results("before")
        path = project.path / folder
        path.mkdir(parents=True, exist_ok=True) if not path.exists() else None
        with read_only(path):
            process = project.start(pipeline, "read_only")
            text = output_of(process, outcomes)
            trained = project.epochs("read_only") if process.returncode else 0
        outcome = (
            "went on" if process.returncode == 0 else "told" if folder in text.splitlines()[-1] else "wrong: not told"
        )
        outcomes[outcome] += 1
        outcomes["wrong: trained before it was told"] += trained > 0
        outcomes["broken files"] += len(project.broken_files())
        outcomes["lost"] += project.results("before") != before
        print(f"  {folder}: {outcome}, {text.splitlines()[-1][:300] if process.returncode else ''}", flush=True)
        if outcome.startswith("wrong"):
            print(text[-2000:], flush=True)
        project.remove()


PARTS: dict[str, tuple[Part, int]] = {
    "files": (files, 200),
    "configurations": (configurations, 150),
    "disks": (disks, 20),
    "folders": (folders, 11),
}

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.exit(main(PARTS, str(__doc__)))
