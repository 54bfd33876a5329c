"""Events of one incident, acted on by processes that die or are overtaken, and what people see."""

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from ReceiveEvent.event import Event
from ReceiveEvent.request import EventQuery, ReceivedEvents
from ReceiveEvent.service import act_on_queued_events, decisions_on
from SendAlert.fan_out import take_step
from shared.accounts.account import Account
from shared.alerts.incidents import Incident
from shared.alerts.question import Answer
from shared.deliveries.rows import id_in_alert
from shared.errors import UnknownAlertError
from shared.messages.envelope import Envelope
from shared.messages.queue_names import RECEIVE_EVENT
from shared.messages.queued_message import QueuedMessage
from shared.settings import Settings
from shared.wiring import Services
from tests.SendAlert.alerting import Alerting
from tests.support.connector import is_send
from TrackDelivery.retention import remove_old_rows

QUERY = EventQuery(interest=["disks"])


class Killed(BaseException):
    """The process died."""


class MortalSession:
    """Storage's connections, in a process that dies after a write, or that is overtaken before.

    ``overtake`` is done right before that write. It dies where nobody overtakes it.
    """

    def __init__(
        self, session: Any, write: int | None, overtake: Callable[[], object] | None = None
    ) -> None:
        self._session = session
        self._write = write
        self._overtake = overtake
        self._writes = 0

    def request(self, *asked: Any, **options: Any) -> Any:
        self._writes += asked[0] != "GET"
        is_it = self._writes == self._write
        if is_it:
            self._write = None
        if is_it and self._overtake:
            self._overtake()
        answer = self._session.request(*asked, **options)
        if is_it and not self._overtake:
            raise Killed
        return answer


def message_of(received: ReceivedEvents, *, minutes: float = 0) -> QueuedMessage:
    """The message of what is received, so many minutes later than it is."""
    events = [each for each in received.events if isinstance(each, Event)]
    accepted_at = datetime.now(UTC) + timedelta(minutes=minutes)
    envelope = Envelope(id=uuid4().hex, accepted_at=accepted_at)
    return QueuedMessage(RECEIVE_EVENT, received.to_message(events), envelope)


class Receiving:
    """Acts on events of one incident at a time, and sends what that leads to."""

    def __init__(self, alerting: Alerting, app_settings: dict[str, str], connector: Any) -> None:
        self.alerting = alerting
        self._settings = Settings.from_environment(app_settings)
        self._connector = connector
        self.query = QUERY
        self.key = uuid4().hex
        self.begin()

    def begin(self) -> None:
        """Go on with another incident."""
        self.key = uuid4().hex
        self._earlier = sum(map(is_send, self._connector.requests))

    def receive(self, event: dict[str, Any]) -> None:
        """Act on an event."""
        self._receive(event, Services.of(self._settings))

    def dies_at(self, event: dict[str, Any], write: int) -> bool:
        """Act on an event in a process that dies after a write; whether there are so many."""
        services = Services.of(self._settings)
        session = MortalSession(services.storage._transport, write)
        vars(services.storage)["_transport"] = session
        try:
            self._receive(event, services)
        except Killed:
            return True
        return False

    def is_overtaken_at(self, event: dict[str, Any], write: int, later: dict[str, Any]) -> bool:
        """Act on an event, and before one of its writes on a later one, in another process."""
        services, overtaken = Services.of(self._settings), []

        def overtake() -> None:
            overtaken.append(True)
            self.receive(later)

        session = MortalSession(services.storage._transport, write, overtake)
        vars(services.storage)["_transport"] = session
        self._receive(event, services)
        return bool(overtaken)

    def foresee(self, event: dict[str, Any]) -> str:
        """What would be made of an event."""
        [(_, decision)] = decisions_on(self._received(event), self.alerting.services)
        assert decision is not None
        return decision.action

    def _receive(self, event: dict[str, Any], services: Services) -> None:
        minutes = event.get("minutes", 0)
        act_on_queued_events(message_of(self._received(event), minutes=minutes), services)

    def _received(self, event: dict[str, Any]) -> ReceivedEvents:
        said = {"key": self.key, "state": "firing", "topic": "disks", **event}
        said.pop("minutes", None)
        return ReceivedEvents("generic", self.query, [Event(**said)])

    def finish(self) -> None:
        """Take all steps of alerts that are due, but those that only count, and send."""
        services = self.alerting.services
        while taken := self.alerting.queue.take():
            for message in taken:
                envelope = Envelope.model_validate(message["_flow"])
                if envelope.alert and envelope.step and envelope.step.kind != "close":
                    # A page is read when the one before is due.
                    self.alerting.clock.sleep(60)
                    take_step(envelope.alert, envelope.step, services)
            self.alerting.worker.run()

    def take_one_page(self) -> None:
        """Read the first page of the audience, and send to it."""
        [message] = self.alerting.queue.take()
        envelope = Envelope.model_validate(message["_flow"])
        assert envelope.alert is not None
        assert envelope.step is not None
        take_step(envelope.alert, envelope.step, self.alerting.services)
        self.alerting.worker.run()

    def begin_long_ago(self) -> None:
        """Have the alert be as old as those that are removed, though nothing has removed it yet."""
        now, days = datetime.now(UTC), self._settings.delivery_retention_days
        self.alerting.services.alerts.change(
            self.incident.alert_id or "",
            lambda alert: replace(alert, started_at=now - timedelta(days=days), until=now),
        )

    def forget_alert(self) -> None:
        """Have the alert be removed, as its incident fires on for longer than it is kept."""
        self.begin_long_ago()
        days = self._settings.delivery_retention_days
        now = datetime.now(UTC) + timedelta(days=days, hours=12)
        remove_old_rows(self.alerting.services, now=now)
        with pytest.raises(UnknownAlertError):
            self.alerting.services.alerts.find(self.incident.alert_id or "")

    def is_taken_by(self, person: Account) -> None:
        """Have somebody of the first page answer that they take it."""
        alert_id, key = self.incident.alert_id or "", person.key
        assert key is not None
        answer = Answer("take", datetime.now(UTC), id_in_alert(alert_id, 0, key.id), key.id)
        self.alerting.services.alerts.change(
            alert_id, lambda alert: replace(alert, first_answer=answer)
        )

    @property
    def offers(self) -> str:
        """What the reader's copy says last: the title of its button, or who has taken it."""
        [attachment] = self._connector.requests[-1].json["attachments"]
        last = attachment["content"]["body"][-1]
        if last["type"] == "ActionSet":
            return " ".join(each["title"] for each in last["actions"])
        text: str = last["inlines"][0]["text"]
        return text

    @property
    def incident(self) -> Incident:
        found = self.alerting.services.incidents.find("generic", self.query.who_is_told, self.key)
        assert found is not None
        return found

    @property
    def seen(self) -> list[str]:
        """What the reader sees in the end of each message that they got: its title, and the end."""
        numbers = itertools.count(1)
        shown: dict[str, str] = {}
        for call in self._connector.requests:
            copy = f"activity-{next(numbers)}" if is_send(call) else call.path.rpartition("/")[2]
            if call.method == "DELETE":
                del shown[copy]
                continue
            said = json.dumps(call.json)
            sees = re.findall("Title-.", said)[0] + ("resolved" in said.lower()) * " resolved"
            shown[copy] = sees
        return list(shown.values())[self._earlier :]
