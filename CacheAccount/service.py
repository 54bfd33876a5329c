"""Caching accounts, finding them and listing them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from CacheAccount.request import AccountBody, AccountQuery
from shared.accounts.account import Account, OneToOne, is_news
from shared.accounts.address import Address, filled_in, is_personal
from shared.accounts.conversations import Conversation
from shared.accounts.store import StoredAccount
from shared.errors import AccountChangedError, InvalidRequestError, UnknownAccountError
from shared.json_text import require_size, without_none
from shared.languages import is_within
from shared.wire_models import ConversationAccount, canonical_channel_id, parse
from shared.wiring import Services

# What a property of a row takes. Patch by patch, an account could grow larger.
_LARGEST_UTF16_BYTES = 64 * 1024


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

    def change(stored: StoredAccount | None) -> Account:
        if if_match is not None and (stored is None or if_match not in ("*", stored.version)):
            raise AccountChangedError("The account is not of the version that If-Match names")
        return _merged(stored.account if stored else None, patch, now, services)

    channel_id = canonical_channel_id(patch["channelId"])
    return services.accounts.change(channel_id, patch["userId"], change)


def cache_queued_account(
    patch: Mapping[str, Any], services: Services, *, told_at: datetime
) -> None:
    """Cache the account in a queue's message, as ``cache_account`` does.

    Queues keep no order: a stop may come before the account that it is about, and still holds.
    """
    try:
        cache_account(patch, services, told_at=told_at)
    except InvalidRequestError:
        channel_id, user_id = canonical_channel_id(patch["channelId"]), patch["userId"]
        preferences = patch.get("preferences")
        says_stop = isinstance(preferences, Mapping) and preferences.get("muted") is True
        if not says_stop or services.accounts.get(channel_id, user_id) is not None:
            raise
        services.erased_opt_outs.remember(channel_id, user_id)


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
) -> Account:
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
    require_size(merged, _LARGEST_UTF16_BYTES)
    body = parse(AccountBody, merged)
    services.settings.trusted_service_urls.require(body.service_url)
    # A caller's clock that is ahead must not lock the account.
    observed_at = min(body.observed_at or now, now)
    told = account or Account(body.channel_id, body.user_id)
    if "preferences" in patch:
        preferences = patch["preferences"]
        told = told.with_preferences(
            body.preferences.to_json() if body.preferences else {},
            observed_at,
            sets_muted=preferences is None or "muted" in preferences,
        )
    if not is_news(observed_at, told.observed_at):
        return told
    told = replace(
        told,
        name=body.name,
        aad_object_id=body.aad_object_id,
        locale=body.locale,
        time_zone=body.time_zone,
    )
    if is_elsewhere:
        if body.conversation is not None and product is None:
            services.conversations.put(_conversation(body.conversation, body, is_group=True))
        # It says nothing of whether the person has installed the bot for themselves, and what a
        # personal conversation says later counts, although it may have been said earlier.
        return filled_in(told, Address(body.service_url, body.tenant_id, body.bot))
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
    if "conversation" not in patch and not _has_moved(account, told):
        return told
    return _with_conversation(told, body, services)


def _is_elsewhere(conversation: object, product: str | None) -> bool:
    """Tell whether a report comes from anywhere but a personal conversation with the bot."""
    if product is not None:
        return True
    if not isinstance(conversation, Mapping):
        return False
    # A part of a conversation is a part of the one that is known.
    told = parse(ConversationAccount, {"id": "-", **conversation}, within="conversation")
    return not is_personal(told)


def _has_moved(account: Account | None, told: Account) -> bool:
    """Tell whether the row of the conversation is no longer right."""
    if account is None or account.conversation is None:
        return False
    before = (account.service_url, account.bot, account.tenant_id)
    return before != (told.service_url, told.bot, told.tenant_id)


def _matches(account: Account, query: AccountQuery) -> bool:
    if query.locale is not None and not is_within(account.locale or "", query.locale):
        return False
    interests = account.preferences.get("interests") or ()
    return query.interest is None or query.interest.casefold() in {
        interest.casefold() for interest in interests
    }


def _with_conversation(account: Account, body: AccountBody, services: Services) -> Account:
    previous, told = account.conversation, body.conversation
    if told is None:
        if previous is not None:
            services.conversations.delete(previous.id, account.channel_id)
        return account.without_conversation()
    activity_id = previous.activity_id if previous and previous.id == told.id else None
    # First the conversation: who finds it in the account must find its row.
    services.conversations.put(
        replace(
            _conversation(told, body, is_group=False),
            activity_id=activity_id,
            user_id=account.user_id,
        )
    )
    return account.with_conversation(OneToOne(told.id, told.conversation_type, activity_id))


def _conversation(told: ConversationAccount, body: AccountBody, *, is_group: bool) -> Conversation:
    return Conversation(
        id=told.id,
        channel_id=body.channel_id,
        service_url=body.service_url,
        is_group=is_group,
        conversation_type=told.conversation_type,
        bot=body.bot,
        tenant_id=body.tenant_id,
    )


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
