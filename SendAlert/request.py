"""Requests: an alert, an edit of it, and lists of alerts and of their deliveries."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import Field

from shared import json_text
from shared.alerts.alert import Alert, Audience
from shared.alerts.question import IN_ANY_LANGUAGE, AnswerMode, Option, Question
from shared.deliveries.delivery import Status
from shared.deliveries.rows import place_in_alert
from shared.errors import FieldError, InvalidRequestError
from shared.storage.continuation_tokens import unknown_token
from shared.storage.tables import key_of
from shared.wire_models import (
    FEW_NAMES,
    Activity,
    ChannelId,
    EntraId,
    ListOf,
    Locale,
    Name,
    Recipient,
    Timestamp,
    WireModel,
    canonical_id,
    parse,
)

# A property of a row holds 32 K characters.
_LARGEST_PROPERTY_BYTES = 32 * 1024
_MOST_CHANNELS = 100
_TOKEN = re.compile(r"(?P<page>\d{1,9})\.(?P<member>[\da-f]{32}|r\d{1,9}|)")
# The id of a delivery adds the page and the member to it.
AlertId = Annotated[str, Field(min_length=1, max_length=512)]
_Interest = Annotated[Name, Field(min_length=1)]
Title = Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]


class AudienceBody(WireModel):
    """The people an alert is for: those who match all that is given; an empty one is everybody."""

    # An empty list is most likely the mistake of a sender who found no interests, so it is refused.
    interests: Annotated[ListOf[_Interest], Field(min_length=1)] | None = None
    channel_id: ChannelId | None = None
    locale: Locale | None = None
    tenant_id: EntraId | None = None

    def to_audience(self) -> Audience:
        """Return the audience."""
        return Audience(tuple(self.interests or ()), self.channel_id, self.locale, self.tenant_id)


class OptionBody(WireModel):
    """One of the answers that an alert offers; what its button says, in one language or several."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    title: Title | None = None
    titles: Annotated[dict[Locale, Title], Field(min_length=1), FEW_NAMES] | None = None


class AnswersBody(WireModel):
    """The answers that an alert offers, and whose count."""

    options: Annotated[list[OptionBody], Field(min_length=1, max_length=6)]
    mode: Annotated[AnswerMode, Field(strict=False)] = AnswerMode.FIRST

    def to_question(self) -> Question:
        """Return the question; raise InvalidRequestError naming each option at fault."""
        problems: list[FieldError] = []
        ids = [each.id for each in self.options]
        for index, option in enumerate(self.options):
            field = f"answers.options[{index}]"
            if (option.title is None) == (option.titles is None):
                problems.append(
                    FieldError(f"{field}.title", "give either this or titles, not both")
                )
            if option.id in ids[:index]:
                problems.append(FieldError(f"{field}.id", "is the id of another option"))
        if problems:
            raise InvalidRequestError(*problems)
        options = [
            Option(each.id, each.titles or {IN_ANY_LANGUAGE: each.title or ""})
            for each in self.options
        ]
        return Question(tuple(options), self.mode)


class ContentBody(WireModel):
    """One activity, or one in several languages by locale, and values for its placeholders."""

    activity: Activity | None = None
    activities: Annotated[dict[Locale, Activity] | None, FEW_NAMES] = None
    data: dict[str, Any] | None = None

    def require_one(self) -> None:
        """Raise InvalidRequestError unless there is either an activity or several."""
        if (self.activity is None) == (not self.activities):
            raise InvalidRequestError(
                FieldError("activity", "give either this or activities, not both")
            )

    def content_json(self) -> dict[str, Any]:
        """Return the content as it is kept."""
        body = self.to_json()
        # Empty activities may stand beside an activity.
        names = ("activity" if self.activity else "activities", "data")
        return {name: body[name] for name in names if body.get(name) is not None}


class AlertRequest(ContentBody):
    """A request to send an alert: the body over HTTP and on the queue."""

    id: AlertId | None = None
    recipients: Annotated[ListOf[Recipient], Field(min_length=1)] | None = None
    audience: AudienceBody | None = None
    answers: AnswersBody | None = None
    topic: Name | None = None
    topic_name: Name | None = None
    send_at: Timestamp | None = None
    expires_at: Timestamp | None = None
    dry_run: bool = False

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "AlertRequest":
        """Return the request in ``body``; raise InvalidRequestError naming each field at fault."""
        request = parse(cls, body)
        if (request.recipients is None) == (request.audience is None):
            raise InvalidRequestError(
                FieldError("audience", "give either this or recipients, not both")
            )
        request.require_one()
        request._require_room()
        if request.expires_at and request.send_at and request.expires_at <= request.send_at:
            raise InvalidRequestError(FieldError("expiresAt", "must be after sendAt"))
        return request

    def to_alert(self, alert_id: str, *, traceparent: str | None = None) -> Alert:
        """Return the alert, whose content and recipients are not kept yet.

        Raises InvalidRequestError if it has expired already.
        """
        now = datetime.now(UTC)
        if self.expires_at is not None and self.expires_at <= now:
            raise InvalidRequestError(FieldError("expiresAt", "is over already"))
        return Alert(
            id=alert_id,
            created_at=now,
            updated_at=now,
            fingerprint=self.fingerprint,
            content_key="",
            channel_ids=self.channel_ids,
            audience=self.audience.to_audience() if self.audience else Audience(),
            recipient_count=len(self.named) if self.recipients is not None else None,
            topic=self.topic,
            topic_name=self.topic_name,
            send_at=self.send_at,
            expires_at=self.expires_at,
            traceparent=traceparent,
            question=self.answers.to_question() if self.answers else None,
        )

    def _require_room(self) -> None:
        """Raise InvalidRequestError for more than an alert's row can hold."""
        if self.id is not None and place_in_alert(self.id) is not None:
            raise InvalidRequestError(FieldError("id", "is as those of an alert's deliveries"))
        if self.audience is not None:
            audience = self.audience.to_json()
            json_text.require_size(audience, _LARGEST_PROPERTY_BYTES, field="audience")
        if self.answers is not None:
            question = self.answers.to_question().to_json()
            json_text.require_size(question, _LARGEST_PROPERTY_BYTES, field="answers")
        if len(self.channel_ids) > _MOST_CHANNELS:
            raise InvalidRequestError(
                FieldError("recipients", f"must be on {_MOST_CHANNELS} channels at most")
            )

    @property
    def named(self) -> list[tuple[str, str]]:
        """The channel and user ids of the people that it names, each once."""
        recipients = self.recipients or ()
        named = {(each.channel_id, canonical_id(each.user_id)): each for each in recipients}
        return [(each.channel_id, each.user_id) for each in named.values()]

    @property
    def fingerprint(self) -> str:
        """A hash that tells this request from another one with the same id."""
        asked = {**self.to_json(), "id": None}
        return key_of(json.dumps(asked, sort_keys=True, default=str))

    @property
    def channel_ids(self) -> tuple[str, ...]:
        """The channels that it may go to; empty for any."""
        if self.recipients is not None:
            return tuple(sorted({each.channel_id for each in self.recipients}))
        channel_id = self.audience.channel_id if self.audience else None
        return (channel_id,) if channel_id else ()


class EditRequest(ContentBody):
    """The new content of an alert; without ``data`` the alert's own stays."""

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "EditRequest":
        """Return the request in ``body``, which may also be the activity itself."""
        wraps = not {"activity", "activities"}.isdisjoint(body)
        request = parse(cls, body) if wraps else cls(activity=parse(Activity, body))
        request.require_one()
        return request


class AlertQuery(WireModel):
    """Which page of the list of alerts."""

    page_size: Annotated[int, Field(strict=False, ge=1, le=1000)] = 100
    continuation_token: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> Self:
        """Return the query; raise InvalidRequestError naming each field at fault."""
        # The function's own key may come in the query, and so may the alert's id.
        known = {name: value for name, value in params.items() if name not in ("code", "id")}
        return parse(cls, known)


class AlertDeliveryQuery(AlertQuery):
    """Which deliveries of an alert: those of a status, where one is given."""

    status: Annotated[Status | None, Field(strict=False)] = None

    @property
    def place(self) -> tuple[int, str]:
        """Where the list goes on: at which page of the audience, and after which of its members.

        Raises InvalidRequestError if the token is not one of this list.
        """
        if self.continuation_token is None:
            return 0, ""
        token = _TOKEN.fullmatch(self.continuation_token)
        if token is None:
            raise unknown_token()
        return int(token["page"]), token["member"]
