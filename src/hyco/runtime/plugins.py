"""Classes that the configuration names: built in, of an installed package, or of a file anywhere on Python's path.

A name is one of three things: a name of the built-in table; a name in the entry-point group of an installed package
(`[project.entry-points."hyco.equations"]` in its pyproject.toml); or `package.module:Class`. Classes from outside are
checked before they are used, and a `PluginError` says in one line what is wrong with one.
"""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel

T = TypeVar("T")


class PluginError(ValueError):
    """No class of this name can be used; the message says why, in one line."""


@cache
def _of_installed_packages(group: str, *path: str) -> metadata.EntryPoints:
    """The entry points of a group, read once for a path: that takes a file of each package that is installed."""
    return metadata.entry_points(group=group)


def _as_it_is(candidate: Any, _: str) -> Any:
    return candidate


def _nothing_more(_: type[Any]) -> str | None:
    return None


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The classes of one kind; `T` is what `load` returns, `type[Equation]` for instance.

    Attributes:
        kind: in words, for messages: "equation".
        built_in: the names of this package and where their classes live, as `package.module:Class`. A module is
            imported when its class is asked for.
        group: entry-point group of installed packages: "hyco.equations".
        base: where the class lives that all inherit from, or None: any class will do.
        config: where the model lives that the attribute `config_class` of all has to inherit from, or None: classes
            of this kind need no keys of their own.
        check: what else is wrong with a class from outside, or None.
        adapt: makes a class of what else may stand at a place outside this package, given that and its name.
    """

    kind: str
    built_in: Mapping[str, str]
    group: str
    base: str | None = None
    config: str | None = None
    check: Callable[[type[Any]], str | None] = _nothing_more
    adapt: Callable[[Any, str], Any] = _as_it_is

    def available(self) -> list[str]:
        """All names that need no module: built in, and of installed packages."""
        return sorted({*self.built_in, *(point.name for point in _of_installed_packages(self.group, *sys.path))})

    def load(self, name: str) -> T:
        """The class of this name.

        Raises:
            PluginError: there is none, or it cannot be used.
        """
        if name in self.built_in:
            return cast("T", _located(self.built_in[name]))
        candidate = self.adapt(self._import(name, name if ":" in name else self._entry_point(name)), name)
        if mistake := self._mistake(candidate, name):
            raise PluginError(f"{self.kind} {name!r}: {mistake}")
        return cast("T", candidate)

    def _entry_point(self, name: str) -> str:
        """Where the class of an installed package lives."""
        points = _of_installed_packages(self.group, *sys.path)
        places = sorted({point.value for point in points if point.name == name})
        if not places:
            raise PluginError(
                f"unknown {self.kind} {name!r}; available: {', '.join(self.available())}; or package.module:Class"
            )
        if len(places) > 1:
            raise PluginError(f"{self.kind} {name!r} is the name of several entry points: {', '.join(places)}")
        return places[0]

    def _import(self, name: str, place: str) -> Any:
        """What stands at a place outside this package."""
        module, _, attribute = place.partition(":")
        if not module or not attribute.isidentifier():
            raise PluginError(f"{self.kind} {name!r} is no package.module:Class")
        try:
            imported = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise PluginError(f"{self.kind} {name!r}: importing {module} fails: {in_one_line(error)}") from error
            raise PluginError(
                f"{self.kind} {name!r}: there is no module {error.name!r}; it has to lie in the folder of the project, "
                "or elsewhere on Python's path"
            ) from error
        except Exception as error:  # whatever a file of the user's raises
            raise PluginError(f"{self.kind} {name!r}: importing {module} fails: {in_one_line(error)}") from error
        if not hasattr(imported, attribute):
            own = [key for key, value in vars(imported).items() if getattr(value, "__module__", None) == module]
            classes = ", ".join(key for key in own if isinstance(getattr(imported, key), type)) or "none"
            raise PluginError(f"{self.kind} {name!r}: {module} has no {attribute}; its classes are: {classes}")
        return getattr(imported, attribute)

    def _mistake(self, candidate: Any, name: str) -> str | None:
        """Why something from outside is no class of this kind, or None."""
        if not isinstance(candidate, type):
            return f"{candidate!r:.60} is no class"
        if self.base is not None and not issubclass(candidate, base := _located(self.base)):
            return f"{candidate.__name__} is no subclass of {base.__module__}.{base.__qualname__}"
        if missing := sorted(getattr(candidate, "__abstractmethods__", ())):
            return f"{candidate.__name__} has no {', '.join(missing)}"
        return self._config_mistake(candidate, name) or self.check(candidate)

    def _config_mistake(self, candidate: type[Any], name: str) -> str | None:
        """What is wrong with the model of its keys, or None."""
        if self.config is None:
            return None
        base: type[BaseModel] = _located(self.config)
        config = getattr(candidate, "config_class", None)
        wanted = f"a subclass of {base.__module__}.{base.__qualname__} with its keys"
        if config is None:
            return f"{candidate.__name__} has no config_class: {wanted}"
        if not isinstance(config, type) or not issubclass(config, base):
            return f"the config_class of {candidate.__name__} is {config!r}, not {wanted}"
        field = config.model_fields.get("name")
        if field is not None and get_origin(field.annotation) is Literal and name not in get_args(field.annotation):
            return f"{config.__name__} does not take this name: leave `name` to {base.__name__}"
        return None


def in_one_line(error: BaseException) -> str:
    """The kind of an error, its text, and the line of the file that it comes from."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:  # a syntax error says where it is
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def takes(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a function or class can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    return True


def _located(place: str) -> Any:
    """The class at `package.module:Class`."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)
