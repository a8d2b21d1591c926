"""The base class of the typed records of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable

_LONGEST_PLACE = 80


class Record(BaseModel):
    """A JSON object of a run folder, which cannot be changed. Keys that are not listed are kept, as later versions add some.

    >>> class Person(Record):
    ...     name: str
    >>> Person.problem({"name": 5}), Person.problem({"name": "Ann", "age": 60})
    ('name: Input should be a valid string', None)
    >>> Person.model_validate({"age": 60, "name": "Ann"}).content()
    {'name': 'Ann', 'age': 60}
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    @classmethod
    def problem(cls, content: object) -> str | None:
        """The first reason why a JSON value is not a valid record: key and error, without the value. None if it is valid."""
        try:
            cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(map(str, first["loc"]))[:_LONGEST_PLACE]
            message = first["msg"].removeprefix("Value error, ")
            return printable(f"{place}: {message}" if place else message)
        return None

    @classmethod
    def checked(cls, content: object, path: Path, remedy: str) -> Self:
        """The record of a JSON value that was read from a file.

        Raises:
            InputError: The value is not a valid record; the message names the file and the key.
        """
        if problem := cls.problem(content):
            raise InputError(f"is not in the format of a run ({problem})", path=path, remedy=remedy)
        return cls.model_validate(content)

    def content(self) -> dict[str, Any]:
        """The JSON object: the keys that were set, in the order of the class, and then those that the class does not list."""
        return self.model_dump(exclude_unset=True)
