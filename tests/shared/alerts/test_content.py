"""What an alert says to each person."""

import pytest

from shared.alerts.content import Content
from shared.errors import InvalidRequestError, RequestTooLargeError

MOST_BYTES = 100 * 1024
ADAPTIVE = "application/vnd.microsoft.card.adaptive"
LANGUAGES = {
    "activities": {"fr": {"text": "Quoi"}, "en": {"text": "News"}, "de": {"text": "Neues"}}
}


def said(content, *, topic=None, name=None, locale=None):
    read = Content.from_json(content)
    activity = read.activity(topic=topic, name=name, locale=locale, default_locale="en")
    return activity.to_json()


def text(content, **to):
    return said({"activity": {"text": content[0]}, "data": content[1]}, **to)["text"]


@pytest.mark.parametrize(
    ("locale", "expected"),
    [("de-AT", "Neues"), ("FR", "Quoi"), ("nl", "News"), (None, "News")],
)
def test_each_person_gets_the_text_that_they_read_best(locale, expected):
    activity = said(LANGUAGES, locale=locale)

    assert activity["text"] == expected
    assert activity["locale"] == {"Neues": "de", "Quoi": "fr", "News": "en"}[expected]


def test_a_text_that_is_in_none_of_the_languages_is_the_first():
    activities = {"fr": {"text": "Quoi"}, "de": {"text": "Neues"}}

    assert said({"activities": activities}, locale="nl")["text"] == "Quoi"


def test_a_single_activity_is_everybodys_and_keeps_its_locale():
    single = {"activity": {"text": "News", "locale": "en-GB"}}

    assert said(single, locale="de")["locale"] == "en-GB"
    assert "locale" not in said({"activity": {"text": "News"}}, locale="de")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Hello ${name}", "Hello Alex"),
        ("On ${topic}", "On orders"),
        ("${amount} and ${data.amount}", "7 and 7"),
        ("${data.items.0.title}", "Tea"),
        ("\\${name}", "${name}"),
    ],
)
def test_placeholders_are_filled_in_for_each_person(template, expected):
    data = {"amount": 7, "items": [{"title": "Tea"}]}

    assert text((template, data), topic="orders", name="Alex") == expected


def test_a_value_is_never_a_placeholder():
    assert text(("${name} ${note}", {"note": "${name}"}), name="${note}") == "${note} ${name}"


def test_who_has_no_name_is_called_nothing():
    assert text(("Hello ${name}!", {})) == "Hello !"


def test_the_name_and_the_topic_are_the_alerts_own_whatever_its_data_say():
    data = {"name": "wrong", "topic": "wrong"}

    assert text(("${name} ${topic} ${data.name}", data), topic="t", name="Alex") == "Alex t wrong"
    assert text(("${topic}", {"topic": "of the data"})) == "of the data"


def test_one_persons_text_is_not_another_ones():
    content = Content.from_json({"activity": {"text": "${name}", "value": {"deep": ["${name}"]}}})

    activities = [
        content.activity(topic=None, name=name, locale=None, default_locale="en").to_json()
        for name in ("Alex", "Mia", "Alex")
    ]

    assert [(each["text"], each["value"]) for each in activities] == [
        (name, {"deep": [name]}) for name in ("Alex", "Mia", "Alex")
    ]


# Summaries


def card(*texts):
    body = [{"type": "TextBlock", "text": each} for each in texts]
    return {"attachments": [{"contentType": ADAPTIVE, "content": {"body": body}}]}


@pytest.mark.parametrize(
    ("activity", "summary"),
    [
        ({"text": "**News** for ${name}"}, "News for Alex"),
        (card("Tea for ${name}", "more"), "Tea for Alex"),
        ({**card("Tea"), "summary": "Mine, ${name}"}, "Mine, Alex"),
        ({"channelData": {}}, "orders"),
        ({"type": "event", "value": 1, "text": "x"}, None),
    ],
)
def test_a_message_without_a_summary_gets_one(activity, summary):
    told = said({"activity": activity}, topic="orders", name="Alex")

    assert told.get("summary") == summary


def test_a_message_that_says_nothing_of_itself_and_has_no_topic_has_no_summary():
    assert "summary" not in said({"activity": {"channelData": {}}})


# Checks


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({"activity": {"text": "${1 + 1}"}}, ["activity.text"]),
        (
            {"activities": {"en": {"text": "${}"}, "de": {"speak": "${x", "text": "y"}}},
            ["activities.en.text", "activities.de.speak"],
        ),
    ],
)
def test_what_is_no_placeholder_is_named(content, fields):
    with pytest.raises(InvalidRequestError) as caught:
        Content.from_json(content)

    assert [each.field for each in caught.value.field_errors] == fields


def test_each_placeholder_without_a_value_is_named_in_every_language():
    activities = {
        "en": {"text": "${a} ${name} ${topic}", "attachments": [{"name": "${b}"}]},
        "de": {"text": "${a} ${data.c}"},
    }
    content = Content.from_json({"activities": activities, "data": {"a": 1}})

    with pytest.raises(InvalidRequestError) as caught:
        content.each_activity(topic=None, most_bytes=MOST_BYTES)

    assert [each.field for each in caught.value.field_errors] == [
        "activities.en.text",
        "activities.en.attachments[0].name",
        "activities.de.text",
    ]


def test_all_that_is_said_is_told_by_the_names_of_its_fields():
    content = Content.from_json({**LANGUAGES, "data": {}})

    assert list(content.each_activity(topic=None, most_bytes=MOST_BYTES)) == [
        "activities.fr",
        "activities.en",
        "activities.de",
    ]
    single = Content.from_json({"activity": {"text": "Hello ${name} on ${topic}"}})
    [(field, activity)] = single.each_activity(topic="tea", most_bytes=MOST_BYTES).items()
    assert (field, activity.text) == ("activity", f"Hello {'N' * 64} on tea")
    # It is measured with all that it is sent with.
    assert activity.summary


def test_what_grows_beyond_its_channel_when_it_is_filled_in_is_not_even_made():
    bomb = {"activity": {"text": "${x}" * 200_000}, "data": {"x": "x" * 3_000_000}}
    content = Content.from_json(bomb)

    with pytest.raises(RequestTooLargeError) as caught:
        content.each_activity(topic=None, most_bytes=MOST_BYTES)

    assert [each.field for each in caught.value.field_errors] == ["activity"]
