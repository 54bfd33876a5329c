"""The schemas of openapi.yaml: those of the app's models, and of what is answered without one."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from CacheAccount.request import AccountBody, _ConversationReference
from DeleteActivity.request import DeleteRequest
from local import openapi_table as table
from local.openapi_table import Json
from ReceiveActivity.request import InboundActivity
from SendActivity.request import SendRequest
from SendAlert.request import AlertRequest, AudienceBody, EditRequest
from shared.alerts.alert import AlertStatus
from shared.deliveries.delivery import Status
from shared.errors import FieldError
from shared.messages.envelope import ENVELOPE, Envelope
from shared.wire_models import Recipient
from StartConversation.request import StartRequest
from UpdateActivity.request import UpdateRequest

SCHEMAS = "#/components/schemas/"


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class Conversation(_Answer):
    """A conversation of the bot's; `activityId` is that of what was sent or it was started with."""

    id: str
    channel_id: str
    service_url: str
    activity_id: str | None = None


class SentActivity(_Answer):
    """What was sent."""

    id: str


class Accepted(_Answer):
    """There is nothing to say but that it is done."""


class AccountPage(_Answer):
    """Accounts, and where the next page begins, if there is one."""

    accounts: list[AccountBody]
    continuation_token: str | None = None


class Delivery(_Answer):
    """What became of a queue's message so far.

    `recreated`: the conversation had to be started again. `ambiguous`: nobody can know whether a
    call came through. `recalled`: it was sent, and is deleted by now.
    """

    id: str
    alert_id: str | None = None
    status: Status
    channel_id: str | None = None
    recipient: Recipient | None = None
    conversation_id: str | None = None
    attempts: int
    code: str | None = None
    detail: str | None = None
    correlation_id: str | None = None
    activity_id: str | None = None
    recreated: Literal[True] | None = None
    ambiguous: Literal[True] | None = None
    alert_version: int | None = None
    recalled: Literal[True] | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class DeliveryPage(_Answer):
    """Deliveries, and where the next page begins, if there is one."""

    deliveries: list[Delivery]
    continuation_token: str | None = None


class Reach(_Answer):
    """Whom an alert would reach; `suppressed` are those who want none, or cannot be reached.

    In `byLocale` who has no locale counts for `DefaultLocale`. `isEstimate`: there were too many to
    look at each of them.
    """

    total: int
    suppressed: int
    is_estimate: bool
    by_channel: dict[str, int]
    by_locale: dict[str, int]


class AlertLinks(_Answer):
    """Where an alert is followed and acted on, relative to this server."""

    self: str
    deliveries: str
    cancel: str
    retry: str
    activity: str


class AcceptedAlert(_Answer):
    """An alert that was accepted, and where to ask for more."""

    id: str
    status: AlertStatus
    links: AlertLinks


class Alert(_Answer):
    """An alert, without its counts; `recipients` is how many it names.

    `status`: `scheduled` until its `sendAt`; `accepted`, nobody is being sent to yet; `sending`;
    `done`; `expired`, its time was over before all of its audience was read; `cancelled`;
    `recalled`. It has ended once it has `endedAt`. `version` counts its edits, and the recall.
    """

    id: str
    status: AlertStatus
    version: int
    topic: str | None = None
    topic_name: str | None = None
    audience: AudienceBody | None = None
    recipients: int | None = None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    send_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None


class AlertProgress(Alert):
    """An alert, and how far it is: `counts` are its deliveries by status.

    Of those that were sent, `current` are as the last edit has it, and `recalled` are deleted.
    `progress` is what part of `total` has ended, and 1 only when all has.
    """

    counts: dict[Status, int]
    current: int | None = None
    recalled: int | None = None
    total: int
    is_estimate: bool
    progress: float
    rate_per_second: float | None = None
    estimated_end: AwareDatetime | None = None
    links: AlertLinks


class AudiencePage(_Answer):
    """Alerts, and where the next page begins, if there is one."""

    alerts: list[Alert]
    continuation_token: str | None = None


class Health(_Answer):
    """All is well."""

    status: Literal["ok"]


class FailingHealth(_Answer):
    """Something fails, and what."""

    status: Literal["failing"]
    failing: list[Literal["settings", "tables", "queues"]]


class Problem(_Answer):
    """Problem details (RFC 9457).

    `code` is ours, or the Connector's own where it gave one; `errors` tell field by field what is
    wrong with a request; `correlationId` is the Connector's.
    """

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldError] | None = None
    correlation_id: str | None = None


class Failure(_Answer):
    """Why a message failed; `attempts` counts the calls that were made for it."""

    code: str
    detail: str
    failed_at: AwareDatetime
    attempts: int


class PoisonEntry(_Answer):
    """What stands in `<queue>-poison`: the message as it was, and why it failed.

    What the Functions host put there itself, after its last try, is the message alone. Of a
    message that was too large, `message` is `{"_body": key}`.
    """

    message: Any
    failure: Failure
    envelope: Envelope | None = Field(None, alias=ENVELOPE)


_REQUESTS = (
    SendRequest,
    AlertRequest,
    EditRequest,
    UpdateRequest,
    DeleteRequest,
    StartRequest,
    AccountBody,
    _ConversationReference,
    InboundActivity,
    Envelope,
)
_ANSWERS = (
    Conversation,
    SentActivity,
    Accepted,
    AccountPage,
    Delivery,
    DeliveryPage,
    Reach,
    AcceptedAlert,
    AlertProgress,
    AudiencePage,
    Health,
    FailingHealth,
    Problem,
    PoisonEntry,
)

_NAMES = {
    "AccountBody": "Account",
    "AudienceBody": "Audience",
    "_ConversationReference": "ConversationReference",
    "_ReferencedUser": "ReferencedUser",
    "Status": "DeliveryStatus",
}
_DESCRIPTIONS = {
    "Account": "What is cached of a person on a channel.",
    "Flow": "What the app noted about a message on its way. Leave it as it is.",
    "StartRequest": "The Connector's Conversation object, and `channelId`, `serviceUrl` and"
    " `startNew`. Fields that nobody knows are dropped.",
    "AlertRequest": "One activity, or one in several languages by locale, for many people. With"
    " `dryRun` nothing is sent. `topicName` is that of a conversation that has to be started.",
    "EditRequest": "What an alert shall say from now on.",
    "Audience": "Whom an alert is for: all whom everything that is given fits; an empty one is"
    " everybody. Of several interests one is enough, in whatever case; `en` is `en-GB` too.",
    "DeleteRequest": "Which activity is recalled, and in which conversation it is.",
    "UpdateRequest": "Another activity, in the place of one that was sent.",
    "SendRequest": "One activity, for a conversation or for a person; or one in several languages,"
    " by locale, of which one is sent.",
}


def _says(name: str) -> Json:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


_SAYS_ONE_THING = {
    "oneOf": [
        _says("activity"),
        {
            "required": ["activities"],
            "properties": {"activities": {"type": "object", "minProperties": 1}},
        },
    ]
}


# What the models' validators ask for beyond what types can say.
_RULES: dict[str, Json] = {
    "Activity": {
        "if": {"properties": {"type": {"const": "message"}}},
        "then": {
            "anyOf": [
                _says(name)
                for name in (
                    "text",
                    "speak",
                    "attachments",
                    "suggestedActions",
                    "channelData",
                    "value",
                )
            ]
        },
    },
    "StartRequest": {
        "if": {"required": ["isGroup"], "properties": {"isGroup": {"const": True}}},
        "else": {
            "required": ["members"],
            "properties": {"members": {"minItems": 1, "maxItems": 1}},
        },
    },
    "SendRequest": {
        "allOf": [
            {"oneOf": [_says("conversationId"), _says("recipient")]},
            _SAYS_ONE_THING,
        ]
    },
    "AlertRequest": {
        "allOf": [{"oneOf": [_says("recipients"), _says("audience")]}, _SAYS_ONE_THING]
    },
    "EditRequest": _SAYS_ONE_THING,
}


def schemas() -> dict[str, Json]:
    """Return the schemas of all that comes in and goes out, by name."""
    requests = definitions(_REQUESTS)
    answers = {
        # Tomorrow's answers may hold more.
        name: {key: each for key, each in never_null(schema).items() if key not in _CLOSED}
        for name, schema in definitions(_ANSWERS).items()
        if name not in requests or name == "Account"
    }
    # Who was met before the bot was known has no more than this.
    answers["Account"]["required"] = ["channelId", "userId"]
    for name, rule in _RULES.items():
        requests[name] |= rule
    found = {
        **requests,
        **answers,
        "AccountPatch": {
            "description": "A part of an account: what is absent stays, null removes.",
            **_patch(requests["Account"], requests),
        },
        "AccountMessage": {
            "description": "A part of an account with its ids, or a ConversationReference.",
            "oneOf": [
                {"allOf": [ref("AccountPatch"), {"required": ["channelId", "userId"]}]},
                ref("ConversationReference"),
            ],
        },
        "AlertEdit": {
            "description": "An activity, or what an alert shall say as its request has it.",
            "oneOf": [
                ref("EditRequest"),
                {
                    "allOf": [
                        ref("Activity"),
                        {
                            "not": {
                                "anyOf": [{"required": ["activity"]}, {"required": ["activities"]}]
                            }
                        },
                    ]
                },
            ],
        },
        "StartMessage": {
            "description": "The body of a start; its `id`, if it has one, is the delivery's.",
            "allOf": [ref("StartRequest")],
            "properties": {"id": {"type": "string", "maxLength": 1024}},
        },
    }
    for name, description in _DESCRIPTIONS.items():
        found[name]["description"] = description
    for queue in table.QUEUES.values():
        found[queue.schema]["examples"] = [value for _, value in queue.examples.values()]
    found["PoisonEntry"]["examples"] = [table.POISON_ENTRY]
    return dict(sorted(found.items()))


_CLOSED = ("additionalProperties",)


def ref(name: str) -> Json:
    """Return a reference to a schema."""
    return {"$ref": SCHEMAS + name}


def definitions(models: Iterable[type[BaseModel]]) -> dict[str, Json]:
    """Return the schemas of the models and of all they hold, in as few words as can be."""
    _, found = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=SCHEMAS + "{model}",
        schema_generator=_Generator,
    )
    return {_NAMES.get(name, name): _tidy(schema) for name, schema in found["$defs"].items()}


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's name
        return False


def _tidy(schema: Json) -> Json:
    tidy = {name: value for name, value in schema.items() if name != "title"}
    if tidy.get("default", ...) is None:
        del tidy["default"]
    if "$ref" in tidy:
        name = tidy["$ref"].removeprefix(SCHEMAS)
        tidy["$ref"] = SCHEMAS + _NAMES.get(name, name)
    tidy |= _tidy_parts(tidy)
    if tidy.get("additionalProperties") is True:
        # So it is unless told.
        del tidy["additionalProperties"]
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    match tidy.pop("anyOf", None):
        case None:
            return tidy
        case [{"type": str() as kind} as one, {"type": "null"}]:
            return {**_tidy(one), **tidy, "type": [kind, "null"]}
        case choices:
            return {**tidy, "anyOf": [_tidy(each) for each in choices]}


def _tidy_parts(schema: Json) -> Json:
    parts: Json = {
        name: {key: _tidy(each) for key, each in schema[name].items()}
        for name in ("properties", "patternProperties")
        if name in schema
    }
    for name in ("items", "propertyNames"):
        if isinstance(schema.get(name), dict):
            parts[name] = _tidy(schema[name])
    return parts


def never_null(schema: Json) -> Json:
    """Return the schema of what is absent rather than null."""
    schema = dict(schema)
    if isinstance(schema.get("type"), list):
        schema["type"] = next(each for each in schema["type"] if each != "null")
    match schema.get("anyOf"):
        case [one, {"type": "null"}]:
            del schema["anyOf"]
            schema |= one
    if "properties" in schema:
        schema["properties"] = {
            name: never_null(each) for name, each in schema["properties"].items()
        }
    return schema


def _patch(schema: Json, known: Mapping[str, Json]) -> Json:
    """Return the schema of a merge patch (RFC 7396): a part will do, null removes what may go."""
    match schema:
        case {"anyOf": [{"$ref": target}, {"type": "null"}]}:
            part = _patch(known[target.removeprefix(SCHEMAS)], known)
            return {**part, "type": [part["type"], "null"]}
        case {"$ref": target}:
            return _patch(known[target.removeprefix(SCHEMAS)], known)
    patch = {name: each for name, each in schema.items() if name not in ("required", "description")}
    if "properties" in patch:
        patch["properties"] = {
            name: _patch(each, known) for name, each in patch["properties"].items()
        }
    return patch
