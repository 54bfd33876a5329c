"""Finding and changing alerts, their content and their recipients.

Table ``alerts``, a row for each alert. PartitionKey: the hash of the bot's app id and the alert's
id; RowKey: ``alert``. The row says who the alert is for and how far it is. Its content is kept
aside (``bodies``), under another key after each edit; so are its recipients, if it names any.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import json_text
from shared.alerts.alert import Alert, Audience, Range
from shared.alerts.content import Content
from shared.alerts.question import Answer, Question
from shared.errors import CancelledError, UnknownAlertError
from shared.storage.clients import Storage
from shared.storage.large_values import LargeValues
from shared.storage.read_cache import ReadCache
from shared.storage.row_properties import to_fields, to_properties
from shared.storage.tables import Pauses, Row, Table, key_of, version_of

_ROW_KEY = "alert"
REMEMBERED_FOR = timedelta(seconds=1)
"""How long an alert is sent by what was read of it, without reading it again."""

_ALERTS_REMEMBERED = 100
_CHARACTERS_REMEMBERED = 4 * 1024 * 1024


class AlertStore:
    """Finds and changes alerts; one for all threads of the process."""

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        large_values: LargeValues,
        *,
        kept_days: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = Table(storage, "alerts")
        self._app_id = app_id
        self._large_values = large_values
        self._kept_for = timedelta(days=kept_days)
        self._alerts_read = ReadCache[Alert](REMEMBERED_FOR, most=_ALERTS_REMEMBERED, clock=clock)
        # A content is never changed: an edit is kept under another key.
        self._contents_read = ReadCache[tuple[int, Content]](
            timedelta.max, most=_CHARACTERS_REMEMBERED, size_of=lambda found: found[0]
        )

    def create(self, alert: Alert) -> bool:
        """Keep a new alert; False if there is one of this id already."""
        return self._table.insert(self._to_row(alert)) is not None

    def find(self, alert_id: str) -> Alert:
        """Return an alert; raise UnknownAlertError when there is none."""
        row = self._table.get(key_of(self._app_id, alert_id), _ROW_KEY)
        if row is None:
            raise UnknownAlertError("There is no alert of this id, or no more")
        return _from_row(row)

    def current(self, alert_id: str, *, version: int = 0) -> Alert:
        """Return an alert as it was a second ago at most, in the given version or a later one.

        Most calls take no round trip.
        """
        return self._alerts_read.get(
            alert_id, lambda: self.find(alert_id), is_good=lambda alert: alert.version >= version
        )

    def under_way(self, alert_id: str) -> Alert:
        """Return an alert as ``current`` does; raise CancelledError when it was stopped."""
        alert = self.current(alert_id)
        if alert.stopped_at is not None:
            raise CancelledError("The alert was cancelled, or recalled, before this was sent")
        return alert

    def change(
        self,
        alert_id: str,
        change: Callable[[Alert], Alert],
        *,
        known: Alert | None = None,
    ) -> Alert:
        """Write what ``change`` makes of an alert, and return it.

        ``change`` is called again when somebody else was faster; an equal alert is not written.
        With ``known``, as it was read a moment ago, it is not read at first.
        """
        pauses = Pauses()
        current = known if known and known.row_version else self.find(alert_id)
        while True:
            changed = change(current)
            if changed == current:
                return changed
            changed = replace(changed, updated_at=datetime.now(UTC))
            version = self._table.replace(self._to_row(changed), current.row_version)
            if version is not None:
                return replace(changed, row_version=version)
            pauses.take()
            current = self.find(alert_id)

    def page(self, size: int, token: str | None = None) -> tuple[list[Alert], str | None]:
        """Return a page of all alerts, and the token of the next page.

        A page may be empty: go on until there is no token. Raises InvalidRequestError for a token
        that this list did not give.
        """
        rows, next_token = self._table.page(
            "appId eq @appId", {"appId": self._app_id}, size=size, token=token
        )
        return [_from_row(row) for row in rows], next_token

    def keep(self, value: object, send_at: datetime | None) -> str:
        """Keep the content or the recipients of an alert, at least as long as its records."""
        text = json_text.to_text(value)
        return self._large_values.keep(text, until=self.kept_until(send_at))

    def kept_until(self, send_at: datetime | None) -> datetime:
        """Return until when an alert that is to be sent at a time is kept at least."""
        now = datetime.now(UTC)
        return max(send_at or now, now) + self._kept_for

    def keep_longer(self, alert: Alert) -> Alert:
        """Have an alert that is under way be kept longer, when half of the time is over."""
        until = self.kept_until(alert.send_at)
        if alert.until is not None and until - alert.until < self._kept_for / 2:
            return alert
        for key in filter(None, (alert.content_key, alert.recipients_key)):
            self._large_values.keep_longer(key, until=until)
        return self.change(alert.id, lambda current: replace(current, until=until), known=alert)

    def content(self, alert: Alert) -> Content:
        """Return the content of an alert; raise UnknownAlertError when it is not kept any more."""
        key = alert.content_key

        def find() -> tuple[int, Content]:
            text = self._kept(key)
            return len(text), Content.from_json(json_text.parse_own_object(text))

        return self._contents_read.get(key, find)[1]

    def recipients(self, alert: Alert) -> list[tuple[str, str]]:
        """Return the channel and user ids of an alert's recipients; none if it has an audience."""
        if alert.recipients_key is None:
            return []
        recipients = json_text.parse(self._kept(alert.recipients_key))
        return [(channel_id, user_id) for channel_id, user_id in recipients]

    def drop(self, key: str | None) -> None:
        """Remove a content or recipients; without a key, nothing."""
        if key is not None:
            self._large_values.drop(key)

    def _kept(self, key: str) -> str:
        text = self._large_values.fetch(key)
        if text is None:
            raise UnknownAlertError("What the alert says is not kept any more")
        return text

    def _to_row(self, alert: Alert) -> dict[str, Any]:
        return {
            **to_properties(alert, but=("question", "first_answer", "row_version")),
            "PartitionKey": key_of(self._app_id, alert.id),
            "RowKey": _ROW_KEY,
            "appId": self._app_id,
            "channelIds": ",".join(alert.channel_ids),
            "ranges": json_text.to_text([astuple(each) for each in alert.ranges]),
            "audience": json_text.to_text(asdict(alert.audience)),
            "counts": json_text.to_text(dict(alert.counts)),
            **{
                name: json_text.to_text(each.to_json())
                for name, each in (
                    ("question", alert.question),
                    ("firstAnswer", alert.first_answer),
                )
                if each is not None
            },
        }


def _from_row(row: Row) -> Alert:
    audience = json.loads(row["audience"])
    question, first_answer = row.get("question"), row.get("firstAnswer")
    return Alert(
        **to_fields(Alert, row)
        | {
            "audience": Audience(**{**audience, "interests": tuple(audience["interests"])}),
            "ranges": tuple(Range(*each) for each in json.loads(row.get("ranges", "[]"))),
            "channel_ids": tuple(filter(None, row["channelIds"].split(","))),
            "counts": json.loads(row["counts"]),
            "question": Question.from_json(json.loads(question)) if question else None,
            "first_answer": Answer.from_json(json.loads(first_answer)) if first_answer else None,
            "row_version": version_of(row),
        }
    )
