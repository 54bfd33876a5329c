"""The content of an alert: one activity, or several by language, filled in for each person."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from shared.alerts.notification_summary import summary_of
from shared.alerts.placeholders import Template, template_of
from shared.errors import MOST_FIELD_ERRORS, FieldError, InvalidRequestError, RequestTooLargeError
from shared.languages import best_match
from shared.wire_models import Activity, parse

_IN_ANY_LANGUAGE = ""
# To measure by: few names are longer.
_LONG_NAME = "N" * 64


@dataclass(frozen=True)
class Content:
    """The content of an alert; read once, and filled in for each person.

    ``templates`` are the activities by locale; a single one is under the empty locale. ``data`` has
    the alert's own values.
    """

    templates: Mapping[str, Template]
    data: Mapping[str, Any]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Content":
        """Return the content in an ``activity`` or in ``activities``, with its ``data`` if any.

        Raises InvalidRequestError naming the field of each ``${`` that begins no placeholder.
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
        """Return the activity for a person of this name and locale.

        ``${name}`` is the person's, ``${topic}`` the alert's; any other path leads into its
        ``data``, with or without ``data.`` before it. A message without a ``summary`` gets one, as
        channels show nothing else in a notification of a card.
        """
        wanted = [locale] if locale else []
        chosen = best_match(self.templates, *wanted, default_locale)
        return self._filled(chosen, topic, name)

    def each_activity(self, *, topic: str | None, most_bytes: int) -> Mapping[str, Activity]:
        """Return all activities, filled in with a long name, by their fields in a request.

        Raises InvalidRequestError naming each placeholder without a value, and RequestTooLargeError
        for an activity of more than ``most_bytes`` of UTF-16.
        """
        scope = self._scope(topic, _LONG_NAME)
        found = (each for one in self.templates.values() for each in one.problems(scope))
        if problems := list(islice(found, MOST_FIELD_ERRORS + 1)):
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
        return {field: self._filled(locale, topic, _LONG_NAME) for locale, field in fields.items()}

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
        own = {} if topic is None else {"topic": topic}
        return {**self.data, **own, "name": name or "", "data": self.data}
