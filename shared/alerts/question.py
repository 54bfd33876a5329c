"""What an alert asks the people who get it, and what somebody has answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.wire_models import read_time

IN_ANY_LANGUAGE = ""


class AnswerMode(StrEnum):
    """Whose answers count: the ``first`` one, for everybody, or ``each`` person's own."""

    FIRST = "first"
    EACH = "each"


@dataclass(frozen=True)
class Option:
    """One of the answers that are offered, with its title by locale.

    A single title is under IN_ANY_LANGUAGE.
    """

    id: str
    titles: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """The answers that an alert offers, one button each."""

    options: tuple[Option, ...]
    mode: AnswerMode

    def option(self, option_id: str) -> Option | None:
        """Return the option of an id; None when it is not offered."""
        return next((each for each in self.options if each.id == option_id), None)

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        options = [{"id": each.id, "titles": dict(each.titles)} for each in self.options]
        return {"options": options, "mode": self.mode.value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Question":
        """Return what ``to_json`` gave."""
        options = tuple(Option(each["id"], each["titles"]) for each in value["options"])
        return cls(options, AnswerMode(value["mode"]))


@dataclass(frozen=True)
class Answer:
    """What a person has answered.

    ``delivery_id`` and ``key_id``, that of the key which the delivery is sealed with, tell who that
    is, as long as they are not erased.
    """

    option: str
    at: datetime
    delivery_id: str
    key_id: str

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {
            "option": self.option,
            "at": self.at.isoformat(),
            "deliveryId": self.delivery_id,
            "keyId": self.key_id,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Answer":
        """Return what ``to_json`` gave."""
        at = read_time(value["at"])
        return cls(value["option"], at, value["deliveryId"], value["keyId"])
