"""What activities tell of people and their conversations."""

from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("activity", "expected"),
    [
        ({"type": "message"}, {"present": ["29:alex"]}),
        ({"type": "message", "conversation": GROUP}, {"present": ["29:alex"]}),
        ({"type": "installationUpdate", "action": "add"}, {"present": ["29:alex"]}),
        ({"type": "installationUpdate", "action": "add-upgrade"}, {"present": ["29:alex"]}),
        ({"type": "installationUpdate", "action": "remove-upgrade"}, {}),
        ({"type": "installationUpdate", "action": "remove"}, {"gone": ["29:alex"]}),
        (
            {"type": "installationUpdate", "action": "remove", "conversation": GROUP},
            {"bot_left": True},
        ),
        ({"type": "contactRelationUpdate", "action": "add"}, {"present": ["29:alex"]}),
        ({"type": "contactRelationUpdate", "action": "remove"}, {"gone": ["29:alex"]}),
        ({"type": "deleteUserData"}, {"erase": ["29:alex"]}),
        ({"type": "conversationUpdate", "membersAdded": [BOT]}, {"present": ["29:alex"]}),
        ({"type": "conversationUpdate", "membersAdded": [BOT, ALEX]}, {"present": ["29:alex"]}),
        (
            {"type": "conversationUpdate", "membersAdded": [MEGAN, BOT], "conversation": GROUP},
            {"present": ["29:megan"]},
        ),
        (
            {"type": "conversationUpdate", "membersAdded": [BOT], "from": BOT},
            {},
        ),
        ({"type": "conversationUpdate", "membersRemoved": [BOT]}, {"gone": ["29:alex"]}),
        (
            {"type": "conversationUpdate", "membersRemoved": [BOT], "conversation": GROUP},
            {"bot_left": True},
        ),
        (
            {"type": "conversationUpdate", "membersRemoved": [ALEX], "conversation": GROUP},
            {},
        ),
        ({"type": "typing"}, {}),
        ({"type": "event"}, {}),
        ({"type": "somethingNew"}, {}),
        ({"type": "message", "from": {"id": "28:bot"}}, {}),
        ({"type": "message", "from": {"id": "other", "role": "bot"}}, {}),
    ],
    ids=str,
)
def test_an_activity_tells(activity: dict[str, Any], expected: dict[str, list[str] | bool]):
    assert told(**activity) == expected
