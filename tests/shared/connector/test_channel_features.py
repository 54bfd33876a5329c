import pytest

from shared.connector.channel_features import channel, require_start_supported
from shared.errors import (
    AppError,
    ConversationNotSupportedError,
    GroupConversationNotSupportedError,
)


def refusal(channel_id, *, is_group, teams_channel_id=None):
    try:
        require_start_supported(channel_id, is_group=is_group, teams_channel_id=teams_channel_id)
    except AppError as error:
        return error
    return None


@pytest.mark.parametrize(
    "channel_id", ["msteams", "skype", "slack", "sms", "emulator", "email", "telegram", "my-own"]
)
def test_a_bot_may_speak_first_to_one_person(channel_id):
    assert refusal(channel_id, is_group=False) is None


@pytest.mark.parametrize("is_group", [False, True])
@pytest.mark.parametrize("channel_id", ["webchat", "directline", "directlinespeech", "kik"])
def test_where_nobody_could_open_a_window_nothing_is_started(channel_id, is_group):
    error = refusal(channel_id, is_group=is_group)

    assert isinstance(error, ConversationNotSupportedError)
    assert f"Channel {channel_id} " in error.detail


@pytest.mark.parametrize("channel_id", ["msteams", "skype", "slack", "sms", "emulator"])
def test_groups_are_refused_where_a_channel_makes_none(channel_id):
    error = refusal(channel_id, is_group=True)

    assert isinstance(error, GroupConversationNotSupportedError)
    assert f"Channel {channel_id} " in error.detail


def test_teams_says_how_to_post_in_a_channel_and_others_do_not():
    teams = refusal("msteams", is_group=True)
    slack = refusal("slack", is_group=True)

    assert teams is not None
    assert slack is not None
    assert "channelData.channel.id" in teams.detail
    assert "channelData" not in slack.detail


def test_a_thread_in_a_channel_is_a_group_that_only_teams_can_make():
    named = "19:abc@thread.tacv2"

    assert refusal("msteams", is_group=True, teams_channel_id=named) is None
    assert refusal("slack", is_group=True, teams_channel_id=named) is not None


@pytest.mark.parametrize("channel_id", ["email", "telegram", "my-own"])
def test_groups_of_an_unknown_channel_are_tried(channel_id):
    assert refusal(channel_id, is_group=True) is None


def test_teams_takes_less_than_others():
    assert channel("msteams").largest_activity_kilobytes == 100
    assert channel("webchat").largest_activity_kilobytes == 256
    assert channel("my-own").largest_activity_kilobytes == 256


def test_only_teams_limits_each_conversation_as_far_as_is_known():
    assert channel("msteams").conversation_limits == ((7, 1.0), (60, 30.0))
    assert channel("slack").conversation_limits == ()
    assert channel("my-own").conversation_limits == ()
