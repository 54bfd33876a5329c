"""Claims before the call, results after it.

Table ``deliveries``, a row for each message. PartitionKey: the hash of the bot's app id and the
delivery's id; RowKey: ``delivery``. The row is written before the call as a claim, a lease on
making it, and again with the result. So a message that the queue delivers twice is sent once.

The deliveries of an alert stand together, page by page of its audience, so that they are counted
by reading their page. PartitionKey: the hash of the bot's app id, the alert's id and the page's
number; RowKey: the member of the page, as in the delivery's id, ``<alert>:<page>:<member>``.

The ids of people stand in both only encrypted with the person's own key.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from shared.deliveries.delivery import Delivery, DeliveryState, Status
from shared.deliveries.failures import Failures, day_of
from shared.deliveries.rows import (
    STATE_PROPERTIES,
    FindKey,
    from_row,
    keys_of,
    partition_of_page,
    state_from_row,
    to_properties,
)
from shared.errors import (
    AlreadyDoneError,
    DeliveryUnderWayError,
    ForgottenRecipientError,
    IdInUseError,
    OutcomeUnknownError,
    StorageUnavailableError,
    UnknownDeliveryError,
)
from shared.storage.clients import Storage
from shared.storage.personal_keys import PersonalKeys
from shared.storage.tables import MOST_ROWS_AT_ONCE, Row, Table

MOST_ATTEMPTS = 6
"""The most calls for each posting of a message, with those in which a process died."""

_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Claim:
    """The right to make the call for a delivery, for some seconds; and the record so far."""

    delivery: Delivery
    version: str


class DeliveryStore:
    """Claims, records and finds deliveries."""

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        keys: PersonalKeys,
        failures: Failures,
        *,
        give_up_ambiguous: bool,
        clock: Callable[[], datetime] = partial(datetime.now, UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """With ``give_up_ambiguous``, no other try follows when a process died during a call."""
        self._table = Table(storage, "deliveries")
        self._app_id = app_id
        self._keys = keys
        self._failures = failures
        self._give_up_ambiguous = give_up_ambiguous
        self._clock = clock
        self._sleep = sleep

    def get(self, delivery_id: str, *, find_key: FindKey | None = None) -> Delivery | None:
        """Return a delivery; None when there is none.

        Who it is to stands in it where the person's key is found: by ``find_key``, where it is
        given, so that no other look-up is needed.
        """
        row = self._row(delivery_id)
        return from_row(row, find_key or self._keys.find) if row is not None else None

    def find(self, delivery_id: str) -> Delivery:
        """Return a delivery; raise UnknownDeliveryError when there is none."""
        delivery = self.get(delivery_id)
        if delivery is None:
            raise UnknownDeliveryError("There is no delivery of this id, or no more")
        return delivery

    def claim(self, delivery: Delivery, *, seconds: float, is_new: bool) -> Claim:
        """Claim the right to make the call for a delivery, for so many seconds.

        With ``is_new`` it is most likely not recorded yet. Raises AlreadyDoneError when it is done,
        DeliveryUnderWayError while somebody else has the claim, OutcomeUnknownError when a process
        died during the call and no other try is to follow, ForgottenRecipientError when the message
        was put back, but its recipient has been erased, and, as ``is_done`` and ``record`` do,
        IdInUseError when the record of this id is of another kind.
        """
        now = self._clock()
        wanted = replace(
            delivery,
            status=Status.SENDING,
            updated_at=now,
            attempts=1,
            until=now + timedelta(seconds=seconds),
        )
        claimed, before = wanted, None
        keys = keys_of(self._app_id, delivery.id)

        def claim(row: Row | None) -> Row:
            nonlocal claimed, before
            if row is None:
                claimed, before = wanted, None
                return {**keys, **to_properties(wanted)}
            known = from_row(row)
            claimed, before = self._following(known, wanted, now), known
            if known.status.is_failure:
                self._require_recipient(row)
            return {**keys, **to_properties(claimed)}

        version = self._table.change(keys, claim, is_new=is_new)
        if before is not None:
            self._forget_failure(before, now)
        return Claim(claimed, version)

    def is_done(self, delivery: Delivery) -> bool:
        """Tell whether the delivery of a message that came again is over already.

        Raises DeliveryUnderWayError while somebody else has the claim on it.
        """
        row = self._row(delivery.id)
        if row is None:
            return False
        try:
            self._following(from_row(row), delivery, self._clock())
        except AlreadyDoneError:
            return True
        except OutcomeUnknownError:
            return False
        return False

    def settle(self, claim: Claim, result: Delivery) -> None:
        """Record what became of a call.

        The call was made; if its result were lost, it would be made again. So this goes on trying
        until the claim runs out and others may make the call.
        """
        row = {**keys_of(self._app_id, result.id), **to_properties(result)}
        while True:
            try:
                # If we were so slow that somebody else has the claim, they record the result: they
                # know that it is ambiguous.
                self._table.replace(row, claim.version)
            except StorageUnavailableError:
                if claim.delivery.until is None or self._clock() >= claim.delivery.until:
                    raise
                self._sleep(_PAUSE_SECONDS)
            else:
                return

    def record(self, result: Delivery) -> None:
        """Record what became of a delivery for which no call was made.

        A record that is final stays as it is, and so does one that somebody else has the claim on:
        raises DeliveryUnderWayError where the message was to end here.
        """
        result = replace(result, attempts=0)
        keys = keys_of(self._app_id, result.id)
        followed: Delivery | None = None
        before: Delivery | None = None

        def record(row: Row | None) -> Row:
            nonlocal followed, before
            followed = before = None
            if row is None:
                return {**keys, **to_properties(result)}
            known = from_row(row, None if result.destination else self._keys.find)
            try:
                followed = self._following(known, result, result.updated_at)
            except AlreadyDoneError:
                return row
            except DeliveryUnderWayError:
                if result.status.is_final:
                    raise
                return row
            except OutcomeUnknownError:
                followed = replace(
                    result,
                    created_at=known.created_at,
                    attempts=known.attempts,
                    recreated=known.recreated or result.recreated,
                    ambiguous=True,
                )
            before = known
            return {**keys, **to_properties(followed)}

        self._table.change(keys, record, is_new=True)
        if followed is None or before is None:
            return
        if followed.failed_on is None or before.failed_on not in (None, followed.failed_on):
            self._forget_failure(before, result.updated_at)

    def record_all(self, results: Sequence[Delivery]) -> None:
        """Record what becomes of members of one page of an alert who are sent nothing.

        Where a message to one of them is on its way, what becomes of that counts.
        """
        for start in range(0, len(results), MOST_ROWS_AT_ONCE):
            some = results[start : start + MOST_ROWS_AT_ONCE]
            rows = [{**keys_of(self._app_id, each.id), **to_properties(each)} for each in some]
            if not self._table.insert_all(rows):
                for each in some:
                    with suppress(DeliveryUnderWayError):
                        self.record(each)

    def page(self, alert_id: str, page: int) -> list[DeliveryState]:
        """Return how far the deliveries of a page of an alert are that are recorded."""
        partition = partition_of_page(self._app_id, alert_id, page)
        rows = self._table.partition(partition, select=STATE_PROPERTIES)
        return [state_from_row(row, alert_id, page) for row in rows]

    def note_change(
        self,
        delivery_id: str,
        alert_version: int,
        activity_id: str,
        *,
        recalled: bool,
        answers: int = 0,
    ) -> None:
        """Record which version of an alert a person sees now, or that it was recalled.

        ``activity_id`` is the id that it now has, ``answers`` how many of the person's own answers
        it shows. What comes too late, after a newer one, changes nothing.
        """

        def note(row: Row | None) -> Row | None:
            if row is None:
                return None
            if (row.get("alertVersion", 0), row.get("answers", 0)) > (alert_version, answers):
                return row
            return {
                **row,
                "activityId": activity_id,
                "alertVersion": alert_version,
                "recalled": recalled,
                "answers": answers,
            }

        self._table.change(keys_of(self._app_id, delivery_id), note)

    def _following(self, known: Delivery, wanted: Delivery, now: datetime) -> Delivery:
        """Return the wanted record, completed from the known one; raise if it must not follow."""
        if known.kind and wanted.kind and known.kind != wanted.kind:
            raise IdInUseError
        ambiguous = known.ambiguous
        is_posted_anew = wanted.posting != known.posting
        before = known.attempts if is_posted_anew else known.attempts_before
        if _is_done(known, wanted):
            raise AlreadyDoneError(f"This delivery is done: {known.status}")
        if known.status is Status.SENDING:
            left = (known.until - now).total_seconds() if known.until else 0
            if left > 0:
                underway = DeliveryUnderWayError("Somebody else is making this call right now")
                underway.retry_after_seconds = left
                raise underway
            if self._give_up_ambiguous or known.attempts - (before or 0) >= MOST_ATTEMPTS:
                raise OutcomeUnknownError(
                    "The app died in the middle of the call, so nobody knows whether it was made"
                )
            ambiguous = True
        return replace(
            wanted,
            kind=wanted.kind or known.kind,
            created_at=known.created_at,
            attempts=known.attempts + wanted.attempts,
            attempts_before=before,
            recreated=known.recreated or wanted.recreated,
            ambiguous=ambiguous or wanted.ambiguous,
            destination=wanted.destination or known.destination,
            alert_id=wanted.alert_id or known.alert_id,
        )

    def _forget_failure(self, known: Delivery, now: datetime) -> None:
        """Delete what was kept when a delivery failed, as it is on its way again now."""
        if known.failed_on:
            self._failures.forget(known.id, known.failed_on, until=known.updated_at)
        elif known.status is Status.SENDING:
            # A process died with the claim, perhaps after it kept a failure and did not record it.
            for day in {day_of(known.updated_at), day_of(known.until or known.updated_at)}:
                self._failures.forget(known.id, day, until=now)

    def _require_recipient(self, row: Row) -> None:
        if "keyId" in row and self._keys.find(row["keyId"]) is None:
            raise ForgottenRecipientError("The recipient was forgotten after this had failed")

    def _row(self, delivery_id: str) -> Row | None:
        keys = keys_of(self._app_id, delivery_id)
        return self._table.get(keys["PartitionKey"], keys["RowKey"])


def _is_done(known: Delivery, wanted: Delivery) -> bool:
    """Tell whether a delivery is over. What failed is not, once it is put on a queue again."""
    was_put_back = wanted.posting != known.posting
    return known.status.is_final and (known.status.is_for_good or not was_put_back)
