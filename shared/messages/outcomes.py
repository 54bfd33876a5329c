"""What other systems are told, on the queue that the setting OutcomeQueue names.

Each message is an event of CloudEvents 1.0.2 ("JSON Event Format", structured mode). It is put
once what it tells is recorded, and again by whatever finds that recorded already. A repeat has the
same id.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared import json_text
from shared.accounts.account import Account
from shared.deliveries.delivery import Delivery
from shared.errors import InvalidSettingError
from shared.json_text import without_none
from shared.messages.queue_names import QUEUES
from shared.settings import Settings
from shared.storage.clients import Storage
from shared.storage.queues import Queue
from shared.storage.tables import key_of

# "Naming Queues and Metadata", Azure Storage REST API.
_QUEUE_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")


class Outcomes:
    """Tells other systems what became of alerts and deliveries."""

    def __init__(self, storage: Storage, settings: Settings) -> None:
        """Raise InvalidSettingError where the queue is one of ours, or cannot have this name."""
        name = settings.outcome_queue
        if not _QUEUE_NAME.fullmatch(name) or name.removesuffix("-poison") in QUEUES:
            raise InvalidSettingError(
                "OutcomeQueue",
                "must be the name of a queue: 3 to 63 lower-case letters, digits and single "
                "hyphens; none of the app's own queues, and no poison queue of theirs",
            )
        self._queue = Queue(storage, name)
        self._source = settings.host_name

    def answered(
        self, alert_id: str, delivery_id: str, option: str, at: datetime, person: Account | None
    ) -> None:
        """Tell that a person has answered an alert; None where they were erased since then."""
        data = {
            "deliveryId": delivery_id,
            "option": option,
            "at": at.isoformat(),
            "person": person and _ids_of(person),
        }
        what = (delivery_id, option, at.isoformat())
        self._tell("alert.answered", alert_id, what, at, data)

    def ended(self, alert_id: str, version: int, counts: Mapping[str, int], at: datetime) -> None:
        """Tell that an alert has ended in a version, with its deliveries by status."""
        data = {"version": version, "counts": dict(counts)}
        self._tell("alert.ended", alert_id, (str(version),), at, data)

    def failed(self, delivery: Delivery) -> None:
        """Tell that a delivery has failed, as it is recorded."""
        data = {
            "alertId": delivery.alert_id,
            "status": delivery.status.value,
            "code": delivery.code,
            "attempts": delivery.attempts,
        }
        at = delivery.updated_at
        self._tell("delivery.failed", delivery.id, (delivery.posting,), at, data)

    def _tell(
        self, kind: str, subject: str, what: tuple[str, ...], at: datetime, data: dict[str, Any]
    ) -> None:
        event = {
            "specversion": "1.0",
            "id": key_of(kind, subject, *what),
            "source": self._source,
            "type": kind,
            "subject": subject,
            "time": at.isoformat(),
            "datacontenttype": "application/json",
            "data": without_none(data),
        }
        self._queue.send(json_text.to_text(event))


def _ids_of(person: Account) -> dict[str, str]:
    return without_none(
        {
            "channelId": person.channel_id,
            "userId": person.user_id,
            "aadObjectId": person.aad_object_id,
        }
    )
