"""The parameters of an equation, and those that only its walls and sources name."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails


class Coefficients(BaseModel):
    """Parameters by name: those of the equation, as fields of a subclass, and numbers that walls or sources name."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False, frozen=True)
    __pydantic_extra__: dict[str, float]

    @property
    def added(self) -> tuple[str, ...]:
        """The names of those that are none of the equation's own."""
        return tuple(self.__pydantic_extra__ or ())

    def require(self, named: Collection[str]) -> None:
        """Refuse added parameters that no formula names.

        Raises:
            pydantic.ValidationError: there are some, as of a model that allows none.
        """
        unknown = [name for name in self.added if name not in named]
        if unknown:
            given = self.__pydantic_extra__ or {}
            lines = [
                InitErrorDetails(type="extra_forbidden", loc=("parameters", name), input=given[name])
                for name in unknown
            ]
            raise ValidationError.from_exception_data(type(self).__name__, lines)
