"""What can be asked for: one activity, for a conversation or for a person."""

from collections.abc import Mapping
from typing import Annotated, Any

from shared.errors import FieldError, InvalidRequestError
from shared.wire_models import (
    FEW_NAMES,
    Activity,
    ChannelId,
    Identifier,
    Locale,
    Name,
    Recipient,
    Timestamp,
    WireModel,
    parse,
)


class SendRequest(WireModel):
    """A request to send an activity: a message of the queue, or what HTTP makes of its own.

    ``activities`` are one activity in several languages, by locale, of which one is sent.
    """

    id: Identifier | None = None
    conversation_id: Identifier | None = None
    recipient: Recipient | None = None
    channel_id: ChannelId | None = None
    activity: Activity | None = None
    activities: Annotated[dict[Locale, Activity] | None, FEW_NAMES] = None
    expires_at: Timestamp | None = None
    topic: Name | None = None

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "SendRequest":
        """Return the request in ``body``; raise InvalidRequestError naming what is wrong."""
        request = parse(cls, body)
        if (request.conversation_id is None) == (request.recipient is None):
            raise InvalidRequestError(
                FieldError("conversationId", "give either this or recipient, not both")
            )
        if (request.activity is None) == (not request.activities):
            raise InvalidRequestError(
                FieldError("activity", "give either this or activities, not both")
            )
        return request

    @classmethod
    def of_alert(cls, body: Mapping[str, Any]) -> "SendRequest":
        """Return the request in a message of an alert, which says elsewhere what is sent."""
        request = parse(cls, body)
        if request.recipient is None or request.activity or request.activities:
            raise InvalidRequestError(FieldError("recipient", "is all that an alert's message has"))
        return request
