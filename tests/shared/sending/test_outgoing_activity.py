import pytest

from shared.accounts.conversations import Conversation
from shared.errors import RequestTooLargeError
from shared.sending.outgoing_activity import outgoing, require_size
from shared.wire_models import Activity, ChannelAccount, parse
from tests.support.builders import settings

BOT = ChannelAccount(id="28:bot", name="News")
CONVERSATION = Conversation(
    "a:1", channel_id="msteams", service_url="https://smba.trafficmanager.net/teams/", bot=BOT
)


def activity(**fields):
    return parse(Activity, fields)


OWN = {
    "type": "event",
    "from": {"id": "28:other", "role": "bot"},
    "name": "news",
    "value": {"nested": [None]},
    "summary": None,
}
NEEDED = {
    "type": "message",
    "from": {"id": "28:bot", "name": "News"},
    "conversation": {"id": "a:1"},
}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        # A null is as good as nothing.
        ({"text": "News", "from": None}, {**NEEDED, "text": "News"}),
        # The caller's own fields win.
        (OWN, {**OWN, "conversation": {"id": "a:1"}}),
        # But it goes into the conversation that it is for.
        (
            {"text": "News", "conversation": {"id": "a:another", "tenantId": "t"}},
            {**NEEDED, "text": "News", "conversation": {"id": "a:1", "tenantId": "t"}},
        ),
    ],
)
def test_what_every_channel_needs_is_added_to_what_the_caller_gave(given, sent):
    assert outgoing(activity(**given), CONVERSATION) == sent


def test_a_bot_that_is_not_known_is_left_out():
    unknown = Conversation("a:1", channel_id="webchat", service_url="https://x")

    assert "from" not in outgoing(activity(text="News"), unknown)


@pytest.mark.parametrize(("channel_id", "kilobytes"), [("msteams", 100), ("webchat", 256)])
def test_an_activity_fits_the_channel(channel_id, kilobytes):
    fitting = activity(text="x" * (kilobytes * 512 - 11))  # {"text":"…"} in UTF-16

    require_size(fitting, channel_id, settings())
    with pytest.raises(RequestTooLargeError) as caught:
        require_size(activity(text=f"{fitting.text}x"), channel_id, settings(), field="activity")

    [error] = caught.value.field_errors
    assert error.field == "activity.text"
    assert f"{kilobytes} KB" in error.message


def inline(kilobytes, header="data:image/png;base64,"):
    return header + "A" * (kilobytes * 1024 * 4 // 3)


def pictures(*urls):
    return {"attachments": [{"contentType": "image/png", "contentUrl": url} for url in urls]}


def card(**image):
    return {"content": {"type": "AdaptiveCard", "body": [{"type": "Image", **image}]}}


@pytest.mark.parametrize(
    ("channel_id", "given", "too_large"),
    [
        ("msteams", pictures(inline(1024), inline(1024)), None),
        ("msteams", {"attachments": [{"thumbnailUrl": inline(300)}, card(url=inline(300))]}, None),
        (
            "msteams",
            pictures(inline(90, "DATA:image/a+b;c=d;base64,")),
            None,
        ),
        # Larger than Teams shows.
        ("msteams", pictures(inline(1025)), "attachments"),
        (
            "msteams",
            pictures(inline(90, "data:text/plain;base64,")),
            "attachments",
        ),
        ("msteams", pictures(inline(90, "https://x/")), "attachments"),
        ("msteams", {"text": inline(90)}, "text"),
        ("msteams", {"text": '"url":"' + inline(90) + '"'}, "text"),
        # The picture is larger, but does not count.
        ("msteams", {"text": "x" * 60_000, **pictures(inline(300))}, "text"),
        ("webchat", pictures(inline(90)), None),
        ("webchat", pictures(inline(200)), "attachments"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_inline_pictures_count_where_the_channel_counts_them(channel_id, given, too_large):
    named = None

    try:
        require_size(activity(**given), channel_id, settings())
    except RequestTooLargeError as error:
        [named] = [each.field for each in error.field_errors]

    assert named == too_large
