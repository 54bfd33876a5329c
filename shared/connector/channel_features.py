"""What is known of channels: which let a bot start conversations, and how much they take.

Sources: "Send and receive messages with the Bot Framework", "Channels reference" and the channels'
own pages, and what channels were seen to answer. A channel that is not here is tried, and its
answer reported.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from shared.errors import (
    ConversationNotSupportedError,
    GroupConversationNotSupportedError,
    TargetedActivityNotSupportedError,
)

TEAMS = "msteams"


class Buttons(StrEnum):
    """How a button stands in a message, so that a click on it comes back to the bot.

    ``POST_BACK`` is that of a hero card, the others are actions of an Adaptive Card: ``EXECUTE`` is
    answered with another card at once, ``SUBMIT`` comes as a message.
    """

    EXECUTE = "Action.Execute"
    SUBMIT = "Action.Submit"
    POST_BACK = "postBack"


@dataclass(frozen=True)
class Channel:
    """What a channel lets a bot do, what it shows, and how much it takes.

    ``shows_cards``: an Adaptive Card is more than a picture of it, in which nothing can be clicked.
    ``buttons``: what kind of them it has, if any; ``longest_post_back`` is how much one of a hero
    card may say, in characters. ``targets_members``: in a group, an activity can be shown to one
    member alone. The largest activity is in KB of UTF-16. Where there is a largest
    picture, in KB, inline pictures of up to this size do not count. ``conversation_limits`` are how
    many activities a conversation takes in so many seconds.
    """

    starts_conversations: bool = True
    starts_groups: bool = True
    targets_members: bool = False
    shows_cards: bool = True
    buttons: Buttons | None = Buttons.POST_BACK
    longest_post_back: int = 300
    largest_activity_kilobytes: int = 256
    largest_picture_kilobytes: int = 0
    conversation_limits: tuple[tuple[int, float], ...] = ()


_ANY = Channel()
_NO_CARDS = Channel(shows_cards=False)
_NO_GROUPS_NO_CARDS = replace(_NO_CARDS, starts_groups=False)
_WEB_CHAT = Channel(starts_conversations=False, starts_groups=False, buttons=Buttons.SUBMIT)
_TEXT_ONLY = Channel(
    starts_conversations=False, starts_groups=False, shows_cards=False, buttons=None
)

_KNOWN = {
    # "Format your bot messages": 100 KB, measured on UTF-16, without pictures in base64, which may
    # have 1 MB each. "Rate limiting": per bot and thread.
    TEAMS: Channel(
        starts_groups=False,
        targets_members=True,
        buttons=Buttons.EXECUTE,
        largest_activity_kilobytes=100,
        largest_picture_kilobytes=1024,
        conversation_limits=((7, 1.0), (60, 30.0)),
    ),
    # There is nobody to open a window: these answer 405 to a new conversation. The window, and that
    # of the Emulator, has no Action.Execute:
    # https://github.com/microsoft/BotFramework-WebChat/issues/3844.
    "webchat": _WEB_CHAT,
    "directline": _WEB_CHAT,
    "directlinespeech": _WEB_CHAT,
    "groupme": _TEXT_ONLY,
    "kik": _TEXT_ONLY,
    "emulator": Channel(starts_groups=False, buttons=Buttons.SUBMIT),
    # These answer 201 to a group and open a conversation with one person.
    "skype": _NO_GROUPS_NO_CARDS,
    "slack": _NO_GROUPS_NO_CARDS,
    "sms": replace(_TEXT_ONLY, starts_conversations=True),
    "email": replace(_NO_CARDS, buttons=None),
    "facebook": _NO_CARDS,
    "line": _NO_CARDS,
    # It refuses the whole message: https://github.com/microsoft/botframework-sdk/issues/4218.
    "telegram": replace(_NO_CARDS, longest_post_back=64),
}

KNOWN_CHANNELS = tuple(_KNOWN)


def channel(channel_id: str) -> Channel:
    """Return what is known of a channel; an unknown one is taken to be able to do everything."""
    return _KNOWN.get(channel_id, _ANY)


def require_start_supported(
    channel_id: str, *, is_group: bool, teams_channel_id: str | None
) -> None:
    """Refuse what a channel is known not to do, before any call is made.

    A new thread in a Teams channel is a group that names the channel in
    ``channelData.channel.id``; that Teams can do.
    """
    known = channel(channel_id)
    if not known.starts_conversations:
        raise ConversationNotSupportedError(
            f"Channel {channel_id} does not let bots start conversations; send to a conversation "
            "that the user started"
        )
    if is_group and not known.starts_groups and not (channel_id == TEAMS and teams_channel_id):
        hint = "; to post in a channel, give channelData.channel.id" if channel_id == TEAMS else ""
        raise GroupConversationNotSupportedError(
            f"Channel {channel_id} does not let bots start group conversations{hint}"
        )


def require_targeting_supported(channel_id: str, *, is_one_to_one: bool) -> None:
    """Refuse to show an activity to one member alone where that is not known to be possible.

    Who does not know the request would show it to all. Source: "Send and receive targeted messages
    in group conversations", which says that they are not available in one-to-one chats.
    """
    if not channel(channel_id).targets_members:
        raise TargetedActivityNotSupportedError(
            f"Channel {channel_id} would show this to the whole conversation"
        )
    if is_one_to_one:
        raise TargetedActivityNotSupportedError(
            "Nobody else is in this conversation; leave recipient.isTargeted out"
        )
