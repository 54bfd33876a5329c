import pytest

from shared.connector.channel_features import KNOWN_CHANNELS, channel, require_start_supported
from shared.errors import (
    AppError,
    ConversationNotSupportedError,
    GroupConversationNotSupportedError,
)

YES = None
NOTHING = (ConversationNotSupportedError, ConversationNotSupportedError)
NO_GROUPS = (YES, GroupConversationNotSupportedError)


def refusal(channel_id, *, is_group, teams_channel_id=None):
    try:
        require_start_supported(channel_id, is_group=is_group, teams_channel_id=teams_channel_id)
    except AppError as error:
        return error
    return None


def test_a_channel_starts_what_it_is_known_to_start_and_an_unknown_one_is_tried():
    expected = {
        "msteams": NO_GROUPS,
        "webchat": NOTHING,
        "directline": NOTHING,
        "directlinespeech": NOTHING,
        "groupme": NOTHING,
        "kik": NOTHING,
        "emulator": NO_GROUPS,
        "skype": NO_GROUPS,
        "slack": NO_GROUPS,
        "sms": NO_GROUPS,
        "email": (YES, YES),
        "facebook": (YES, YES),
        "line": (YES, YES),
        "telegram": (YES, YES),
        "my-own": (YES, YES),
    }

    found = {
        channel_id: tuple(
            type(refused) if (refused := refusal(channel_id, is_group=is_group)) else YES
            for is_group in (False, True)
        )
        for channel_id in expected
    }

    assert found == expected
    assert set(KNOWN_CHANNELS) < set(expected)


@pytest.mark.parametrize(
    ("channel_id", "is_group", "detail"),
    [
        ("kik", False, r"Channel kik .*; send to a conversation that the user started$"),
        ("slack", True, r"Channel slack does not let bots start group conversations$"),
        ("msteams", True, r"Channel msteams .*; to post in a channel, give channelData\.channel"),
    ],
)
def test_a_refusal_says_what_to_do_instead(channel_id, is_group, detail):
    with pytest.raises(AppError, match=detail):
        require_start_supported(channel_id, is_group=is_group, teams_channel_id=None)


def test_a_thread_in_a_channel_is_a_group_that_only_teams_can_make():
    named = "19:abc@thread.tacv2"

    assert refusal("msteams", is_group=True, teams_channel_id=named) is None
    assert refusal("slack", is_group=True, teams_channel_id=named) is not None


def test_teams_takes_less_and_less_often_than_others_as_far_as_is_known():
    teams, other = channel("msteams"), channel("my-own")

    assert (teams.largest_activity_kilobytes, other.largest_activity_kilobytes) == (100, 256)
    assert teams.conversation_limits == ((7, 1.0), (60, 30.0))
    assert other.conversation_limits == ()
