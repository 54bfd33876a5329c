"""Caching accounts, finding them and listing them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from CacheAccount.request import AccountBody, AccountQuery, account_patch
from shared.accounts.account import LARGEST_PREFERENCES, Account, OneToOne, is_news
from shared.accounts.address import Address, filled_in, is_personal
from shared.accounts.conversations import Conversation, group_at
from shared.accounts.store import StoredAccount
from shared.accounts.topics import have_topic_in_common
from shared.errors import AccountChangedError, InvalidRequestError, UnknownAccountError
from shared.json_text import require_size, without_none
from shared.languages import is_within
from shared.wire_models import ConversationAccount, canonical_channel_id, parse
from shared.wiring import Services

# What a property of a row takes. Patch by patch, it could grow larger.
_LARGEST_BOT = 64 * 1024


@dataclass(frozen=True)
class _Merged:
    """An account with a patch in it, and what is done once it is written.

    A ``group`` is kept, of which the patch tells; the conversation that was removed is forgotten.
    """

    account: Account
    group: Conversation | None = None
    left_id: str | None = None


def cache_account(
    patch: Mapping[str, Any],
    services: Services,
    *,
    told_at: datetime | None = None,
    if_match: str | None = None,
) -> StoredAccount:
    """Merge a patch into what is cached; one that was observed earlier is ignored.

    ``patch`` comes from ``account_patch``. Where it has no ``observedAt``, it was observed at
    ``told_at``, which is now by default. Raises AccountChangedError when the account is not of the
    version ``if_match``.
    """
    now = told_at or datetime.now(UTC)
    merged: _Merged | None = None

    def change(stored: StoredAccount | None) -> Account:
        nonlocal merged
        if if_match is not None and (stored is None or if_match not in ("*", stored.version)):
            raise AccountChangedError("The account is not of the version that If-Match names")
        merged = _merged(stored.account if stored else None, patch, now, services)
        return merged.account

    channel_id = canonical_channel_id(patch["channelId"])
    cached = services.accounts.change_or_make(channel_id, patch["userId"], change)
    if merged is not None and merged.group is not None:
        services.conversations.put(merged.group)
    if merged is not None and merged.left_id is not None:
        services.conversations.delete(merged.left_id, channel_id)
    return cached


def cache_queued_account(body: Mapping[str, Any], services: Services, *, told_at: datetime) -> None:
    """Cache the account in a queue's message, as ``cache_account`` does.

    A stop holds whatever else is wrong in the message. Queues keep no order, so it may also come
    before the account that it is about.
    """
    try:
        cache_account(account_patch(body), services, told_at=told_at)
    except InvalidRequestError:
        if not _says_stop(body):
            raise
        ids = account_patch({name: body.get(name) for name in ("channelId", "userId")})
        channel_id = canonical_channel_id(ids["channelId"])
        if services.accounts.stop(channel_id, ids["userId"], told_at):
            raise
        _require_right_so_far(account_patch(body), services)


def _says_stop(body: Mapping[str, Any]) -> bool:
    preferences = body.get("preferences")
    return isinstance(preferences, Mapping) and preferences.get("muted") is True


def _require_right_so_far(patch: Mapping[str, Any], services: Services) -> None:
    """Raise for what is wrong in a patch, but for what only a new account must say."""
    told = parse(AccountBody, _merge({"bot": {"id": "-"}, "serviceUrl": ""}, patch))
    if told.service_url:
        services.settings.trusted_service_urls.require(told.service_url)


def find_account(channel_id: str, user_id: str, services: Services) -> StoredAccount:
    """Return what is cached of a person; raise UnknownAccountError when nothing is."""
    stored = services.accounts.get(channel_id, user_id)
    if stored is None:
        raise UnknownAccountError("Nothing is cached of this user of this channel")
    return stored


def list_accounts(query: AccountQuery, services: Services) -> tuple[list[Account], str | None]:
    """Return a page of the accounts that the query asks for, and the token of the next page.

    There is no index by interest: a page of the scan is filtered here, so it may hold fewer than
    asked for, even none. Go on until there is no token.
    """
    accounts, token = services.accounts.page(
        query.page_size,
        query.continuation_token,
        channelId=query.channel_id,
        tenantId=query.tenant_id,
    )
    return [account for account in accounts if _matches(account, query)], token


def account_body(account: Account) -> dict[str, Any]:
    """Return an account as it stands in an answer."""
    conversation = account.conversation
    body = {
        "channelId": account.channel_id,
        "userId": account.user_id,
        "name": account.name,
        "aadObjectId": account.aad_object_id,
        "tenantId": account.tenant_id,
        "bot": account.bot.to_json() if account.bot else None,
        "serviceUrl": account.service_url,
        "locale": account.locale,
        "timeZone": account.time_zone,
        "preferences": account.preferences or None,
        "conversation": _conversation_body(conversation) if conversation else None,
        "installed": account.installed,
        "blocked": account.blocked,
        "observedAt": account.observed_at.isoformat() if account.observed_at else None,
    }
    return without_none(body)


def _merged(
    account: Account | None, patch: Mapping[str, Any], now: datetime, services: Services
) -> _Merged:
    """Return the account with the patch merged into it, except for what is newer than the patch."""
    known = account_body(account) if account else {}
    # Only the patch says when it was observed.
    known.pop("observedAt", None)
    product = patch["channelId"].partition(":")[2] or None
    is_elsewhere = _is_elsewhere(patch.get("conversation"), product)
    if is_elsewhere:
        # A group takes over nothing of the one-to-one conversation.
        known.pop("conversation", None)
    # The account keeps its own id, whichever of the person's ids it was found by.
    ids = {"channelId": known["channelId"], "userId": known["userId"]} if known else {}
    merged = {**_merge(known, patch), **ids}
    body = parse(AccountBody, merged)
    require_size(merged["bot"], _LARGEST_BOT, field="bot")
    # There is always room for a stop.
    topics = {**(merged.get("preferences") or {}), "muted": None}
    require_size(topics, LARGEST_PREFERENCES, field="preferences")
    services.settings.trusted_service_urls.require(body.service_url)
    # A caller's clock that is ahead must not lock the account.
    observed_at = min(body.observed_at or now, now)
    told = account or Account(body.channel_id, body.user_id)
    if "preferences" in patch:
        preferences = patch["preferences"]
        sets_muted = preferences is None or "muted" in preferences
        told = told.with_preferences(
            body.preferences.to_json() if body.preferences else {},
            observed_at,
            muted_at=observed_at if sets_muted else None,
        )
    if not is_news(observed_at, told.observed_at):
        return _Merged(told)
    told = replace(
        told,
        name=body.name,
        aad_object_id=body.aad_object_id,
        locale=body.locale,
        time_zone=body.time_zone,
    )
    if is_elsewhere:
        # It says nothing of whether the person has installed the bot for themselves, and what a
        # personal conversation says later counts, although it may have been said earlier.
        address = Address(body.service_url, body.tenant_id, body.bot)
        group = None
        if product is None and body.conversation is not None:
            group = group_at(body.channel_id, body.conversation, address)
        return _Merged(filled_in(told, address), group)
    told = replace(
        told,
        tenant_id=body.tenant_id,
        bot=body.bot,
        service_url=body.service_url,
        installed=body.installed,
        blocked=body.blocked,
        observed_at=observed_at,
    )
    if not {"installed", "blocked"}.isdisjoint(patch):
        # The caller knows, so no probe is needed.
        told = replace(told, probe_at=None)
    conversation = body.conversation
    if "conversation" not in patch:
        return _Merged(told)
    if conversation is None:
        return _Merged(told.without_conversation(), left_id=told.conversation_id)
    one_to_one = OneToOne(conversation.id, conversation.conversation_type)
    return _Merged(told.with_conversation(one_to_one))


def _is_elsewhere(conversation: object, product: str | None) -> bool:
    """Tell whether a report comes from anywhere but a personal conversation with the bot."""
    if product is not None:
        return True
    if not isinstance(conversation, Mapping):
        return False
    # A part of a conversation is a part of the one that is known.
    told = parse(ConversationAccount, {"id": "-", **conversation}, within="conversation")
    return not is_personal(told)


def _matches(account: Account, query: AccountQuery) -> bool:
    if query.locale is not None and not is_within(account.locale or "", query.locale):
        return False
    interests = account.preferences.get("interests") or ()
    return query.interest is None or have_topic_in_common([query.interest], interests)


def _conversation_body(conversation: OneToOne) -> dict[str, Any]:
    body = {"id": conversation.id, "conversationType": conversation.conversation_type}
    return without_none(body)


def _merge(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``target`` with ``patch`` merged into it: RFC 7396, section 2."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            inner = merged.get(name)
            merged[name] = _merge(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged
