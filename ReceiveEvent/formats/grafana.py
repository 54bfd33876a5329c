"""Grafana's webhook contact point, which sends what Alertmanager sends and more.

Its links to a dashboard and a panel end at the time of sending, so each repeat has others: they are
not shown. Source:
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import alertmanager
from ReceiveEvent.reading import find, items, text, texts
from shared.errors import FieldError, InvalidRequestError

_NOTHING_MEASURED = {"DatasourceNoData": "No data", "DatasourceError": "Error"}
"""The names of the alerts that stand for a rule which could not be evaluated, and what they say."""


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return an event for each alert; raise InvalidRequestError if it is no group of alerts."""
    if find(body, "evalMatches") is not None and find(body, "alerts") is None:
        hint = "belongs to legacy dashboard alerts; send from a contact point of Grafana Alerting"
        raise InvalidRequestError(FieldError("evalMatches", hint))
    read_in_common = alertmanager.read(headers, body)
    alerts = items(body, "alerts")
    told = [_of_grafana(*pair) for pair in zip(read_in_common, alerts, strict=False)]
    return told + read_in_common[len(alerts) :]


def _of_grafana(event: Event | IgnoredEvent, alert: Any) -> Event | IgnoredEvent:
    if isinstance(event, IgnoredEvent):
        return event
    labels = texts(alert, "labels")
    event = replace(event, link=text(alert, "generatorURL"))
    name = labels.get("alertname", "")
    if name in _NOTHING_MEASURED:
        rule = labels.get("rulename", event.title)
        followed = event.topic if event.topic != name else rule
        event = replace(
            event,
            title=f"{_NOTHING_MEASURED[name]}: {rule}",
            topic=followed,
            text=text(alert, "annotations", "Error") or event.text,
        )
    return event
