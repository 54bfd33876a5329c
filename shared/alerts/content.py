"""What an alert says: one activity or several by language, and filled in for each person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import FieldError, InvalidRequestError
from shared.languages import best_match
from shared.models import Activity, parse
from shared.placeholders import Template, template_of
from shared.summaries import summary_of

_IN_ANY_LANGUAGE = ""


@dataclass(frozen=True)
class Content:
    """What an alert says; read once, and filled in for each person.

    ``templates`` are the activities by locale, or the only one under the empty locale. ``data`` is
    the alert's own object of values.
    """

    templates: Mapping[str, Template]
    data: Mapping[str, Any]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Content":
        """Return the content in an ``activity`` or ``activities``, with ``data``, if any.

        Raises InvalidRequestError naming each placeholder that is none.
        """
        activities = value.get("activities")
        if activities is None:
            fields = {_IN_ANY_LANGUAGE: ("activity", value["activity"])}
        else:
            fields = {locale: (f"activities.{locale}", each) for locale, each in activities.items()}
        templates: dict[str, Template] = {}
        problems: list[FieldError] = []
        for locale, (field, activity) in fields.items():
            try:
                templates[locale] = template_of(activity, field=field)
            except InvalidRequestError as error:
                problems.extend(error.field_errors)
        if problems:
            raise InvalidRequestError(*problems)
        return cls(templates, value.get("data") or {})

    def activity(
        self, *, topic: str | None, name: str | None, locale: str | None, default_locale: str
    ) -> Activity:
        """Return what is said to a person of this name who reads this language.

        ``${name}`` is the person's, ``${topic}`` the alert's; all else leads into its ``data``,
        which is there as ``${data.…}`` too. A message without a ``summary`` gets one, as channels
        show nothing else in a notification of a card.
        """
        wanted = [locale] if locale else []
        chosen = best_match(self.templates, *wanted, default_locale)
        filled = dict(self.templates[chosen].fill(self._scope(topic, name)))
        if chosen != _IN_ANY_LANGUAGE:
            filled["locale"] = chosen
        if filled.get("type", "message") == "message" and filled.get("summary") is None:
            summary = summary_of(filled) or topic
            if summary is not None:
                filled["summary"] = summary
        return parse(Activity, filled)

    def each_activity(self, *, topic: str | None) -> Mapping[str, Activity]:
        """Return all that is said, by the name of its field in a request, to nobody by name.

        Raises InvalidRequestError naming each placeholder for which there is no value.
        """
        scope = self._scope(topic, None)
        problems = [each for one in self.templates.values() for each in one.problems(scope)]
        if problems:
            raise InvalidRequestError(*problems)
        return {
            f"activities.{locale}" if locale else "activity": parse(Activity, template.fill(scope))
            for locale, template in self.templates.items()
        }

    def _scope(self, topic: str | None, name: str | None) -> Mapping[str, Any]:
        told = {} if topic is None else {"topic": topic}
        return {**self.data, **told, "name": name or "", "data": self.data}
