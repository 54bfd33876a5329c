"""Requests about accounts: all of one, a part of one, or a ConversationReference."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from shared.accounts.address import is_person
from shared.errors import FieldError, InvalidRequestError
from shared.json_text import require_size, without_none
from shared.languages import with_known_locale
from shared.wire_models import (
    ChannelAccount,
    ChannelId,
    ConversationAccount,
    EntraId,
    Identifier,
    ListOf,
    Locale,
    Name,
    OpenModel,
    ServiceUrl,
    Timestamp,
    WireModel,
    canonical_channel_id,
    canonical_id,
    parse,
)

# Half of what a property of a row takes.
_LARGEST_UTF16_BYTES = 32 * 1024


class Preferences(WireModel):
    """What a person wants to hear of."""

    interests: ListOf[Name] | None = None
    muted_topics: ListOf[Name] | None = None
    muted: bool | None = None


class AccountBody(WireModel):
    """A whole account, as it is answered, and as it must be when it is first cached."""

    channel_id: ChannelId
    user_id: Identifier
    name: Name | None = None
    aad_object_id: EntraId | None = None
    tenant_id: EntraId | None = None
    bot: ChannelAccount
    service_url: ServiceUrl
    locale: str | None = None
    time_zone: Name | None = None
    preferences: Preferences | None = None
    conversation: ConversationAccount | None = None
    installed: bool | None = None
    blocked: bool | None = None
    observed_at: Timestamp | None = None


def account_patch(
    body: Mapping[str, Any], *, channel_id: str | None = None, user_id: str | None = None
) -> dict[str, Any]:
    """Return ``body`` as a merge patch (RFC 7396) of an account.

    ``body`` is a part of an account, or a ConversationReference as any bot SDK has it. The ids of
    the path, where given, complete the body and must equal it. Raises InvalidRequestError, also
    for what is no person.
    """
    require_size(dict(body), _LARGEST_UTF16_BYTES)
    body = with_known_locale(body)
    patch = _from_reference(body) if "user" in body else body
    if patch.get("name") == "":
        # Who reports an activity without a name erases none.
        del patch["name"]
    told = {"channelId": channel_id, "userId": user_id, **patch}
    ids = parse(_Ids, {field: told[field] for field in ("channelId", "userId")})
    if channel_id is not None and ids.channel_id != canonical_channel_id(channel_id):
        raise InvalidRequestError(FieldError("channelId", "must equal the one in the path"))
    if user_id is not None and canonical_id(ids.user_id) != canonical_id(user_id):
        raise InvalidRequestError(FieldError("userId", "must equal the one in the path"))
    _require_person(body, ids, patch.get("conversation"))
    return {**told, "userId": ids.user_id}


def _require_person(body: Mapping[str, Any], ids: "_Ids", conversation: object) -> None:
    user = body.get("user")
    told = {**(user if isinstance(user, Mapping) else {}), "id": ids.user_id}
    where = None
    if isinstance(conversation, Mapping) and conversation.get("id") == ids.user_id:
        where = parse(ConversationAccount, conversation, within="conversation")
    if not is_person(told, ids.channel_id, where):
        nobody = "is nobody's: a bot, a group, a guest or a conversation"
        raise InvalidRequestError(FieldError("userId", nobody))


class AccountQuery(WireModel):
    """Which accounts to list: those that match everything that is given."""

    channel_id: ChannelId | None = None
    tenant_id: EntraId | None = None
    locale: Locale | None = None
    interest: Name | None = None
    page_size: Annotated[int, Field(strict=False, ge=1, le=1000)] = 100
    continuation_token: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> "AccountQuery":
        """Return the query; raise InvalidRequestError naming what is wrong, or not known."""
        return parse(cls, {name: value for name, value in params.items() if name != "code"})


class _Ids(WireModel):
    channel_id: ChannelId
    user_id: Identifier


class _ReferencedUser(OpenModel):
    id: Identifier
    name: Name | None = None
    aad_object_id: EntraId | None = None


class _ConversationReference(OpenModel):
    """The ConversationReference of the Connector's swagger."""

    channel_id: ChannelId
    user: _ReferencedUser
    bot: ChannelAccount
    service_url: ServiceUrl
    conversation: ConversationAccount
    locale: str | None = None


def _from_reference(body: Mapping[str, Any]) -> dict[str, Any]:
    if "bot" not in body and "agent" in body:
        # As the Microsoft 365 Agents SDK for JavaScript calls it.
        body = {**body, "bot": body["agent"]}
    reference = parse(_ConversationReference, body)
    patch = {
        "channelId": body["channelId"],
        "userId": reference.user.id,
        "name": reference.user.name,
        "aadObjectId": reference.user.aad_object_id,
        "tenantId": reference.conversation.tenant_id,
        "bot": reference.bot.to_json(),
        "serviceUrl": reference.service_url,
        "locale": reference.locale,
        "conversation": {
            "id": reference.conversation.id,
            "conversationType": reference.conversation.conversation_type,
            "isGroup": reference.conversation.is_group,
        },
    }
    # What a reference leaves out is kept, not removed.
    return without_none(patch)
