"""The files of a configuration, looked at before Kedro reads them: they have to be plain, and of a bearable size."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

# Values that the files of a folder may have, with what aliases repeat, and bytes of a file.
_MOST_VALUES, _MOST_BYTES = 100_000, 10 * 2**20
# The start of the names of files that Kedro takes for a configuration's.
_KINDS = ("parameters", "catalog", "globals")
# Bytes of free disk that suffice for every run, and that each takes for models, pictures and MLflow's database.
_ENOUGH, _ALWAYS = 50 * 2**30, 50 * 2**20
# What asks for values from outside of the files; behind an odd number of backslashes it is text.
OF_ENVIRONMENT = re.compile(r"(?<!\\)(?:\\\\)*\$\{\s*oc\.(env|decode|deprecated)\b")
_EXPERIMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def configuration_files(folders: Iterable[Path]) -> Iterator[Path]:
    """The files of parameters, catalog and globals, in the order in which later ones win."""
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".yml", ".yaml", ".json")):
            if any(part.startswith(_KINDS) for part in path.relative_to(folder).parts):
                yield path


def require_plain(path: Path) -> None:
    """Refuse a file that holds no mapping of plain values, or far too much.

    Raises:
        ConfigurationError: one line, with the file and, where it is known, the line.
    """
    from hyco.config import ConfigurationError

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigurationError(f"the parameters cannot be read: {path}: it has more than {_MOST_BYTES >> 20} MB")
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        if root is None:  # empty, or comments alone
            return
        if not isinstance(root, yaml.MappingNode):
            raise ConfigurationError(
                f"the parameters cannot be read: {path}: it holds no keys with values (key: value)"
            )
        _size(root, {}, set())
        # Tags, and keys that are none, show only now; what they stand for is not made.
        loader.construct_document(root)
    except ConfigurationError:
        raise
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        problem = " ".join(str(error.problem or error).split())
        raise ConfigurationError(f"the parameters cannot be read: {path}{line}: {problem}") from error
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise ConfigurationError(f"the parameters cannot be read: {path}: it is no text in UTF-8") from error
    except RecursionError as error:
        raise ConfigurationError(
            f"the parameters cannot be read: {path}: it is nested too deeply, or holds itself"
        ) from error
    except OverflowError as error:
        raise ConfigurationError(
            f"the parameters cannot be read: {path}: with what aliases (*name) repeat it has more than {_MOST_VALUES} "
            "values"
        ) from error
    except (OSError, ValueError) as error:  # a date that is none, for instance
        raise ConfigurationError(f"the parameters cannot be read: {path}: {' '.join(str(error).split())}") from error


def unresolved(error: Exception, files: Iterable[Path]) -> str:
    """What OmegaConf says of a value that stands for another (`${…}`), with the files that may have it."""
    key = str(getattr(error, "full_key", None) or "").rpartition(".")[2]
    texts = {path: path.read_text(encoding="utf-8") for path in files} if key else {}
    having = [path for path, text in texts.items() if "${" in text and key in text]
    text = " ".join(str(error).split()).partition(" full_key:")[0]
    shown = [", ".join(map(str, having)), key, f"{text:.500}"]
    return "the parameters cannot be read: " + ": ".join(part for part in shown if part)


def _size(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """Values of a node with what aliases repeat, each counted once.

    Raises:
        OverflowError: there are too many.
        RecursionError: a node holds itself.
    """
    if isinstance(node, yaml.ScalarNode):
        if OF_ENVIRONMENT.search(node.value):
            text = "variables of the environment (${oc.env:…}) are not read: write the value, or give it with --params"
            raise yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)
        return 1
    if id(node) in known:
        return known[id(node)]
    if id(node) in above:
        raise RecursionError
    above.add(id(node))
    if isinstance(node, yaml.MappingNode):
        _require_once(node)
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    size = 1
    for part in parts:
        size += _size(part, known, above)
        if size > _MOST_VALUES:
            raise OverflowError
    above.discard(id(node))
    known[id(node)] = size
    return size


def _require_once(node: yaml.MappingNode) -> None:
    """Refuse a mapping that has a key twice.

    Raises:
        yaml.MarkedYAMLError: names it.
    """
    seen: set[tuple[str, str]] = set()  # 1 and "1" are two
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            if (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r:.80} stands twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, key.value))


def require_name(name: Any, where: str) -> None:
    """Refuse a name of an experiment that could be a path: it is one of folders.

    Raises:
        ConfigurationError: one line.
    """
    from hyco.config import ConfigurationError

    if not isinstance(name, str) or not _EXPERIMENT.fullmatch(name):
        raise ConfigurationError(
            f"{where}: experiment: {name!r:.80} is not allowed; allowed: up to 100 letters and digits, and . _ - "
            "after the first"
        )


def require_space(project: Path, parameters: dict[str, Any]) -> None:
    """Refuse a run whose files would not fit on the disk.

    Raises:
        ConfigurationError: one line.
    """
    folders = [folder for folder in (project, project / "data") if folder.is_dir()]  # which may be another disk
    folder = min(folders, key=lambda one: shutil.disk_usage(one).free)
    free = shutil.disk_usage(folder).free
    if free > _ENOUGH and not (parameters.get("compute") or {}).get("on_disk"):
        return
    from hyco.config import ConfigurationError, data_bytes

    needed = data_bytes(parameters) + _ALWAYS
    if free < needed:
        raise ConfigurationError(
            f"{folder}: {free / 2**30:.3g} GB are free on its disk, this run writes about {needed / 2**30:.3g} GB: "
            "make room"
        )


def require_writable(files: Iterable[Path]) -> None:
    """Refuse a run whose files could not be written in the end, in folders that may have to be made.

    Raises:
        ConfigurationError: one line.
    """
    from hyco.config import ConfigurationError

    for folder, reason in dict.fromkeys(obstacle(file) for file in files):
        if reason is not None:
            raise ConfigurationError(
                f"{folder} cannot be written ({reason}), and this run has files there: make the folder writable, or "
                "give the run other ones with --params experiment=NAME"
            )


def obstacle(file: Path) -> tuple[Path, str | None]:
    """The innermost folder above a file that is there, and why nothing could be made in it; None: it could."""
    for folder in file.absolute().parents:
        try:
            folder.lstat()
            if not folder.is_dir():
                return folder, "it is a link to nothing" if folder.is_symlink() else "it is no folder"
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:  # a folder that may not be searched, a name that is too long
            return folder, str(error.strerror)
        return folder, None if os.access(folder, os.W_OK | os.X_OK) else "it is read-only for this user"
    raise AssertionError("the root of a file system is a folder")


def require_inside(project: Path, parameters: dict[str, Any]) -> None:
    """Refuse a relative folder of checkpoints that is none of the project's.

    Raises:
        ConfigurationError: one line.
    """
    from hyco.config import ConfigurationError

    folder = (parameters.get("hybrid") or {}).get("checkpoint_dir")
    if folder is None or Path(folder).is_absolute():
        return
    if not (project / folder).resolve().is_relative_to(project.resolve()):
        raise ConfigurationError(
            f"hybrid.checkpoint_dir: {folder!r:.80} leaves the project's folder; allowed: a folder in it, or an "
            "absolute path"
        )
