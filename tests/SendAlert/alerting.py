"""Alerts, step by step, and the people that they are for."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from SendAlert.enqueue import page_size
from SendAlert.fan_out import take_step
from SendAlert.progress import progress_of
from SendAlert.request import AlertRequest
from SendAlert.service import accept_alert
from shared.accounts.account import Account, OneToOne
from shared.accounts.rows import to_properties
from shared.alerts.alert import Alert
from shared.alerts.audience_pages import AudiencePage
from shared.messages.envelope import Envelope, Step
from shared.messages.queue_names import SEND_ACTIVITY, SEND_ALERT
from shared.sending.alert_steps import enqueue_step
from shared.settings import Settings
from shared.storage.encryption import new_key
from shared.storage.personal_keys import PersonalKey
from shared.storage.tables import Table, key_of
from shared.throttling.pacer import Pacer
from shared.wire_models import ChannelAccount
from shared.wiring import Services
from tests.support.builders import QueueReader, unique
from tests.support.clocks import FakeClock
from tests.support.lossy_storage import InterruptedStorage, LossyStorage
from tests.support.stub_server import Predicate
from tests.support.worker import Worker

STORAGE = "AzureWebJobsStorage"
BOT = ChannelAccount(id="28:bot", name="News")
_THREADS = 16


def through(
    storage: LossyStorage, app_settings: dict[str, str], services: Services, **changes: str
) -> Services:
    """The same services, by another way to the storage; with the pace that these have."""
    settings = {**app_settings, STORAGE: storage.connection_string, **changes}
    return replace(Services.of(Settings.from_environment(settings)), pacer=services.pacer)


class Alerting:
    """Sends alerts whose audience is read in small pages, and takes their steps."""

    def __init__(
        self,
        services: Services,
        queue_reader: Callable[[str], QueueReader],
        connector_url: str,
        *,
        members: int = 3,
    ) -> None:
        # By a clock of hours ago all is due as soon as it is on a queue.
        self.clock = FakeClock(datetime.now(UTC) - timedelta(hours=6))
        self.connector_url = connector_url
        self.sending = services
        self.services = replace(services, pacer=self.pacer(services, members))
        self.worker = Worker(services, queue_reader)
        self.queue = queue_reader(SEND_ALERT)
        self.queue.clear()

    def pacer(
        self, services: Services, members: int, *, clock: Callable[[], datetime] | None = None
    ) -> Pacer:
        """The fastest pacer with which a page has so many members; its lanes are nobody else's."""
        app_id = unique("pace")

        def with_rate(hundredths: int) -> Pacer:
            return Pacer(
                services.storage,
                app_id,
                rate_per_second=hundredths / 100,
                clock=clock or self.clock,
                sleep=self.clock.sleep,
            )

        too_fast = next(
            rate
            for rate in itertools.count(1)
            if page_size(replace(services, pacer=with_rate(rate))) > members
        )
        return with_rate(too_fast - 1)

    def know(self, count: int, **fields: Any) -> list[Account]:
        """Cache people who have a conversation each; return them in the order of their keys."""
        people = [self.person(unique("29:user"), **fields) for _ in range(count)]
        make_known(self.services, people)
        return sorted(people, key=lambda each: key_in(self.services, each))

    def person(self, user_id: str, **fields: Any) -> Account:
        known = {
            "channel_id": "msteams",
            "bot": BOT,
            "service_url": f"{self.connector_url}/teams/",
            "tenant_id": "tenant",
            "conversation": OneToOne(f"a:{user_id}"),
            "key": PersonalKey(uuid4().hex, new_key()),
        }
        return Account(user_id=user_id, **{**known, **fields})

    def change(self, person: Account, **fields: Any) -> None:
        """Change the account of a person."""
        make_known(self.services, [replace(person, **fields)])

    def accept(self, **alert: Any) -> Alert:
        """Accept an alert, by default to everybody; its first step is on the queue."""
        to: dict[str, Any] = (
            {} if "recipients" in alert or "audience" in alert else {"audience": {}}
        )
        content = {} if "activities" in alert else {"activity": {"text": "News"}}
        body = {**to, **content, **alert}
        return accept_alert(
            AlertRequest.from_json(body), body.get("id", unique("alert")), self.services
        )

    def accept_again(self, alert: Alert) -> None:
        """Have the first step of an alert be on the queue once more."""
        enqueue_step(alert, Step(kind="read"), self.services)

    def take(
        self, alert: Alert, kind: str, *, services: Services | None = None, **at: Any
    ) -> Alert:
        """Take a step of an alert, a minute after the one before; return the alert then."""
        self.clock.sleep(60)
        step = Step.model_validate({"kind": kind, **at})
        take_step(alert.id, step, services or self.services)
        return self.services.alerts.find(alert.id)

    def steps(self, kind: str = "") -> list[Step]:
        """Take the steps that are due from the queue; return those of a kind, or all.

        A test names the kind where a step of another one, which waits for a second, may be due.
        """
        envelopes = (Envelope.model_validate(message["_flow"]) for message in self.queue.take())
        steps = [envelope.step for envelope in envelopes if envelope.step is not None]
        return [step for step in steps if kind in ("", step.kind)]

    def take_again(self, alert: Alert, step: Step, **other: Any) -> Alert:
        """Take a step as it stood on the queue."""
        return self.take(alert, **step.model_dump(exclude_unset=True), **other)

    def run(self, alert: Alert) -> Alert:
        """Take all steps that are due, and those that they lead to."""
        while steps := self.steps():
            for step in steps:
                self.take_again(alert, step)
        return self.services.alerts.find(alert.id)

    def send(self, **alert: Any) -> Alert:
        """Send an alert to everybody, and count how that ended."""
        return self.finish(self.accept(**alert))

    def finish(self, alert: Alert) -> Alert:
        """Do all that is due, and count how it ended."""
        self.run(alert)
        self.worker.run()
        return self.take(alert, "close")

    def rest(self, alert: Alert) -> Alert:
        """Have an alert been stopped so long ago that nobody sends anything of it any more."""
        long_ago = datetime.now(UTC) - timedelta(minutes=1)

        def rested(current: Alert) -> Alert:
            return replace(
                current,
                cancelled_at=long_ago if current.cancelled_at else None,
                recalled_at=long_ago if current.recalled_at else None,
            )

        rested_alert = self.services.alerts.change(alert.id, rested)
        # By then nobody remembers it as it was.
        for services in (self.services, self.sending):
            vars(services).pop("alerts", None)
        return rested_alert

    def counts(self, alert: Alert) -> dict[str, int]:
        """The counts of an alert that are not zero, however far it is."""
        progress = progress_of(self.services.alerts.find(alert.id), self.services)
        return {str(name): count for name, count in progress.counts.items() if count}

    def page(self, alert: Alert, number: int = 0) -> AudiencePage:
        page = self.services.audience_pages.find(alert.id, number)
        assert page is not None
        return page

    def messages(self, queue: str = SEND_ACTIVITY) -> int:
        """How many messages are on a queue."""
        return self.worker.waits(queue)


@contextmanager
def interrupted(
    app_settings: dict[str, str], alerting: Alerting, when: Predicate, **what: Callable[[], object]
) -> Iterator[Services]:
    """Services whose storage is interrupted once; fails when it never was."""
    with InterruptedStorage(app_settings[STORAGE], when, **what) as storage:
        yield through(storage, app_settings, alerting.services)
        assert storage.interrupted == 1


def make_known(services: Services, people: Iterable[Account]) -> None:
    """Cache people, many at a time."""
    accounts, keys = Table(services.storage, "accounts"), Table(services.storage, "keys")

    def put(person: Account) -> None:
        row = {"PartitionKey": key_in(services, person), "RowKey": "account"}
        accounts.put({**row, "appId": services.settings.app_id, **to_properties(person)})
        assert person.key is not None
        keys.put({"PartitionKey": person.key.id, "RowKey": "key", "value": person.key.value})

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(put, people))


def recipients(*user_ids: str, channel_id: str = "msteams") -> list[dict[str, str]]:
    """People that an alert names."""
    return [{"channelId": channel_id, "userId": each} for each in user_ids]


def delays(calls: Iterable[str], queue: str = SEND_ALERT) -> list[int]:
    """For how many seconds messages were hidden when they were put on a queue."""
    put = [call for call in calls if f"/{queue}/messages" in call and call.startswith("POST")]
    return [int(call.partition("visibilitytimeout=")[2].partition("&")[0]) for call in put]


def key_in(services: Services, person: Account) -> str:
    """The key of a person's row, which says where they stand in the whole."""
    return key_of(services.settings.app_id, person.channel_id, person.user_id)


def put_as_it_was(alert: Alert, services: Services) -> None:
    """Put an alert's row back as it was, as if what came next had never been noted."""
    services.alerts.change(alert.id, lambda _current: alert)


def texts(connector: Any) -> Counter[tuple[str, str]]:
    """What was sent to which conversation, and how often."""
    return Counter(
        (call.json["conversation"]["id"], call.json["text"])
        for call in connector.requests
        if call.method == "POST" and "conversation" in call.json
    )
