"""What activities tell of people and their conversations."""

from typing import Any

from ReceiveActivity.observation import Observation, observe
from tests.ReceiveActivity.activities import BOT, inbound, read

GROUP = {"id": "19:team@thread.tacv2;messageid=1", "conversationType": "channel", "isGroup": True}
ALEX = {"id": "29:alex"}
MEGAN = {"id": "29:megan"}


def told(**changes: Any) -> dict[str, list[str] | bool]:
    """What is observed in an activity of Alex, by id."""
    observation: Observation = observe(
        read(inbound("https://smba.trafficmanager.net/amer/", "29:alex", **changes))
    )
    parts: dict[str, list[str] | bool] = {
        "present": [person.id for person in observation.present],
        "gone": [person.id for person in observation.gone],
        "erase": [person.id for person in observation.erase],
        "bot_left": observation.bot_left,
    }
    return {name: part for name, part in parts.items() if part}


def test_what_activities_tell():
    in_group = {"conversation": GROUP}
    alex = {"present": ["29:alex"]}
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"type": "message"}, alex),
        ({"type": "message", **in_group}, alex),
        ({"type": "messageUpdate"}, alex),
        ({"type": "messageDelete"}, {}),
        ({"type": "message", "from": {"id": "29:sam", "userRole": "anonymous"}}, {}),
        (
            {
                "type": "conversationUpdate",
                "membersAdded": [{"id": "29:sam", "userRole": "anonymous"}, MEGAN],
                "conversation": {"id": "19:meeting_x@thread.v2"},
            },
            {"present": ["29:megan"]},
        ),
        ({"type": "installationUpdate", "action": "add"}, alex),
        ({"type": "installationUpdate", "action": "add-upgrade"}, alex),
        ({"type": "installationUpdate", "action": "upgrade"}, alex),
        ({"type": "installationUpdate", "action": "remove-upgrade"}, {"gone": ["29:alex"]}),
        ({"type": "installationUpdate", "action": "remove"}, {"gone": ["29:alex"]}),
        ({"type": "installationUpdate", "action": "remove", **in_group}, {"bot_left": True}),
        ({"type": "contactRelationUpdate", "action": "add"}, alex),
        ({"type": "contactRelationUpdate", "action": "remove"}, {"gone": ["29:alex"]}),
        ({"type": "deleteUserData"}, {"erase": ["29:alex"]}),
        ({"type": "conversationUpdate", "membersAdded": [BOT]}, alex),
        ({"type": "conversationUpdate", "membersAdded": [BOT, ALEX]}, alex),
        (
            {"type": "conversationUpdate", "membersAdded": [MEGAN, BOT], **in_group},
            {"present": ["29:megan"]},
        ),
        ({"type": "conversationUpdate", "membersAdded": [BOT], "from": BOT}, {}),
        ({"type": "conversationUpdate", "membersRemoved": [BOT]}, {"gone": ["29:alex"]}),
        ({"type": "conversationUpdate", "membersRemoved": [BOT], **in_group}, {"bot_left": True}),
        ({"type": "conversationUpdate", "membersRemoved": [ALEX], **in_group}, {}),
        ({"type": "typing"}, {}),
        ({"type": "somethingNew"}, {}),
        ({"type": "message", "from": {"id": "28:bot"}}, {}),
        ({"type": "message", "from": {"id": "other", "role": "bot"}}, {}),
    ]
    for activity, expected in cases:
        assert told(**activity) == expected, activity
