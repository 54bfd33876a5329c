"""What each sender writes: one pure module a sender, which knows nothing of alerts or storage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ReceiveEvent.event import Event, IgnoredEvent
from ReceiveEvent.formats import (
    alertmanager,
    azure_devops,
    azure_monitor,
    cloudevents,
    event_grid,
    generic,
    github,
    grafana,
)

Headers: TypeAlias = Mapping[str, str]
"""Of a request, by their names in lower case."""


def _nothing(*asked: Any) -> None:
    return None


@dataclass(frozen=True)
class Format:
    """How one sender's requests are read; see ReceiveEvent.body for what stands for their body.

    ``read`` returns what the body says, in its order, and raises InvalidRequestError for what is
    not this sender's at all. ``handshake`` returns the JSON that answers what the sender asks
    instead of sending an event, or None. ``consent`` returns the headers that answer its OPTIONS,
    or None where it has nothing to ask by that.
    """

    read: Callable[[Headers, Any], list[Event | IgnoredEvent]]
    handshake: Callable[[Headers, Any], dict[str, Any] | None] = _nothing
    consent: Callable[[Headers], dict[str, str] | None] = _nothing


FORMATS: Mapping[str, Format] = {
    "alertmanager": Format(alertmanager.read),
    "azure-devops": Format(azure_devops.read),
    "azure-monitor": Format(azure_monitor.read),
    "cloudevents": Format(cloudevents.read, consent=cloudevents.consent),
    "event-grid": Format(event_grid.read, event_grid.handshake, cloudevents.consent),
    "generic": Format(generic.read),
    "github": Format(github.read, github.handshake),
    "grafana": Format(grafana.read),
}
"""By the sender's name in the URL."""
