"""What openapi.yaml says beyond what the code can tell: words, examples, which errors meet whom.

The tests run every example here against the app, and compare the answers with those given here.
An example's request and answer stand in the document under one name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from CacheAccount.request import AccountQuery
from SendAlert.request import AlertDeliveryQuery, AlertQuery
from shared import errors
from shared.deliveries.delivery import Status
from shared.errors import AppError
from TrackDelivery.request import FailureQuery

Json = dict[str, Any]

# Who and what the examples are about; the tests put others in their place.
USER = "29:1-alex"
OBJECT_ID = "6b0c1e2a-5d0f-4c55-9a3e-2f1d8c7b6a90"
TENANT = "8d6b2a3e-7c41-4f7e-9a61-3f0f5f0a9c12"
CONVERSATION = "a:1-alex"
GROUP = "19:news@thread.tacv2;messageid=1767225600000"
ACTIVITY = "1767225600000"
ORDER = "order-4711"
ALERT = "lighthouses-1"
TOPIC = "Lighthouses"
MEMBER = "3f2b8c0d9e4a4f6b8a1c7d5e2b9f0a34"
RATE = 0.4
SERVICE_URL = "https://smba.trafficmanager.net/teams/"
BOT = {"id": "28:5a4b3c2d-0000-4000-8000-00000000b070", "name": "News"}
CORRELATION = "qwErTy1234.1"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TIME = "2026-01-31T08:00:00+00:00"
EARLIER = "2026-01-31T08:00:00Z"
SOON = "2026-02-01T08:00:00Z"
LATER = "2026-02-02T08:00:00Z"
POSTING = "0f8fad5b-d9cb-469f-a165-70867728950e"


@dataclass(frozen=True)
class Example:
    """A request and what it is answered; ``parameters`` are by name, of whatever place."""

    summary: str
    status: int
    answer: Json | None = None
    body: Json | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """A parameter in path, query or header; those of the path are found in the route."""

    place: str
    name: str
    description: str
    schema: Json = field(default_factory=lambda: {"type": "string"})
    has_examples: bool = True


@dataclass(frozen=True)
class Answer:
    """A success: ``schema`` names the component, None where there is no body."""

    description: str
    schema: str | None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    """A function that HTTP calls.

    ``body`` names the components that its body may be, ``problems`` the codes of which an example
    is given.
    """

    tag: str
    summary: str
    description: str
    answers: Mapping[int, Answer]
    examples: Mapping[str, Example]
    body: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    query: type[BaseModel] | None = None
    errors: tuple[type[AppError], ...] = ()
    problems: tuple[str, ...] = ()
    calls_connector: bool = False


@dataclass(frozen=True)
class Queue:
    """A queue: ``schema`` names the component of its messages."""

    description: str
    schema: str
    examples: Mapping[str, tuple[str, Json]]


INFO = """\
Starts conversations of a bot on Teams, Slack and other channels, and sends activities into them,
one by one or as an alert to many, for systems that learn something people should know.

JSON is in camelCase, with the Bot Framework's own names. An activity passes through whole: cards,
attachments, entities, `channelData`, fields that nobody here knows. Ids in paths are
percent-encoded once, slashes too; an id that a path cannot carry can stand in the query instead,
with anything in its place in the path.

Most systems should rather put a message on a queue than call: what can succeed later is tried
again there. The queues' messages are schemas too, listed by queue under `x-queues`. They are no
`webhooks`, as those are what this API would call, and a queue is what its callers write to."""

TAGS = {
    "Conversations": "Starting conversations, sending into them, and changing what was sent.",
    "Alerts": "One message to many people: sending, following, editing and recalling it.",
    "Accounts": "What is cached of people, for bots whose messaging endpoint lives elsewhere.",
    "Deliveries": "What became of the messages of the queues.",
    "Bot": "What the Connector and monitors call.",
}

SERVERS = [
    {
        "url": "https://{app}.azurewebsites.net",
        "description": "In Azure",
        "variables": {"app": {"default": "speak-first", "description": "The app's name"}},
    },
    {"url": "http://127.0.0.1:7071", "description": "On your machine"},
]

SECURITY = {
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "A key of the function, of the app, or of the host. Local runs do not ask"
        " for it. It may also come as `?code=`, which then stands in logs on its way.",
    },
    "connectorToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The token that the Bot Connector signs; nobody else can call this.",
    },
}
NO_KEY = "The function key is missing or wrong; the Functions host says so, with no body."

PARAMETERS = {
    "conversationId": "The conversation's id.",
    "activityId": "The id that the activity got when it was sent.",
    "channelId": "The channel, such as `msteams` or `slack`.",
    "userId": "The person's id on the channel; on Teams, the Entra object id does as well.",
    "alerts/id": "The alert's id.",
    "deliveries/id": "The delivery's id: the message's own `id`, else the one the queue gave it.",
}
ALTERNATIVE = "Wins over the one in the path, where it is given."
PARAMETERS_OF_LISTS = {
    "channelId": "Only those of this channel.",
    "tenantId": "Only those of this tenant.",
    "locale": "Only those who read this language: `en` is `en-GB` too.",
    "interest": "Only those with this interest, in whatever case.",
    "pageSize": "How many this page holds at most.",
    "continuationToken": "What the page before gave.",
    "since": "A time with its zone; a day ago unless told.",
    "status": "Only those that are in this state.",
}

CHANNEL = Parameter(
    "query",
    "channelId",
    "Which channel is meant, when two have a conversation with this id.",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
)
IDEMPOTENCY_KEY = Parameter(
    "header",
    "Idempotency-Key",
    "A random text, such as a UUID. For 24 hours the same key with the same request is answered as"
    " the first time, without a call; an answer that says to try again is not kept.",
    {"type": "string", "pattern": r"^[\x20-\x7e]{1,255}$"},
)
IF_MATCH = Parameter(
    "header",
    "If-Match",
    "The `ETag` of the account as the caller knows it, or `*` for any: another one is not changed.",
)

HEADERS: dict[str, Json] = {
    "Location": {
        "description": "Where what was made is found, relative to this server.",
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "ETag": {"description": "The account's version, for `If-Match`.", "schema": {"type": "string"}},
    "Retry-After": {
        "description": "After how many seconds a retry can help, where that is known.",
        "schema": {"type": "integer", "minimum": 0},
    },
}

_STORAGE = (
    errors.StorageUnavailableError,
    errors.StorageRefusedError,
    errors.InvalidSettingError,
)
_READS = (errors.InvalidRequestError, *_STORAGE)
_WRITES = (*_READS, errors.RequestTooLargeError)
_CALLS = (errors.UntrustedServiceUrlError, errors.HeldBackError, errors.BotCredentialError)
_ONCE = (errors.IdempotencyKeyInUseError, errors.IdempotencyKeyReusedError)
_SENDS = (*_WRITES, *_CALLS, *_ONCE, errors.SuppressedError)
_FINDS_CONVERSATION = (errors.UnknownConversationError, errors.AmbiguousConversationError)
_CHANGES = (*_CALLS, *_FINDS_CONVERSATION, errors.ActivityChangeNotSupportedError)

NEVER_OVER_HTTP = (
    # What only a queue's message meets.
    errors.AlreadyDoneError,
    errors.CancelledError,
    errors.DeliveryUnderWayError,
    errors.ExpiredError,
    errors.OutcomeUnknownError,
    errors.UnexpectedError,
    # The same code as its base, or that of whatever it repeats.
    errors.ConversationNotStartedError,
    errors.ReplayedError,
)

STARTED = {"id": CONVERSATION, "channelId": "msteams", "serviceUrl": SERVICE_URL}
CARD = {
    "type": "AdaptiveCard",
    "version": "1.4",
    "body": [{"type": "TextBlock", "text": "The lighthouse opens its doors again", "wrap": True}],
}
ACCOUNT = {
    "channelId": "msteams",
    "userId": USER,
    "name": "Alex Wilber",
    "aadObjectId": OBJECT_ID,
    "tenantId": TENANT,
    "bot": BOT,
    "serviceUrl": SERVICE_URL,
    "locale": "en-GB",
    "conversation": {"id": CONVERSATION, "conversationType": "personal"},
    "observedAt": TIME,
}
_OF_ACCOUNT = {"channelId": "msteams", "userId": USER}
_NEW_ACCOUNT = {
    name: value
    for name, value in ACCOUNT.items()
    if name not in ("channelId", "userId", "observedAt")
}
SENT_DELIVERY = {
    "id": ORDER,
    "status": "sent",
    "channelId": "msteams",
    "recipient": {"channelId": "msteams", "userId": USER},
    "conversationId": CONVERSATION,
    "attempts": 1,
    "activityId": ACTIVITY,
    "createdAt": TIME,
    "updatedAt": TIME,
}
FAILED_DELIVERY = {
    "id": ORDER,
    "status": "permanent-failure",
    "channelId": "msteams",
    "recipient": {"channelId": "msteams", "userId": USER},
    "conversationId": CONVERSATION,
    "attempts": 1,
    "code": "MessageSizeTooBig",
    "detail": "The Connector answered 413 MessageSizeTooBig",
    "correlationId": CORRELATION,
    "createdAt": TIME,
    "updatedAt": TIME,
}
_RETRIED = ("code", "detail", "correlationId")
ALERT_DELIVERY = {
    **SENT_DELIVERY,
    "id": f"{ALERT}:0:{MEMBER}",
    "alertId": ALERT,
    "alertVersion": 1,
}
_LINKS = {
    "self": f"/api/alerts/{ALERT}",
    "deliveries": f"/api/alerts/{ALERT}/deliveries",
    "cancel": f"/api/alerts/{ALERT}/cancel",
    "retry": f"/api/alerts/{ALERT}/retry",
    "activity": f"/api/alerts/{ALERT}/activity",
}
_ACCEPTED_ALERT = {"id": ALERT, "status": "accepted", "links": _LINKS}
_NEW_ALERT = {
    "id": ALERT,
    "audience": {"interests": [TOPIC]},
    "topic": TOPIC,
    "activities": {
        "en": {"text": "A new article, ${name}: **${article.title}**", "textFormat": "markdown"},
        "de": {"text": "Ein neuer Artikel: **${article.title}**", "textFormat": "markdown"},
    },
    "data": {"article": {"title": "Who keeps the light?"}},
}
DONE_ALERT = {
    "id": ALERT,
    "status": "done",
    "version": 1,
    "topic": TOPIC,
    "audience": {"interests": [TOPIC]},
    "createdAt": TIME,
    "updatedAt": TIME,
    "startedAt": TIME,
    "endedAt": TIME,
}


def progress(alert: Json, *, share: float, total: int, counts: Mapping[str, int]) -> Json:
    """Return how far an alert is, as the app writes it; what is absent from the counts is 0."""
    return {
        **alert,
        "counts": {each.value: counts.get(each, 0) for each in Status},
        "total": total,
        "isEstimate": False,
        "progress": share,
        "links": _LINKS,
    }


_DONE = progress(DONE_ALERT, share=1.0, total=1, counts={"sent": 1}) | {"ratePerSecond": RATE}


def _again(done: Json, **changes: Any) -> Json:
    """Return how far an alert is that had ended, and goes on."""
    open_again = {name: each for name, each in done.items() if name != "endedAt"}
    return {**open_again, "status": "sending", "progress": 0.999} | changes


def _changed(done: Json, **changes: Any) -> Json:
    """Return how far an alert is that had ended and is being changed: nobody sees that yet."""
    again = _again(done, progress=0.0, **changes)
    return {name: each for name, each in again.items() if name != "ratePerSecond"}


_TITLES = {HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content"}


def problem(status: HTTPStatus, code: str, detail: str, **more: Any) -> Json:
    """Return a problem as the app writes it."""
    return {
        "type": "about:blank",
        # Not status.phrase: two of them are other words before Python 3.13.
        "title": _TITLES.get(status, status.phrase),
        "status": int(status),
        "detail": detail,
        "code": code,
        **more,
    }


def invalid(code: str = "InvalidRequest", **messages: str) -> Json:
    """Return the problem of a request whose fields are wrong."""
    fields = [{"field": name, "message": message} for name, message in messages.items()]
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in fields)
    return problem(HTTPStatus.BAD_REQUEST, code, detail, errors=fields)


def from_connector(status: HTTPStatus, code: str, answered: int) -> Json:
    """Return the problem that an answer of the Connector is."""
    return problem(
        status, code, f"The Connector answered {answered} {code}", correlationId=CORRELATION
    )


PROBLEMS: dict[str, Json] = {
    "AlertExists": problem(HTTPStatus.CONFLICT, "AlertExists", "Another alert has this id"),
    "AlertOver": problem(
        HTTPStatus.CONFLICT,
        "AlertOver",
        "The alert was cancelled, so nothing more is sent of it",
    ),
    "AlertRecalled": problem(
        HTTPStatus.CONFLICT,
        "AlertOver",
        "The alert was recalled, so there is nothing to edit any more",
    ),
    "AccountChanged": problem(
        HTTPStatus.PRECONDITION_FAILED,
        "AccountChanged",
        "The account is not of the version that If-Match names",
    ),
    "ActivityChangeNotSupported": problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "ActivityChangeNotSupported",
        "Channel msteams answered that it cannot do this",
        correlationId=CORRELATION,
    ),
    "AmbiguousConversation": problem(
        HTTPStatus.CONFLICT,
        "AmbiguousConversation",
        "Several channels have a conversation with this id (msteams, telegram); say which with"
        " channelId",
    ),
    "BotCredentialError": problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "BotCredentialError",
        "The bot's own credential failed. The reason is in the app's log.",
        correlationId=CORRELATION,
    ),
    "BotNotInConversationRoster": from_connector(
        HTTPStatus.FORBIDDEN, "BotNotInConversationRoster", 403
    ),
    "ConnectorTimeout": from_connector(HTTPStatus.GATEWAY_TIMEOUT, "GatewayTimeout", 504),
    "ConnectorUnavailable": from_connector(HTTPStatus.BAD_GATEWAY, "ServiceUnavailable", 503),
    "ConversationNotFound": from_connector(HTTPStatus.NOT_FOUND, "ConversationNotFound", 404),
    "DeliveryNotRetriable": problem(
        HTTPStatus.CONFLICT,
        "DeliveryNotRetriable",
        "Only what failed can be retried; this is sent",
    ),
    "ForgottenRecipient": problem(
        HTTPStatus.GONE,
        "ForgottenRecipient",
        "The message is not kept any more, or nobody may read it",
    ),
    "IdempotencyKeyInUse": problem(
        HTTPStatus.CONFLICT,
        "IdempotencyKeyInUse",
        "The first request with this Idempotency-Key is still under way; ask again in a moment",
    ),
    "IdempotencyKeyReused": problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "IdempotencyKeyReused",
        "This Idempotency-Key came with another request before; each request needs its own",
    ),
    "PreconditionFailed": from_connector(HTTPStatus.SERVICE_UNAVAILABLE, "PreconditionFailed", 412),
    "Suppressed": problem(HTTPStatus.FORBIDDEN, "Suppressed", "The person wants no alerts"),
    "Throttled": from_connector(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests", 429),
    "Unauthorized": problem(
        HTTPStatus.UNAUTHORIZED,
        "Unauthorized",
        "The call was not authenticated as the Bot Connector's",
    ),
    "UnknownAlert": problem(
        HTTPStatus.NOT_FOUND, "UnknownAlert", "There is no alert of this id, or no more"
    ),
    "UnknownAccount": problem(
        HTTPStatus.NOT_FOUND, "UnknownAccount", "Nothing is cached of this user of this channel"
    ),
    "UnknownConversation": problem(
        HTTPStatus.NOT_FOUND,
        "UnknownConversation",
        "No such conversation is cached here; start it first with POST /api/conversations",
    ),
    "UnknownDelivery": problem(
        HTTPStatus.NOT_FOUND, "UnknownDelivery", "There is no delivery of this id, or no more"
    ),
}

_FROM_CONNECTOR = (
    "BotCredentialError",
    "ConnectorTimeout",
    "ConnectorUnavailable",
    "PreconditionFailed",
    "Throttled",
)
_OF_SENDS = (*_FROM_CONNECTOR, "IdempotencyKeyInUse", "IdempotencyKeyReused", "Suppressed")
_OF_CONVERSATION = (
    "AmbiguousConversation",
    "BotNotInConversationRoster",
    "ConversationNotFound",
    "UnknownConversation",
)
_OF_CHANGES = (*_FROM_CONNECTOR, *_OF_CONVERSATION, "ActivityChangeNotSupported")
_OF_ACTIVITY = {"conversationId": CONVERSATION, "activityId": ACTIVITY}
_OF_ALERT = {"id": ALERT}

OPERATIONS: dict[str, Operation] = {
    "StartConversation": Operation(
        tag="Conversations",
        summary="Start a conversation",
        description="The Connector's own Conversation object, and three fields of ours:"
        " `channelId`, `serviceUrl` and `startNew`. What is absent comes from the cached account"
        " of the first member, then from the settings. Two starts for one person at once make one"
        " call.",
        body=("StartRequest",),
        parameters=(IDEMPOTENCY_KEY,),
        answers={
            200: Answer(
                "The bot has it already; nothing was called.", "Conversation", ("Location",)
            ),
            201: Answer(
                "It was started, or the activity was sent into the one there is.",
                "Conversation",
                ("Location",),
            ),
        },
        errors=(
            *_SENDS,
            errors.ConversationNotSupportedError,
            errors.GroupConversationNotSupportedError,
            errors.ConversationStartingError,
        ),
        calls_connector=True,
        problems=_OF_SENDS,
        examples={
            "withActivity": Example(
                "With the activity to send",
                201,
                {**STARTED, "activityId": ACTIVITY},
                {
                    "isGroup": False,
                    "members": [{"id": USER}],
                    "activity": {"text": "Your order has shipped."},
                },
            ),
            "asConnector": Example(
                "As the Connector documents it",
                201,
                STARTED,
                {
                    "bot": BOT,
                    "isGroup": False,
                    "members": [{"id": USER, "name": "Alex Wilber"}],
                    "tenantId": TENANT,
                    "topicName": "News Alert",
                },
                {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"},
            ),
            "knownAlready": Example(
                "With whom the bot speaks already",
                200,
                STARTED,
                {"channelId": "msteams", "isGroup": False, "members": [{"id": USER}]},
            ),
            "channelThread": Example(
                "A new thread in a channel of Teams",
                201,
                {**STARTED, "id": GROUP, "activityId": ACTIVITY},
                {
                    "isGroup": True,
                    "tenantId": TENANT,
                    "channelData": {"channel": {"id": "19:news@thread.tacv2"}},
                    "activity": {"text": "The build is broken."},
                },
            ),
            "noMember": Example(
                "With nobody",
                400,
                invalid(
                    members="must be the one member that the bot talks with (isGroup is false)"
                ),
                {"isGroup": False, "members": []},
            ),
            "untrusted": Example(
                "By way of somebody else's server",
                400,
                invalid(
                    "UntrustedServiceUrl",
                    serviceUrl="is not a service URL of the Bot Connector; if it is yours, add its"
                    " origin to the setting TrustedServiceUrls",
                ),
                {"members": [{"id": USER}], "serviceUrl": "https://example.com/"},
            ),
            "webChat": Example(
                "Where there is nobody to open a window",
                422,
                problem(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    "ConversationNotSupported",
                    "Channel webchat does not let bots start conversations; send to a conversation"
                    " that the user started",
                ),
                {"channelId": "webchat", "members": [{"id": "dl_1"}]},
            ),
            "groupChat": Example(
                "A group where there can be none",
                422,
                problem(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    "GroupConversationNotSupported",
                    "Channel slack does not let bots start group conversations",
                ),
                {"channelId": "slack", "isGroup": True, "members": [{"id": "U1"}, {"id": "U2"}]},
            ),
        },
    ),
    "GetConversation": Operation(
        tag="Conversations",
        summary="Find a conversation",
        description="From the cache, without a call.",
        parameters=(CHANNEL,),
        answers={200: Answer("What is cached of it.", "Conversation")},
        errors=(*_READS, *_FINDS_CONVERSATION),
        problems=("AmbiguousConversation", "UnknownConversation"),
        examples={
            "known": Example(
                "One that is known", 200, STARTED, parameters={"conversationId": CONVERSATION}
            ),
            "byChannel": Example(
                "One of several with this id",
                200,
                STARTED,
                parameters={"conversationId": CONVERSATION, "channelId": "msteams"},
            ),
        },
    ),
    "SendActivity": Operation(
        tag="Conversations",
        summary="Send an activity",
        description="Sends it as it is, with one call.",
        body=("Activity",),
        parameters=(CHANNEL, IDEMPOTENCY_KEY),
        answers={
            201: Answer("It was sent.", "SentActivity"),
            202: Answer("It was sent, and the channel gave no id.", "Accepted"),
        },
        errors=(*_SENDS, *_FINDS_CONVERSATION),
        calls_connector=True,
        problems=(*_OF_SENDS, *_OF_CONVERSATION),
        examples={
            "text": Example(
                "A text",
                201,
                {"id": ACTIVITY},
                {"text": "A new article on **Lighthouses** is out.", "textFormat": "markdown"},
                {"conversationId": CONVERSATION},
            ),
            "card": Example(
                "A card, once",
                201,
                {"id": ACTIVITY},
                {
                    "summary": "The lighthouse opens its doors again",
                    "attachments": [
                        {
                            "contentType": "application/vnd.microsoft.card.adaptive",
                            "content": CARD,
                        }
                    ],
                },
                {
                    "conversationId": CONVERSATION,
                    "channelId": "msteams",
                    "Idempotency-Key": "b5ff2b84-3c2f-4f93-a8a8-1f6a02bb2c65",
                },
            ),
            "typing": Example(
                "What gets no id",
                202,
                {},
                {"type": "typing"},
                {"conversationId": CONVERSATION},
            ),
            "empty": Example(
                "A message that says nothing",
                400,
                invalid(**{"(body)": "a message needs text, attachments or channelData"}),
                {"type": "message"},
                {"conversationId": CONVERSATION},
            ),
        },
    ),
    "UpdateActivity": Operation(
        tag="Conversations",
        summary="Edit an activity that was sent",
        description="Puts another one in its place, where the channel can do that, with one call."
        " Nobody is asked whether they want it, as it is no new message.",
        body=("Activity",),
        parameters=(CHANNEL,),
        answers={200: Answer("It was edited; this is its id from now on.", "SentActivity")},
        errors=(*_WRITES, *_CHANGES),
        calls_connector=True,
        problems=_OF_CHANGES,
        examples={
            "text": Example(
                "Another text",
                200,
                {"id": ACTIVITY},
                {"text": "The article on **Lighthouses** was corrected.", "textFormat": "markdown"},
                _OF_ACTIVITY,
            ),
            "empty": Example(
                "A message that says nothing",
                400,
                invalid(**{"(body)": "a message needs text, attachments or channelData"}),
                {"type": "message"},
                _OF_ACTIVITY,
            ),
        },
    ),
    "DeleteActivity": Operation(
        tag="Conversations",
        summary="Recall an activity that was sent",
        description="Deletes it, where the channel can do that, with one call.",
        parameters=(CHANNEL,),
        answers={204: Answer("It is gone.", None)},
        errors=(*_READS, *_CHANGES),
        calls_connector=True,
        problems=_OF_CHANGES,
        examples={
            "recall": Example("Recall it", 204, parameters=_OF_ACTIVITY),
        },
    ),
    "SendAlert": Operation(
        tag="Alerts",
        summary="Send an alert to many people",
        description="To `recipients`, or to an `audience`: all whom everything that is given of it"
        " fits, an empty one everybody. It is answered at once, whatever the size; or, with"
        " `dryRun`, with whom it would reach if it were sent now: then it looks at everybody first,"
        " and nothing is sent or kept. Who wants no alerts, or none on its `topic`, gets none. In"
        " any text of an activity `${name}` is the person's name, `${topic}` the alert's, and a"
        " path of names, with dots between them, leads into `data`; `\\${` is a literal `${`. The"
        " same request with the same `id` is one alert.",
        body=("AlertRequest",),
        parameters=(IDEMPOTENCY_KEY,),
        answers={
            200: Answer("Whom it would reach: this was a dry run.", "Reach"),
            202: Answer(
                "It is sent from now on, or when its time comes.", "AcceptedAlert", ("Location",)
            ),
        },
        errors=(*_WRITES, *_ONCE, errors.AlertExistsError),
        problems=("AlertExists", "IdempotencyKeyReused"),
        examples={
            "toWhomItInterests": Example(
                "To whom it interests, in their language",
                202,
                _ACCEPTED_ALERT,
                _NEW_ALERT,
                {"Idempotency-Key": "d9f1a1de-0d53-4f0c-8c3b-6a3a4b3c9a17"},
            ),
            "toRecipients": Example(
                "To people by name, later",
                202,
                {**_ACCEPTED_ALERT, "status": "scheduled"},
                {
                    "id": ALERT,
                    "recipients": [{"channelId": "msteams", "userId": USER}],
                    "topicName": "News Alert",
                    "activity": {
                        "attachments": [
                            {
                                "contentType": "application/vnd.microsoft.card.adaptive",
                                "content": CARD,
                            }
                        ],
                    },
                    "sendAt": SOON,
                    "expiresAt": "2099-01-01T12:00:00Z",
                },
            ),
            "dryRun": Example(
                "Whom it would reach",
                200,
                {
                    "total": 1,
                    "suppressed": 0,
                    "isEstimate": False,
                    "byChannel": {"msteams": 1},
                    "byLocale": {"en-GB": 1},
                },
                {**_NEW_ALERT, "dryRun": True},
            ),
            "noValue": Example(
                "A placeholder without a value",
                400,
                invalid(**{"activity.text": "has ${data.title}, which has no value"}),
                {"audience": {}, "activity": {"text": "Read ${data.title}"}},
            ),
        },
    ),
    "ListAlerts": Operation(
        tag="Alerts",
        summary="List alerts",
        description="In pages, the newest of a page first, without their counts: go on until there"
        " is no `continuationToken`, even when a page is empty.",
        query=AlertQuery,
        answers={200: Answer("A page.", "AlertPage")},
        errors=_READS,
        examples={
            "all": Example(
                "All of them", 200, {"alerts": [DONE_ALERT]}, parameters={"pageSize": "1000"}
            ),
            "noToken": Example(
                "A token of nobody's",
                400,
                invalid(continuationToken="is not one that this list gave"),
                parameters={"continuationToken": "next"},
            ),
        },
    ),
    "GetAlert": Operation(
        tag="Alerts",
        summary="Tell how far an alert is",
        description="Its deliveries, counted by status. For as long as its audience is being read,"
        " `total` is an estimate (`isEstimate`).",
        answers={200: Answer("How far it is.", "AlertProgress")},
        errors=(*_READS, errors.UnknownAlertError),
        problems=("UnknownAlert",),
        examples={
            "sending": Example(
                "One that is being sent",
                200,
                progress(
                    {
                        "id": ALERT,
                        "status": "sending",
                        "version": 1,
                        "recipients": 2,
                        "createdAt": TIME,
                        "updatedAt": TIME,
                        "startedAt": TIME,
                    },
                    share=0.5,
                    total=2,
                    counts={"sending": 1, "suppressed": 1},
                )
                | {"ratePerSecond": RATE, "estimatedEnd": TIME},
                parameters=_OF_ALERT,
            ),
            "done": Example("One that is done", 200, _DONE, parameters=_OF_ALERT),
        },
    ),
    "ListAlertDeliveries": Operation(
        tag="Alerts",
        summary="List the deliveries of an alert",
        description="Page by page of its audience: go on until there is no `continuationToken`,"
        " even when a page is empty.",
        query=AlertDeliveryQuery,
        answers={200: Answer("A page.", "DeliveryPage")},
        errors=(*_READS, errors.UnknownAlertError),
        problems=("UnknownAlert",),
        examples={
            "sent": Example(
                "What was sent",
                200,
                {"deliveries": [ALERT_DELIVERY]},
                parameters={**_OF_ALERT, "status": "sent", "pageSize": "1000"},
            ),
            "noToken": Example(
                "A token of nobody's",
                400,
                invalid(continuationToken="is not one that this list gave"),
                parameters={**_OF_ALERT, "continuationToken": "next"},
            ),
        },
    ),
    "CancelAlert": Operation(
        tag="Alerts",
        summary="Cancel an alert",
        description="Nothing more is sent of it within two seconds, which the answer waits for:"
        " it tells what went out. One that has ended stays as it is.",
        answers={200: Answer("What went out of it.", "AlertProgress")},
        errors=(*_READS, errors.UnknownAlertError),
        problems=("UnknownAlert",),
        examples={
            "beforeItsTime": Example(
                "One that was to be sent later",
                200,
                progress(
                    {
                        "id": ALERT,
                        "status": "cancelled",
                        "version": 1,
                        "recipients": 1,
                        "createdAt": TIME,
                        "updatedAt": TIME,
                        "sendAt": TIME,
                        "endedAt": TIME,
                    },
                    share=1.0,
                    total=1,
                    counts={"cancelled": 1},
                ),
                parameters=_OF_ALERT,
            ),
        },
    ),
    "RetryAlert": Operation(
        tag="Alerts",
        summary="Put what failed of an alert back on its queues",
        description="Messages, edits and recalls of them; nothing else is sent again.",
        answers={202: Answer("It goes on.", "AlertProgress")},
        errors=(*_READS, errors.UnknownAlertError, errors.AlertOverError),
        problems=("AlertOver", "UnknownAlert"),
        examples={
            "again": Example(
                "Try it again",
                202,
                _again(
                    progress(DONE_ALERT, share=1.0, total=1, counts={"permanent-failure": 1}),
                    ratePerSecond=RATE,
                    estimatedEnd=TIME,
                ),
                parameters=_OF_ALERT,
            ),
        },
    ),
    "EditAlert": Operation(
        tag="Alerts",
        summary="Have an alert say something else",
        description="Where it was delivered, and where it is still to be sent. The body is an"
        " activity, or `activity` or `activities` by locale, with `data`; without `data` that of"
        " the alert stays. Of several edits the last one wins.",
        body=("AlertEdit",),
        answers={202: Answer("It is edited from now on.", "AlertProgress")},
        errors=(*_WRITES, errors.UnknownAlertError, errors.AlertOverError),
        problems=("AlertRecalled", "UnknownAlert"),
        examples={
            "activity": Example(
                "Another text for everybody",
                202,
                _changed(_DONE, version=2, current=0),
                {"text": "The article on **${topic}** was corrected."},
                _OF_ALERT,
            ),
            "activities": Example(
                "Other texts, and another value in them",
                202,
                _changed(_DONE, version=2, current=0),
                {
                    "activities": {
                        "en": {"text": "Corrected: ${article.title}"},
                        "de": {"text": "Berichtigt: ${article.title}"},
                    },
                    "data": {"article": {"title": "Who kept the light?"}},
                },
                _OF_ALERT,
            ),
            "empty": Example(
                "A message that says nothing",
                400,
                invalid(**{"(body)": "a message needs text, attachments or channelData"}),
                {"type": "message"},
                _OF_ALERT,
            ),
        },
    ),
    "RecallAlert": Operation(
        tag="Alerts",
        summary="Recall an alert",
        description="Deletes it where it was delivered, and nothing more is sent of it. What is"
        " known of it is kept as long as other records.",
        answers={202: Answer("It is recalled from now on.", "AlertProgress")},
        errors=(*_READS, errors.UnknownAlertError, errors.AlertOverError),
        problems=("UnknownAlert",),
        examples={
            "recall": Example(
                "Recall it",
                202,
                _changed(_DONE, status="recalled", version=2, current=0, recalled=0),
                parameters=_OF_ALERT,
            ),
        },
    ),
    "ReceiveActivity": Operation(
        tag="Bot",
        summary="Take an activity from the Connector",
        description="The bot's messaging endpoint, for the Connector alone: it must sign the call."
        " Caches who writes, from where and in what language, and obeys `stop` and the like. What"
        " is odd in fields other than `type`, `channelId` and `serviceUrl` is not looked at.",
        body=("InboundActivity",),
        answers={200: Answer("It was taken.", "Accepted")},
        errors=(
            *_WRITES,
            errors.UnauthorizedCallerError,
            errors.ForbiddenActivityError,
            errors.KeysUnavailableError,
        ),
        problems=("Unauthorized",),
        examples={
            "message": Example(
                "A person writes",
                200,
                {},
                {
                    "type": "message",
                    "id": "1767225600001",
                    "timestamp": "2026-01-31T08:00:00.000Z",
                    "serviceUrl": SERVICE_URL,
                    "channelId": "msteams",
                    "from": {"id": USER, "name": "Alex Wilber", "aadObjectId": OBJECT_ID},
                    "recipient": BOT,
                    "conversation": {
                        "id": CONVERSATION,
                        "conversationType": "personal",
                        "tenantId": TENANT,
                    },
                    "locale": "en-GB",
                    "text": "hello",
                    "channelData": {"tenant": {"id": TENANT}},
                },
            ),
        },
    ),
    "CacheAccount": Operation(
        tag="Accounts",
        summary="Cache an account, or a part of it",
        description="A merge patch (RFC 7396): what is absent stays, null removes. `bot` and"
        " `serviceUrl` are required when it is new. A whole ConversationReference does as well."
        " What was observed earlier than what is cached is ignored.",
        body=("AccountPatch", "ConversationReference"),
        parameters=(IF_MATCH,),
        answers={
            200: Answer("It was changed.", "Account", ("ETag",)),
            201: Answer("It is new.", "Account", ("ETag",)),
        },
        errors=(*_WRITES, errors.UntrustedServiceUrlError, errors.AccountChangedError),
        problems=("AccountChanged",),
        examples={
            "part": Example(
                "A person's wishes",
                200,
                {
                    **ACCOUNT,
                    "locale": "de-DE",
                    "preferences": {"interests": ["Lighthouses"], "muted": False},
                },
                {
                    "locale": "de-DE",
                    "timeZone": None,
                    "preferences": {"interests": ["Lighthouses"], "muted": False},
                },
                _OF_ACCOUNT,
            ),
            "whole": Example("A new account", 201, ACCOUNT, _NEW_ACCOUNT, _OF_ACCOUNT),
            "conversationReference": Example(
                "A ConversationReference as any bot SDK has it",
                201,
                ACCOUNT,
                {
                    "channelId": "msteams",
                    "user": {"id": USER, "name": "Alex Wilber", "aadObjectId": OBJECT_ID},
                    "bot": BOT,
                    "serviceUrl": SERVICE_URL,
                    "locale": "en-GB",
                    "conversation": {
                        "id": CONVERSATION,
                        "conversationType": "personal",
                        "isGroup": False,
                        "tenantId": TENANT,
                    },
                },
                _OF_ACCOUNT,
            ),
            "otherUser": Example(
                "Another person than the path's",
                400,
                invalid(userId="must equal the one in the path"),
                {"userId": "29:somebody-else", "locale": "de-DE"},
                _OF_ACCOUNT,
            ),
        },
    ),
    "GetAccount": Operation(
        tag="Accounts",
        summary="Find an account",
        description="By either of the ids that a person has on Teams.",
        answers={200: Answer("What is cached of it.", "Account", ("ETag",))},
        errors=(*_READS, errors.UnknownAccountError),
        problems=("UnknownAccount",),
        examples={
            "byUserId": Example("By the id on the channel", 200, ACCOUNT, parameters=_OF_ACCOUNT),
            "byObjectId": Example(
                "By the Entra object id",
                200,
                ACCOUNT,
                parameters={"channelId": "msteams", "userId": OBJECT_ID},
            ),
        },
    ),
    "DeleteAccount": Operation(
        tag="Accounts",
        summary="Forget a person",
        description="Erases all that is held of them; only that they said stop is remembered, as a"
        " keyed hash.",
        answers={204: Answer("Nothing is held of them, whether or not anything was.", None)},
        errors=_READS,
        examples={"forget": Example("Forget a person", 204, parameters=_OF_ACCOUNT)},
    ),
    "ListAccounts": Operation(
        tag="Accounts",
        summary="List accounts",
        description="Those that all that is given fits, in pages, which may hold fewer than"
        " `pageSize`, even none: go on until there is no `continuationToken`.",
        query=AccountQuery,
        answers={200: Answer("A page.", "AccountPage")},
        errors=_READS,
        examples={
            "ofTenant": Example(
                "Those of a tenant who read English",
                200,
                {"accounts": [ACCOUNT]},
                parameters={
                    "channelId": "msteams",
                    "tenantId": TENANT,
                    "locale": "en",
                    "pageSize": "1000",
                },
            ),
            "tooMany": Example(
                "A page that is too large",
                400,
                invalid(pageSize="should be less than or equal to 1000"),
                parameters={"pageSize": "1001"},
            ),
        },
    ),
    "GetDelivery": Operation(
        tag="Deliveries",
        summary="Tell what became of a queue's message",
        description="By its `id`, or the queue's own where it brought none.",
        answers={200: Answer("What is recorded of it.", "Delivery")},
        errors=(*_READS, errors.UnknownDeliveryError),
        problems=("UnknownDelivery",),
        examples={
            "sent": Example("One that was sent", 200, SENT_DELIVERY, parameters={"id": ORDER}),
            "failed": Example("One that failed", 200, FAILED_DELIVERY, parameters={"id": ORDER}),
        },
    ),
    "ListDeliveries": Operation(
        tag="Deliveries",
        summary="List what failed",
        description="What failed since a moment, a day ago unless told, and was not put back, in"
        " pages: go on until there is no `continuationToken`, even when a page is empty.",
        query=FailureQuery,
        answers={200: Answer("A page.", "DeliveryPage")},
        errors=_READS,
        examples={
            "sinceThen": Example(
                "What failed since a moment",
                200,
                {"deliveries": [FAILED_DELIVERY]},
                parameters={"since": EARLIER, "pageSize": "1000"},
            ),
            "noTime": Example(
                "Since a moment that is none",
                400,
                invalid(since="must be a time such as 2026-01-31T08:00:00Z"),
                parameters={"since": "yesterday"},
            ),
        },
    ),
    "RetryDelivery": Operation(
        tag="Deliveries",
        summary="Put what failed back on its queue",
        description="Whole. Whatever else puts it back as well, it is sent once.",
        answers={202: Answer("The queue has it.", "Delivery", ("Location",))},
        errors=(
            *_READS,
            errors.UnknownDeliveryError,
            errors.DeliveryNotRetriableError,
            errors.ForgottenRecipientError,
        ),
        problems=("DeliveryNotRetriable", "ForgottenRecipient", "UnknownDelivery"),
        examples={
            "again": Example(
                "Try it again",
                202,
                {
                    **{
                        name: each for name, each in FAILED_DELIVERY.items() if name not in _RETRIED
                    },
                    "status": "accepted",
                },
                parameters={"id": ORDER},
            ),
        },
    ),
    "CheckHealth": Operation(
        tag="Bot",
        summary="Tell whether storage answers",
        description="Open to everybody. It asks for no token; what was found is kept for 10 s.",
        answers={
            200: Answer("All is well.", "Health"),
            503: Answer("Something fails.", "FailingHealth"),
        },
        examples={"ok": Example("All is well", 200, {"status": "ok"})},
    ),
}

QUEUES: dict[str, Queue] = {
    "SendActivityFromQueue": Queue(
        "Sends one activity into a conversation, or to a person: then the conversation is started"
        " when there is none. One `id` is sent once.",
        "SendRequest",
        {
            "toPerson": (
                "To a person, in their language",
                {
                    "id": ORDER,
                    "recipient": {"channelId": "msteams", "userId": USER},
                    "activities": {
                        "en": {"text": "It shipped."},
                        "de": {"text": "Es ist unterwegs."},
                    },
                    "topic": "Orders",
                    "expiresAt": "2099-01-01T12:00:00Z",
                },
            ),
            "toConversation": (
                "Into a conversation",
                {
                    "id": ORDER,
                    "conversationId": CONVERSATION,
                    "channelId": "msteams",
                    "activity": {"text": "It shipped."},
                },
            ),
        },
    ),
    "SendAlertFromQueue": Queue(
        "Sends an alert to many people, as over HTTP. Its `id`, or the queue's own where it brings"
        " none, is the alert's. A dry run has nobody to answer to here, and fails.",
        "AlertRequest",
        {"toWhomItInterests": ("To whom it interests, in their language", _NEW_ALERT)},
    ),
    "UpdateActivityFromQueue": Queue(
        "Edits an activity that was sent: puts another one in its place. Its `id` is its own, not"
        " that of the message which was sent.",
        "UpdateRequest",
        {
            "edit": (
                "Another text",
                {
                    "id": f"{ORDER}-edit",
                    "conversationId": CONVERSATION,
                    "activityId": ACTIVITY,
                    "activity": {"text": "It arrives tomorrow."},
                    "expiresAt": "2099-01-01T12:00:00Z",
                },
            )
        },
    ),
    "DeleteActivityFromQueue": Queue(
        "Recalls an activity that was sent. What is gone already is as it was wanted. Its `id` is"
        " its own, not that of the message which was sent.",
        "DeleteRequest",
        {
            "recall": (
                "Recall it",
                {
                    "id": f"{ORDER}-recall",
                    "conversationId": CONVERSATION,
                    "activityId": ACTIVITY,
                    "channelId": "msteams",
                },
            )
        },
    ),
    "StartConversationFromQueue": Queue(
        "Starts a conversation.",
        "StartMessage",
        {
            "start": (
                "With a person",
                {
                    "id": ORDER,
                    "isGroup": False,
                    "members": [{"id": USER}],
                    "activity": {"text": "Welcome."},
                },
            )
        },
    ),
    "CacheAccountFromQueue": Queue(
        "Merges what is told of an account into the cache. No delivery is recorded of it unless it"
        " fails.",
        "AccountMessage",
        {
            "account": ("An account", {**_OF_ACCOUNT, **_NEW_ACCOUNT}),
            "uninstalled": ("A part of one", {**_OF_ACCOUNT, "installed": False}),
        },
    ),
}

POISON_ENTRY: Json = {
    "message": {"id": ORDER, "conversationId": CONVERSATION},
    "failure": {
        "code": "InvalidRequest",
        "detail": "activity: give either this or activities, not both",
        "failedAt": TIME,
        "attempts": 0,
    },
    "_flow": {"id": ORDER, "acceptedAt": TIME, "posting": POSTING, "traceparent": TRACE},
}
