"""What an activity tells of people and their conversations with the bot.

Which activity means what: "Conversation events in your Teams bot", "Send proactive messages" and
the Activity Protocol specification.
"""

from dataclasses import dataclass

from ReceiveActivity.request import InboundActivity, Participant

TELLING_TYPES = frozenset(
    {
        "message",
        "messageUpdate",
        "conversationUpdate",
        "installationUpdate",
        "contactRelationUpdate",
        "deleteUserData",
    }
)
"""The types of activities that tell something of people or groups, whatever else they are."""


@dataclass(frozen=True)
class Observation:
    """What an activity tells.

    ``present`` are people that the bot can reach. ``gone`` are people whose one-to-one conversation
    with it is over. ``erase`` are people who want to be erased. With ``bot_left`` the bot is no
    longer in the activity's group. ``is_install``: somebody has installed it for themselves.
    """

    present: tuple[Participant, ...] = ()
    gone: tuple[Participant, ...] = ()
    erase: tuple[Participant, ...] = ()
    bot_left: bool = False
    is_install: bool = False


def observe(activity: InboundActivity) -> Observation:
    """Return what the activity tells; nothing for types that tell nothing."""
    people = (activity.from_,) if activity.from_ and activity.is_person(activity.from_) else ()
    match activity.type, activity.action:
        case "message" | "messageUpdate" | "invoke", _:
            return Observation(present=people)
        case "conversationUpdate", _:
            return _of_members(activity, people)
        case "installationUpdate", "add":
            return Observation(present=people, is_install=activity.is_personal)
        case "installationUpdate", "add-upgrade" | "upgrade":
            return Observation(present=people)
        # After the second one the bot is gone too: MicrosoftDocs/msteams-docs#7489.
        case "installationUpdate", "remove" | "remove-upgrade":
            return _of_leaving(activity, people)
        case "contactRelationUpdate", "add":
            return Observation(present=people)
        case "contactRelationUpdate", "remove":
            return _of_leaving(activity, people)
        case "deleteUserData", _:
            return Observation(erase=people)
        case _:
            return Observation()


def _of_members(activity: InboundActivity, people: tuple[Participant, ...]) -> Observation:
    added = activity.members_added or []
    removed = activity.members_removed or []
    if any(activity.is_bot(member) for member in removed):
        return _of_leaving(activity, people)
    present = [member for member in added if activity.is_person(member)]
    # In a personal chat the bot itself is added, by the person who installed it.
    is_install = activity.is_personal and any(activity.is_bot(member) for member in added)
    if is_install:
        present += [person for person in people if person.id not in {each.id for each in present}]
    return Observation(present=tuple(present), is_install=is_install)


def _of_leaving(activity: InboundActivity, people: tuple[Participant, ...]) -> Observation:
    if activity.is_personal:
        return Observation(gone=people)
    return Observation(bot_left=True)
