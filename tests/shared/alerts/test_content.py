"""The content of an alert for each person."""

import pytest

from shared.alerts.content import Content
from shared.errors import InvalidRequestError, RequestTooLargeError

MOST_BYTES = 100 * 1024
LANGUAGES = {
    "activities": {"fr": {"text": "Quoi"}, "en": {"text": "News"}, "de": {"text": "Neues"}}
}


def activity_for(content, *, topic=None, name=None, locale=None):
    read = Content.from_json(content)
    activity = read.activity(topic=topic, name=name, locale=locale, default_locale="en")
    return activity.to_json()


def text(template, data, **to):
    return activity_for({"activity": {"text": template}, "data": data}, **to)["text"]


def fields_of(check, *args, error=InvalidRequestError, **how):
    with pytest.raises(error) as caught:
        check(*args, **how)
    return [each.field for each in caught.value.field_errors]


NO_ENGLISH = {"activities": {"fr": {"text": "Quoi"}, "de": {"text": "Neues"}}}


@pytest.mark.parametrize(
    ("content", "locale", "chosen", "expected"),
    [
        (LANGUAGES, "de-AT", "de", "Neues"),
        (LANGUAGES, "FR", "fr", "Quoi"),
        (LANGUAGES, "nl", "en", "News"),
        (LANGUAGES, None, "en", "News"),
        # There is none in the default language.
        (NO_ENGLISH, "nl", "fr", "Quoi"),
        # A single one is for everybody.
        ({"activity": {"text": "News", "locale": "en-GB"}}, "de", "en-GB", "News"),
        ({"activity": {"text": "News"}}, "de", None, "News"),
    ],
)
def test_each_person_gets_the_text_that_they_read_best(content, locale, chosen, expected):
    activity = activity_for(content, locale=locale)

    assert (activity.get("locale"), activity["text"]) == (chosen, expected)


def test_placeholders_are_filled_in_for_each_person():
    data = {"amount": 7, "items": [{"title": "Tea"}], "name": "wrong", "topic": "of the data"}
    own = {"topic": "orders", "name": "Alex"}

    assert text("Hello ${name} on ${topic}", data, **own) == "Hello Alex on orders"
    assert text("${amount}, ${data.amount}, ${data.items.0.title}", data) == "7, 7, Tea"
    assert text("${data.name}, ${topic}", data, name="Alex") == "wrong, of the data"
    assert text("Hello ${name}!", data) == "Hello !"
    # A value is never a placeholder.
    assert text("${name} ${note}", {"note": "${name}"}, name="${note}") == "${note} ${name}"


def test_one_persons_text_is_not_anothers():
    content = Content.from_json({"activity": {"text": "${name}", "value": {"deep": ["${name}"]}}})

    activities = [
        content.activity(topic=None, name=name, locale=None, default_locale="en").to_json()
        for name in ("Alex", "Mia", "Alex")
    ]

    assert [(each["text"], each["value"]) for each in activities] == [
        (name, {"deep": [name]}) for name in ("Alex", "Mia", "Alex")
    ]


@pytest.mark.parametrize(
    ("activity", "topic", "summary"),
    [
        ({"text": "**News** for ${name}"}, "orders", "News for Alex"),
        ({"text": "News", "summary": "Mine, ${name}"}, "orders", "Mine, Alex"),
        ({"channelData": {}}, "orders", "orders"),
        ({"channelData": {}}, None, None),
        ({"type": "event", "value": 1, "text": "x"}, "orders", None),
    ],
)
def test_a_message_without_a_summary_gets_one(activity, topic, summary):
    filled = activity_for({"activity": activity}, topic=topic, name="Alex")

    assert filled.get("summary") == summary


# Checks


def test_each_text_with_what_is_no_placeholder_is_named():
    activities = {"en": {"text": "${}"}, "de": {"speak": "${x", "text": "y"}}

    assert fields_of(Content.from_json, {"activities": activities}) == [
        "activities.en.text",
        "activities.de.speak",
    ]
    assert fields_of(Content.from_json, {"activity": {"text": "${1 + 1}"}}) == ["activity.text"]


def test_each_text_with_a_placeholder_without_a_value_is_named():
    activities = {
        "en": {"text": "${a} ${name} ${topic}", "attachments": [{"name": "${b}"}]},
        "de": {"text": "${a} ${data.c}"},
    }
    content = Content.from_json({"activities": activities, "data": {"a": 1}})

    assert fields_of(content.each_activity, topic=None, most_bytes=MOST_BYTES) == [
        "activities.en.text",
        "activities.en.attachments[0].name",
        "activities.de.text",
    ]


def test_all_activities_are_returned_by_their_fields_as_they_are_sent():
    content = Content.from_json(LANGUAGES)
    single = Content.from_json({"activity": {"text": "Hello ${name} on ${topic}"}})

    assert list(content.each_activity(topic=None, most_bytes=MOST_BYTES)) == [
        "activities.fr",
        "activities.en",
        "activities.de",
    ]
    [(field, activity)] = single.each_activity(topic="tea", most_bytes=MOST_BYTES).items()
    assert (field, activity.text) == ("activity", f"Hello {'N' * 64} on tea")
    assert activity.summary


def test_a_text_that_is_too_large_when_it_is_filled_in_is_not_even_filled_in():
    bomb = {"activity": {"text": "${x}" * 200_000}, "data": {"x": "x" * 3_000_000}}
    text = {"activity": {"text": "${x}"}, "data": {"x": "x" * (MOST_BYTES // 2 + 1)}}

    for content in map(Content.from_json, (bomb, text)):
        check = content.each_activity
        fields = fields_of(check, error=RequestTooLargeError, topic=None, most_bytes=MOST_BYTES)
        assert fields == ["activity"]
