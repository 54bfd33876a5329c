"""What a person wrote to the bot, without what the channel makes of it: mentions, markup, quotes.

Teams: "Channel and group chat conversations with a bot". Slack: "Formatting text for app surfaces";
its mention is an entity too (microsoft/botframework-sdk#2194). Telegram: "Bot features", commands.
E-mail comes whole, with the signature (microsoft/botframework-sdk#1492).
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ReceiveActivity.request import InboundActivity
from shared.accounts.address import is_same_bot
from shared.connector.channel_features import TEAMS
from shared.wire_models import ChannelAccount

# A command is short, and patterns take their time with what is long and made for it.
_LONGEST = 10_000
_MOST_ENTITIES = 100
_MENTION = re.compile(r"<at\b[^<>]*>[^<]*</at\s*>", re.IGNORECASE)
# Slack's own form: <@U024BE7LH>, <@U024BE7LH|notify>.
_SLACK_MENTION = re.compile(r"^\s*<@[UWB][^>]*>")
_SLACK_LINK = re.compile(r"<[^<>|]+\|([^<>]*)>")
_TELEGRAM_COMMAND = re.compile(r"^(\s*/\w+)@(\w+)")
_QUOTE = re.compile(
    r"<(blockquote|head|style|script)\b.*?</\1\s*>|<quoted\b[^<>]*>|^[ \t]*>.*?$",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
_LINE_BREAK = re.compile(r"<br\b[^<>]*>|</(?:p|div|li|tr|h\d)\s*>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:a|at|b|body|code|del|div|em|font|h\d|html|i|li|meta|ol|p|pre|s|span|strike|strong|sub"
    r"|sup|table|tbody|td|tr|u|ul|readonly|attachment|emoji|img)\b[^<>]*>",
    re.IGNORECASE,
)
# As Slack and Markdown mark words.
_MARKED = re.compile(r"\s*([*_~`]{1,3})(.+)\1\s*", re.DOTALL)


def written_text(activity: InboundActivity) -> str:
    """Return what the person wrote to the bot."""
    text = _without_mentions((activity.text or "")[:_LONGEST], activity)
    text = _TAG.sub("", _LINE_BREAK.sub("\n", _QUOTE.sub("", text)))
    # Slack, and whatever is HTML, write & < > as entities.
    text = _QUOTE.sub("", html.unescape(_SLACK_LINK.sub(r"\1", text)))
    if activity.channel_id == "email":
        # What a signature or an older message is cannot be told, but it comes after the first line.
        text = next((line for line in text.splitlines() if line.strip()), "")
    marked = _MARKED.fullmatch(text)
    return marked[2] if marked else text


def is_for_bot(activity: InboundActivity) -> bool:
    """Tell whether a message is for the bot: on Teams, some bots get all that is said in a group.

    Source: "Receive all messages for bots and agents" of the Teams platform.
    """
    if activity.channel_id != TEAMS or activity.is_personal or activity.product:
        return True
    mentions = [each for each in activity.entities or () if each.get("type") == "mention"]
    if not mentions:
        # Some clients leave the entities out.
        return _MENTION.search(activity.text or "") is not None
    return any(_is_of_bot(each, activity.recipient) for each in mentions)


def _without_mentions(text: str, activity: InboundActivity) -> str:
    """Take away what calls the bot, before or after the rest; who else is mentioned stays."""
    names = [each for each in _names(activity.recipient) if each]
    called = [f"@{each}" for each in names]
    others: dict[str, str] = {}
    for mention in (activity.entities or ())[:_MOST_ENTITIES]:
        if mention.get("type") != "mention":
            continue
        written = mention.get("text")
        written = written.strip() if isinstance(written, str) else ""
        if _is_of_bot(mention, activity.recipient):
            # Skype's says <at>notify</at> where the text has the bare name.
            called += [written, _TAG.sub("", written), *names]
        elif written:
            others[written] = f"@{_TAG.sub('', written)}"
    if others:
        # All at once: what stands for one of them is not taken for another.
        text = re.sub(_any_of(others), lambda found: others[found[0]], text)
    text = _SLACK_MENTION.sub("", _MENTION.sub(" ", text))
    command = _TELEGRAM_COMMAND.match(text)
    if command and _is_own_username(command[2], names):
        text = command[1] + text[command.end() :]
    spelled = _any_of(filter(None, called))
    around = rf"^\s*(?:{spelled})(?!\w)|(?<!\w)(?:{spelled})\s*$"
    without = re.sub(around, " ", text, flags=re.IGNORECASE) if spelled else text
    # A bot may be called Stop.
    return without if without.strip() else text


def _any_of(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted({*texts}, key=len, reverse=True)))


def _names(bot: ChannelAccount | None) -> tuple[str, ...]:
    return (bot.name or "", bot.id) if bot else ()


def _is_of_bot(mention: Mapping[str, Any], bot: ChannelAccount | None) -> bool:
    mentioned = mention.get("mentioned")
    if bot is None or not isinstance(mentioned, Mapping):
        return bot is not None
    return is_same_bot(str(mentioned.get("id")), bot.id) or (
        bool(bot.name) and mentioned.get("name") == bot.name
    )


def _is_own_username(username: str, names: Sequence[str]) -> bool:
    """Tell whether a command is for this bot: Telegram's usernames of bots end in ``bot``.

    Where the bot's own is not known, every command that reaches it is taken to be for it.
    """
    own = {each.replace(" ", "").lower() for each in names}
    is_known = any(re.fullmatch(r"\w+bot", each, re.IGNORECASE) for each in names)
    return username.lower() in own or not is_known
