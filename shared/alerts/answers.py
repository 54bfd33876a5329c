"""What people have answered to alerts that ask each of them, and who somebody is who answered.

Table ``answers``, a row for each person who answered an alert. PartitionKey: that of the alert;
RowKey: the member of its audience, as in the id of their delivery. Nothing in the row tells who the
person is: that is found by the delivery, for as long as their key is there. Where the first answer
counts for everybody, it stands on the alert's own row.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from shared.accounts.account import Account
from shared.accounts.store import AccountStore
from shared.alerts.question import Answer
from shared.deliveries.rows import member_of, place_in_alert
from shared.deliveries.store import DeliveryStore
from shared.storage.clients import Storage
from shared.storage.personal_keys import PersonalKeys
from shared.storage.read_cache import ReadCache
from shared.storage.row_properties import to_fields, to_properties
from shared.storage.tables import Pauses, Row, Table, key_of, version_of

COUNTS_LAG: Final = timedelta(seconds=5)
"""How old the counts of answers may be."""

PERSON_REMEMBERED_FOR: Final = timedelta(seconds=1)
"""How long somebody who answered is named by what was read of them."""

_REMEMBERED = 100
_COUNTED_AT_ONCE = 1000
_THREADS = 8
# Who clicks more often than that within seconds is not told of each click.
_LATEST_KEPT = 20


@dataclass(frozen=True)
class Given:
    """What a person has answered so far: their ``answer``, and how often they did (``count``).

    ``latest`` are the marks of their latest answers.
    """

    answer: Answer | None = None
    count: int = 0
    latest: tuple[str, ...] = ()
    row_version: str = ""

    def includes(self, answer: Answer) -> bool:
        """Tell whether an answer of this person is one of those that were recorded."""
        return _mark(answer) in self.latest


class AnswerStore:
    """Records, counts and lists answers; one for all threads of the process."""

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        keys: PersonalKeys,
        deliveries: DeliveryStore,
        accounts: AccountStore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = Table(storage, "answers")
        self._app_id = app_id
        self._keys = keys
        self._deliveries = deliveries
        self._accounts = accounts
        self._counts = ReadCache[Mapping[str, int]](COUNTS_LAG, most=_REMEMBERED, clock=clock)
        self._people = ReadCache[Account | None](
            PERSON_REMEMBERED_FOR, most=_REMEMBERED, clock=clock
        )

    def find(self, delivery_id: str) -> Given:
        """Return what the person of a delivery of an alert has answered."""
        keys = self._keys_of(delivery_id)
        row = self._table.get(keys["PartitionKey"], keys["RowKey"])
        return _given(row) if row is not None else Given()

    def record(self, answer: Answer, *, after: int, given: Given | None = None) -> Given:
        """Record the answer that a person gives ``after`` so many; return what they have given.

        Where they have answered since, or not so often, it is not recorded. ``given`` is what they
        had given a moment ago, if that is known.
        """
        pauses = Pauses()
        known = given or self.find(answer.delivery_id)
        while True:
            if known.count != after:
                return known
            latest = (*known.latest, _mark(answer))[-_LATEST_KEPT:]
            recorded = Given(answer, after + 1, latest, known.row_version)
            version = self._write(recorded)
            if version is not None:
                return replace(recorded, row_version=version)
            pauses.take()
            known = self.find(answer.delivery_id)

    def counts(self, alert_id: str) -> Mapping[str, int]:
        """Return how many people have given each option, as it was COUNTS_LAG ago at most."""
        return self._counts.get(alert_id, lambda: self._count(alert_id))

    def page(self, alert_id: str, size: int, token: str | None) -> tuple[list[Answer], str | None]:
        """Return a page of the answers to an alert, and the token of the next page.

        There is a next page for as long as there is a token, whatever this one holds. Raises
        InvalidRequestError for a token that no page came with.
        """
        rows, token = self._table.page(
            "PartitionKey eq @key", {"key": self._key(alert_id)}, size=size, token=token
        )
        return [_answer(row) for row in rows], token

    def person(self, answer: Answer) -> Account | None:
        """Return who has given an answer, as they were PERSON_REMEMBERED_FOR ago at most.

        None when what was recorded of them is removed, or they are erased; at once, where this
        process has erased them.
        """
        who = (answer.delivery_id, answer.key_id, self._accounts.erasures)
        return self._people.get(who, lambda: self._find_person(answer))

    def people(self, answers: list[Answer]) -> list[Account | None]:
        """Return who has given each of these answers, as ``person`` does."""
        with ThreadPoolExecutor(_THREADS) as threads:
            return list(threads.map(self._find_person, answers))

    def _find_person(self, answer: Answer) -> Account | None:
        with ThreadPoolExecutor(1) as threads:
            key = threads.submit(self._keys.find, answer.key_id)
            delivery = self._deliveries.get(answer.delivery_id, find_key=lambda _id: key.result())
        to = delivery.destination if delivery else None
        stored = self._accounts.get(to.channel_id, to.user_id) if to and to.user_id else None
        return stored.account if stored else None

    def _count(self, alert_id: str) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        token: str | None = None
        while True:
            rows, token = self._table.page(
                "PartitionKey eq @key",
                {"key": self._key(alert_id)},
                size=_COUNTED_AT_ONCE,
                token=token,
                select=("option",),
            )
            counts.update(row["option"] for row in rows)
            if token is None:
                return counts

    def _write(self, given: Given) -> str | None:
        answer = given.answer
        if answer is None:
            raise ValueError("nothing was answered")
        row = {
            **self._keys_of(answer.delivery_id),
            **to_properties(answer),
            "alertId": _alert_of(answer.delivery_id),
            "count": given.count,
            "latest": ",".join(given.latest),
        }
        if given.row_version:
            return self._table.replace(row, given.row_version)
        return self._table.insert(row)

    def _keys_of(self, delivery_id: str) -> dict[str, Any]:
        partition = self._key(_alert_of(delivery_id))
        return {"PartitionKey": partition, "RowKey": member_of(delivery_id)}

    def _key(self, alert_id: str) -> str:
        return key_of(self._app_id, alert_id)


def _alert_of(delivery_id: str) -> str:
    place = place_in_alert(delivery_id)
    if place is None:
        raise ValueError("this is no delivery of an alert")
    return place[0]


def _mark(answer: Answer) -> str:
    return f"{answer.option} {answer.at.isoformat()}"


def _given(row: Row) -> Given:
    return Given(_answer(row), row["count"], tuple(row["latest"].split(",")), version_of(row))


def _answer(row: Row) -> Answer:
    return Answer(**to_fields(Answer, row))
