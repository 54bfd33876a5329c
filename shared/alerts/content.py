"""What an alert says: one activity or several by language, and filled in for each person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.alerts.notification_summary import summary_of
from shared.alerts.placeholders import Template, template_of
from shared.errors import FieldError, InvalidRequestError, RequestTooLargeError
from shared.languages import best_match
from shared.wire_models import Activity, parse

_IN_ANY_LANGUAGE = ""
# As long as few names are, to measure by.
_SOME_NAME = "N" * 64


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
        return self._filled(chosen, topic, name)

    def each_activity(self, *, topic: str | None, most_bytes: int) -> Mapping[str, Activity]:
        """Return all that is said, by the name of its field in a request, to some name or other.

        Raises InvalidRequestError naming each placeholder for which there is no value, and
        RequestTooLargeError for what is more than so many bytes of UTF-16 when it is filled in.
        """
        scope = self._scope(topic, _SOME_NAME)
        problems = [each for one in self.templates.values() for each in one.problems(scope)]
        if problems:
            raise InvalidRequestError(*problems)
        fields = {
            locale: f"activities.{locale}" if locale else "activity" for locale in self.templates
        }
        for locale, template in self.templates.items():
            if 2 * template.characters(scope) > most_bytes:
                size = f"{most_bytes // 1024} KB of UTF-16"
                raise RequestTooLargeError(
                    FieldError(fields[locale], f"is too large when it is filled in: at most {size}")
                )
        return {field: self._filled(locale, topic, _SOME_NAME) for locale, field in fields.items()}

    def _filled(self, locale: str, topic: str | None, name: str | None) -> Activity:
        filled = dict(self.templates[locale].fill(self._scope(topic, name)))
        if locale != _IN_ANY_LANGUAGE:
            filled["locale"] = locale
        if filled.get("type", "message") == "message" and filled.get("summary") is None:
            summary = summary_of(filled) or topic
            if summary is not None:
                filled["summary"] = summary
        return parse(Activity, filled)

    def _scope(self, topic: str | None, name: str | None) -> Mapping[str, Any]:
        told = {} if topic is None else {"topic": topic}
        return {**self.data, **told, "name": name or "", "data": self.data}
