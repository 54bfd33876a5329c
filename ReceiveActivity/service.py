"""Caching what an activity tells, and answering the person; no Connector call."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ReceiveActivity.clicks import click_in, put_reply_to_click, take_click_in
from ReceiveActivity.commands import NOT_UNDERSTOOD, Command, read_command
from ReceiveActivity.observation import TELLING_TYPES, observe
from ReceiveActivity.preferences_card import Choices, read_choices, shows_edited_card
from ReceiveActivity.replies import put_reply, put_saved_card
from ReceiveActivity.request import InboundActivity, InboundConversation, Participant
from ReceiveActivity.welcome import welcome
from ReceiveActivity.written_text import is_for_bot, written_text
from shared.accounts.account import Account, OneToOne, is_news
from shared.accounts.address import Address, filled_in, moved
from shared.accounts.conversations import group_at
from shared.accounts.store import StoredAccount
from shared.errors import ForbiddenActivityError, RequestTooLargeError, UnknownConversationError
from shared.storage.tables import key_of
from shared.wire_models import ChannelAccount
from shared.wiring import Services


def receive_activity(activity: InboundActivity, services: Services) -> dict[str, Any] | None:
    """Cache what the activity tells; welcome the person, or answer what they write, click or save.

    Returns the card that answers an invoke, where it is one that saves something. Raises
    ForbiddenActivityError, storing nothing, when its service URL is not trusted: the bot's token
    would go there.
    """
    if not services.settings.trusted_service_urls.accepts(activity.service_url):
        raise ForbiddenActivityError
    choices = read_choices(activity, services.settings.topics)
    if activity.type not in TELLING_TYPES and choices is None:
        return None
    if activity.conversation is None or activity.recipient is None:
        return None
    click = click_in(activity) if activity.type == "message" else None
    # Before the account is kept: who was erased has answered nothing.
    seen_on_card = take_click_in(activity, click, services) if click else None
    at = activity.observed_at(datetime.now(UTC))
    observation = observe(activity)
    is_install = observation.is_install
    welcomes = is_install and services.settings.answers_people
    seen = _Seen(activity, activity.conversation, activity.recipient, at, is_install, welcomes)
    # A conversation in Copilot takes no message of the bot's own accord, so nobody needs it.
    if not activity.is_personal and activity.product is None:
        _update_group(seen, services, bot_left=observation.bot_left)
    command = None if click else choices or _command_in(activity, services)
    card = None
    for person in observation.present:
        card = _update_account(person, seen, command, services)
    for person in observation.gone:
        _note_leaving(person, seen, services)
    for person in observation.erase:
        # An account may have been made under each id before both were known.
        for user_id in filter(None, (activity.object_id(person), person.id)):
            services.accounts.erase(activity.channel_id, user_id)
    if click and seen_on_card:
        put_reply_to_click(seen_on_card, click, activity, services)
    return card


@dataclass(frozen=True)
class _Seen:
    """An activity with the parts that it must have to be of use, and the time that it is of.

    It ``welcomes`` whoever had not installed the bot.
    """

    activity: InboundActivity
    conversation: InboundConversation
    bot: ChannelAccount
    at: datetime
    is_install: bool
    welcomes: bool

    @property
    def id(self) -> str:
        """What it is known by when it is posted again: what was edited has its id from before."""
        activity_id, time = self.activity.id or "", self.activity.timestamp or ""
        # Not every client gives both.
        return f"{activity_id} {time}" if activity_id or time else self.at.isoformat()

    @property
    def address(self) -> Address:
        """Where it was said, without what else the activity says of the bot as its recipient."""
        bot = self.bot.model_dump(include={"id", "name"}, exclude_none=True)
        return Address(
            self.activity.service_url, self.activity.tenant_id, ChannelAccount.model_validate(bot)
        )


def _command_in(activity: InboundActivity, services: Services) -> Command | None:
    """Return what the person who writes wants of the bot; None where it is to say nothing."""
    if activity.type not in ("message", "messageUpdate") or not is_for_bot(activity):
        return None
    text = written_text(activity)
    command = read_command(text, services.settings.topics)
    # Whoever edits what was not understood has been answered. Mail that answers by itself would go
    # round in circles with us.
    can_misunderstand = activity.type == "message" and activity.channel_id != "email"
    if command is None and can_misunderstand and (text.strip() or activity.has_files):
        command = NOT_UNDERSTOOD
    if command is not None and command.is_talk:
        talks = services.settings.answers_people and activity.is_personal
        return command if talks and not activity.is_click else None
    return command


def _update_group(seen: _Seen, services: Services, *, bot_left: bool) -> None:
    try:
        known = services.conversations.find(seen.conversation.id, seen.activity.channel_id)
    except UnknownConversationError:
        known = None
    if known is not None and not is_news(seen.at, known.observed_at):
        return
    if bot_left:
        services.conversations.delete(seen.conversation.id, seen.activity.channel_id)
        return
    activity_id = known.activity_id if known else None
    group = group_at(seen.activity.channel_id, seen.conversation, seen.address)
    services.conversations.put(replace(group, activity_id=activity_id, observed_at=seen.at))


def _update_account(
    person: Participant, seen: _Seen, command: Command | None, services: Services
) -> dict[str, Any] | None:
    answered = command if command and command.only_asks else None

    def observed(stored: StoredAccount | None) -> Account:
        nonlocal answered
        account = stored.account if stored else Account(seen.activity.channel_id, person.id)
        if is_news(seen.at, account.observed_at):
            account = _with_news(account, person, seen)
        if command and not command.only_asks:
            told, at = command, seen.at
            if command.less and account.preferences_at and at < account.preferences_at:
                # What wants less counts even when it arrives late.
                told, at = command.less, account.preferences_at
            try:
                wanted = told.applied_to(account.preferences)
            except RequestTooLargeError:
                answered = replace(command, verb="full")
                return account
            muted_at = seen.at if told.sets_muted else None
            changed = account.with_preferences(wanted, at, muted_at=muted_at)
            # The Connector posts an activity again when it gets no answer; one reply is enough.
            answered = command if changed != account else None
            account = changed
        return account

    kept = services.accounts.change_or_make(seen.activity.channel_id, person.id, observed)
    welcome(kept.account, services)
    is_invoke = seen.activity.type == "invoke"
    if isinstance(command, Choices) and (is_invoke or shows_edited_card(kept.account.channel_id)):
        card = put_saved_card(command, kept.account, seen.conversation.id, seen.id, services)
        if is_invoke:
            return card
    if answered:
        _answer(answered, kept.account, seen, services)
    return None


def _with_news(account: Account, person: Participant, seen: _Seen) -> Account:
    activity = seen.activity
    told = replace(
        account,
        name=person.name or account.name,
        aad_object_id=activity.object_id(person) or account.aad_object_id,
    )
    if activity.from_ is not None and activity.from_.id == person.id:
        # In a conversationUpdate they may be the language and the zone of somebody else.
        told = replace(
            told,
            locale=activity.language or account.locale,
            time_zone=activity.time_zone or account.time_zone,
        )
    if not activity.is_personal:
        # What a personal conversation says later counts, although it may have been said earlier.
        return filled_in(told, seen.address)
    told = replace(moved(told, seen.address), observed_at=seen.at)
    one_to_one = OneToOne(seen.conversation.id, seen.conversation.conversation_type)
    told = told.with_conversation(one_to_one)
    if activity.is_upgrade:
        # It is nothing that the person did, so it lifts no block.
        return replace(told, installed=True)
    told = replace(told, blocked=False, probe_at=None)
    if activity.type == "conversationUpdate" and not seen.is_install:
        # The person is added beside the bot, and that may be told before the install.
        return replace(told, installed=told.installed or None)
    told = replace(told, installed=True)
    return replace(told, welcome_due=seen.at) if seen.welcomes and not account.installed else told


def _note_leaving(person: Participant, seen: _Seen, services: Services) -> None:
    # The id of the conversation still leads to the person, who gets nothing there.
    def left(stored: StoredAccount) -> Account:
        account = stored.account
        if not is_news(seen.at, account.observed_at):
            return account
        return replace(
            account.without_conversation(),
            installed=False,
            welcome_due=None,
            # The channel itself says so, so no probe is needed.
            probe_at=None,
            observed_at=seen.at,
        )

    services.accounts.change(seen.activity.channel_id, person.id, left)


def _answer(command: Command, account: Account, seen: _Seen, services: Services) -> None:
    in_copilot = seen.activity.product is not None
    conversation_id = account.conversation_id if in_copilot else seen.conversation.id
    if conversation_id is None:
        return
    reply_id = key_of("reply", seen.conversation.id, seen.id, command.verb, command.topic)
    put_reply(command, account, conversation_id, reply_id, services)
