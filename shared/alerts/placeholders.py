r"""Placeholders in what is sent: ``${data.amount}`` in a text becomes each person's own amount.

The form is known from the template language of Adaptive Cards. Only its paths are supported: names
of letters, digits, ``_`` and ``-``, with dots between them. A number counts the members of a list
from 0: ``${data.items.0.title}``. There are no expressions and no functions.

A backslash right before ``${`` makes it text and is removed: ``\${name}`` comes out as ``${name}``.
Only this one backslash counts; all others are text and stay, so ``\\${name}`` comes out as
``\${name}``. A value is only ever text: what looks like a placeholder in it stays as it is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared import json_text
from shared.errors import MOST_FIELD_ERRORS, FieldError, InvalidRequestError
from shared.wire_models import path_of

_MARK = re.compile(r"\\\$\{|\$\{(?P<path>[^}]*)(?P<end>\}?)")
_PATH = re.compile(r"[\w-]+(\.[\w-]+)*")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Template:
    """A JSON value with placeholders: read once, filled in for each person, in many threads.

    It refers to the value that it was made of, which must not be changed any more.
    """

    _value: Any
    _filler: "_Filler | None"
    _placeholders: tuple["_Placeholder", ...]

    def problems(self, scope: Mapping[str, Any]) -> Iterator[FieldError]:
        """Return an error for each placeholder that has no value in ``scope``.

        Text, numbers, true and false are values; null, lists and objects are not.
        """
        for placeholder in self._placeholders:
            try:
                placeholder.fill(scope)
            except InvalidRequestError as error:
                yield from error.field_errors

    def characters(self, scope: Mapping[str, Any]) -> int:
        """Return how many characters the texts with placeholders have when they are filled in.

        They are not filled in for it: a long value that is repeated often could take all memory.
        """
        return 0 if self._filler is None else self._filler.characters(scope)

    def fill(self, scope: Mapping[str, Any]) -> Any:
        """Return the value, with each placeholder replaced by its value in ``scope``.

        Numbers, true and false are written as in JSON. Names of members are not filled in. Parts
        without placeholders are shared with the value itself, not copied. Raises
        InvalidRequestError for the first of the ``problems``.
        """
        return self._value if self._filler is None else self._filler.fill(scope)


def template_of(value: Any, *, field: str = "activity") -> Template:
    """Return the template of a JSON value; ``field`` is its path in the request, for errors.

    The value must not be nested deeper than ``json_text.require_depth`` allows. Raises
    InvalidRequestError naming each ``${`` that does not begin a placeholder.
    """
    reader = _Reader(field)
    template = reader.template_of(value)
    if reader.problems:
        raise InvalidRequestError(*reader.problems)
    return template


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """``location`` is where it stands: its path takes more room than all of the text may have."""

    within: str
    location: tuple[int | str, ...]
    path: str
    names: tuple[str, ...]

    def fill(self, scope: Mapping[str, Any]) -> str:
        value: Any = scope
        try:
            for name in self.names:
                value = _member(value, name)
        except LookupError:
            raise self._error("has no value") from None
        if isinstance(value, str):
            return value
        if isinstance(value, int | float):
            return json_text.to_text(value)
        kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
        raise self._error(f"is {kind}, not text, a number, true or false")

    def _error(self, problem: str) -> InvalidRequestError:
        field = path_of(self.within, self.location)
        return InvalidRequestError(FieldError(field, f"has ${{{self.path}}}, which {problem}"))


@dataclass(frozen=True, slots=True)
class _Text:
    parts: tuple[str | _Placeholder, ...]

    def characters(self, scope: Mapping[str, Any]) -> int:
        return sum(
            len(part) if isinstance(part, str) else len(part.fill(scope)) for part in self.parts
        )

    def fill(self, scope: Mapping[str, Any]) -> str:
        return "".join([part if isinstance(part, str) else part.fill(scope) for part in self.parts])


@dataclass(frozen=True, slots=True)
class _Branch:
    """An object or a list, and the fillers of its members that have placeholders."""

    value: Any
    fillers: tuple[tuple[Any, "_Filler"], ...]

    def characters(self, scope: Mapping[str, Any]) -> int:
        return sum(filler.characters(scope) for _, filler in self.fillers)

    def fill(self, scope: Mapping[str, Any]) -> Any:
        filled = self.value.copy()
        for at, filler in self.fillers:
            filled[at] = filler.fill(scope)
        return filled


_Filler = _Text | _Branch


class _Reader:
    """Reads one value, and keeps the placeholders and the problems that it finds."""

    def __init__(self, within: str) -> None:
        self._within = within
        self.problems: list[FieldError] = []
        self._placeholders: dict[_Placeholder, None] = {}

    def template_of(self, value: Any) -> Template:
        return Template(value, self._filler_of(value), tuple(self._placeholders))

    def _filler_of(self, value: Any, *location: int | str) -> _Filler | None:
        if isinstance(value, str):
            return self._text_of(value, location) if "${" in value else None
        members: Iterable[tuple[int | str, Any]]
        if isinstance(value, dict):
            members = value.items()
        elif isinstance(value, list):
            members = enumerate(value)
        else:
            return None
        fillers = ((at, self._filler_of(member, *location, at)) for at, member in members)
        found = tuple((at, filler) for at, filler in fillers if filler is not None)
        return _Branch(value, found) if found else None

    def _text_of(self, text: str, location: tuple[int | str, ...]) -> _Text:
        parts: list[str | _Placeholder] = []
        done = 0
        for mark in _MARK.finditer(text):
            parts.append(text[done : mark.start()])
            parts.append(self._part_of(mark, location))
            done = mark.end()
        return _Text((*parts, text[done:]))

    def _part_of(self, mark: re.Match[str], location: tuple[int | str, ...]) -> str | _Placeholder:
        path = mark["path"]
        if path is None:
            return "${"
        if mark["end"] and _PATH.fullmatch(path):
            placeholder = _Placeholder(self._within, location, path, tuple(path.split(".")))
            self._placeholders[placeholder] = None
            return placeholder
        # The text there is not repeated: it may be any part of the message.
        problem = "holds no path such as data.items.0.title" if mark["end"] else "is never closed"
        if len(self.problems) <= MOST_FIELD_ERRORS:
            self.problems.append(
                FieldError(
                    path_of(self._within, location),
                    f"has a ${{ at character {mark.start() + 1} that {problem}; "
                    "write \\${ where it is to be text",
                )
            )
        return ""


def _member(value: Any, name: str) -> Any:
    """Return a member of an object or a list; raise LookupError when there is none."""
    if isinstance(value, Mapping):
        return value[name]
    if isinstance(value, list) and _INDEX.fullmatch(name):
        return value[int(name)]
    raise LookupError(name)
