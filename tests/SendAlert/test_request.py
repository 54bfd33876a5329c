import pytest

from SendAlert.request import AlertDeliveryQuery, AlertQuery, AlertRequest, EditRequest
from shared.alerts.alert import Audience
from shared.alerts.question import AnswerMode, Option, Question
from shared.deliveries.delivery import Status
from shared.errors import InvalidRequestError

NEWS = {"activity": {"text": "News"}}
BOTH = {"activities": {"en": {"text": "News"}, "de": {"text": "Neues"}}}
TO_ALL: dict[str, dict[str, str]] = {"audience": {}}
TO_ALEX = {"recipients": [{"channelId": "msteams", "userId": "29:alex"}]}
SOON, LATER = "2099-01-31T10:00:00Z", "2099-01-31T12:00:00Z"
OBJECT_ID = "AD9C7A4B-0000-4000-8000-000000000001"


def fields_of(read, body):
    with pytest.raises(InvalidRequestError) as caught:
        read(body)
    return [error.field for error in caught.value.field_errors]


@pytest.mark.parametrize("target", [TO_ALL, TO_ALEX])
@pytest.mark.parametrize("content", [NEWS, BOTH])
def test_an_alert_has_somebody_to_go_to_and_something_to_say(target, content):
    times = {"sendAt": SOON, "expiresAt": LATER}
    other = {"id": "order-7", "topic": "t", "topicName": "T", "data": {"a": 7}, "dryRun": True}
    body = {**target, **content, **times, **other}

    request = AlertRequest.from_json(body)

    assert request.to_json() | times == body
    assert request.content_json() == {**content, "data": {"a": 7}}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (NEWS, ["audience"]),
        ({**NEWS, **TO_ALL, **TO_ALEX}, ["audience"]),
        ({**NEWS, "recipients": []}, ["recipients"]),
        ({**NEWS, "recipients": [{"channelId": "msteams"}]}, ["recipients[0].userId"]),
        (
            {
                **NEWS,
                "recipients": [{"channelId": f"channel-{n}", "userId": "x"} for n in range(101)],
            },
            ["recipients"],
        ),
        ({**NEWS, "audience": {"interests": []}}, ["audience.interests"]),
        ({**NEWS, "audience": {"interests": [""]}}, ["audience.interests[0]"]),
        ({**NEWS, "audience": {"interests": ["x" * 1000] * 20}}, ["audience.interests"]),
        (
            {
                **NEWS,
                "audience": {"channelId": "no channel", "locale": "en_US", "tenantId": "", "x": 1},
            },
            ["audience.channelId", "audience.locale", "audience.tenantId", "audience.x"],
        ),
        (TO_ALL, ["activity"]),
        ({**TO_ALL, **NEWS, **BOTH}, ["activity"]),
        ({**TO_ALL, "activities": {}}, ["activity"]),
        ({**TO_ALL, "activities": {"en": {"text": 5}}}, ["activities.en.text"]),
        ({**TO_ALL, **NEWS, "id": "x" * 513}, ["id"]),
        ({**TO_ALL, **NEWS, "id": "order:7:r1"}, ["id"]),
        ({**TO_ALL, **NEWS, "sendAt": "2099-01-31T10:00:00"}, ["sendAt"]),
        ({**TO_ALL, **NEWS, "sendAt": SOON, "expiresAt": SOON}, ["expiresAt"]),
        ({**NEWS, "data": [], "topic": 5, "dryRun": 1, "x": 1}, ["topic", "dryRun", "data", "x"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_each_field_at_fault_is_named(body, fields):
    assert sorted(fields_of(AlertRequest.from_json, body)) == sorted(fields)


def test_empty_activities_beside_an_activity_are_not_kept():
    request = AlertRequest.from_json({**TO_ALL, **NEWS, "activities": {}})

    assert request.content_json() == NEWS


def test_an_alert_has_all_that_its_request_has():
    audience = {"interests": ["news", "x"], "channelId": "slack", "locale": "de", "tenantId": "t"}
    request = AlertRequest.from_json({**NEWS, "audience": audience, "topicName": "Orders"})

    alert = request.to_alert("order-7", traceparent="00-a-b-01")

    assert alert.audience == Audience(("news", "x"), "slack", "de", "t")
    assert (alert.channel_ids, alert.recipient_count) == (("slack",), None)
    assert (alert.topic_name, alert.traceparent) == ("Orders", "00-a-b-01")
    assert AlertRequest.from_json({**NEWS, **TO_ALL}).to_alert("order-7").channel_ids == ()


def test_an_alert_names_each_recipient_once():
    people = [
        ("slack", "U1"),
        ("msteams", OBJECT_ID),
        ("slack", "U1"),
        ("msteams", OBJECT_ID.lower()),
    ]
    recipients = [{"channelId": channel_id, "userId": user_id} for channel_id, user_id in people]
    request = AlertRequest.from_json({**NEWS, "recipients": recipients})

    alert = request.to_alert("order-7")

    assert request.named == [("slack", "U1"), ("msteams", OBJECT_ID.lower())]
    assert (alert.channel_ids, alert.recipient_count) == (("msteams", "slack"), 2)


def test_an_alert_that_has_expired_is_refused():
    request = AlertRequest.from_json({**NEWS, **TO_ALL, "expiresAt": "2020-01-01T00:00:00Z"})

    assert fields_of(request.to_alert, "order-7") == ["expiresAt"]


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"id": "another"}, True),
        ({"activity": {"text": "Other"}}, False),
        ({"audience": {"interests": ["news"]}}, False),
        ({"sendAt": SOON}, False),
        ({"answers": {"options": [{"id": "a", "title": "A"}]}}, False),
    ],
)
def test_the_same_request_is_known_by_all_but_its_id(change, is_same):
    one = AlertRequest.from_json({**NEWS, **TO_ALL, "id": "order-7"})
    other = AlertRequest.from_json({**NEWS, **TO_ALL, "id": "order-7", **change})

    assert (one.fingerprint == other.fingerprint) is is_same


# Answers


def options(*given):
    return {
        **NEWS,
        **TO_ALL,
        "answers": {"options": [{"id": "a", "title": "A"} | each for each in given]},
    }


def test_an_alert_asks_what_its_request_asks():
    several = {"title": None, "titles": {"en": "Yes", "de-AT": "Ja"}}
    body = options({"id": "y" * 32, **several}, {"id": "_-", "title": "N" * 80})

    def question(mode):
        return (
            AlertRequest.from_json(body | {"answers": body["answers"] | mode})
            .to_alert("a")
            .question
        )

    asked = (Option("y" * 32, {"en": "Yes", "de-AT": "Ja"}), Option("_-", {"": "N" * 80}))
    assert question({"mode": "each"}) == Question(asked, AnswerMode.EACH)
    assert question({"mode": "first"}) == question({}) == Question(asked, AnswerMode.FIRST)
    assert AlertRequest.from_json({**NEWS, **TO_ALL}).to_alert("a").question is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({**NEWS, **TO_ALL, "answers": []}, ["answers"]),
        ({**NEWS, **TO_ALL, "answers": {}}, ["answers.options"]),
        (options(), ["answers.options"]),
        (options(*({"id": str(each)} for each in range(7))), ["answers.options"]),
        (options({"id": ""}, {"id": "a b"}), ["answers.options[0].id", "answers.options[1].id"]),
        (
            options({"id": "x" * 33}, {"id": "ä"}),
            ["answers.options[0].id", "answers.options[1].id"],
        ),
        (options({"id": "x\n"}, {"id": 1}), ["answers.options[0].id", "answers.options[1].id"]),
        (options({}, {}), ["answers.options[1].id"]),
        (options({"title": ""}), ["answers.options[0].title"]),
        (options({"title": " \n"}), ["answers.options[0].title"]),
        (options({"title": "x" * 81}), ["answers.options[0].title"]),
        (options({"title": None}), ["answers.options[0].title"]),
        (options({"titles": {"en": "A"}}), ["answers.options[0].title"]),
        (options({"title": None, "titles": {}}), ["answers.options[0].titles"]),
        (options({"title": None, "titles": {"en": ""}}), ["answers.options[0].titles.en"]),
        (options({"value": 1}), ["answers.options[0].value"]),
        (
            options({"title": None, "titles": {f"x-{each}": "y" * 80 for each in range(300)}}),
            ["answers.options"],
        ),
        ({**NEWS, **TO_ALL, "answers": options({})["answers"] | {"mode": "all"}}, ["answers.mode"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_each_field_at_fault_of_answers_is_named(body, fields):
    assert fields_of(AlertRequest.from_json, body) == fields


# Edits


def test_an_edit_is_an_activity_or_has_one():
    for body, content in (({"text": "News"}, NEWS), (NEWS, NEWS), (BOTH, BOTH)):
        with_data = {**content, "data": {"a": 7}}

        assert EditRequest.from_json(body).content_json() == content
        assert EditRequest.from_json(with_data).content_json() == with_data


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["(body)"]),
        ({"text": 5}, ["text"]),
        ({**NEWS, **BOTH}, ["activity"]),
        ({"activities": {}}, ["activity"]),
        ({**NEWS, **TO_ALL}, ["audience"]),
        ({**NEWS, "answers": {}}, ["answers"]),
    ],
)
def test_each_field_at_fault_of_an_edit_is_named(body, fields):
    assert fields_of(EditRequest.from_json, body) == fields


# Lists


def test_a_query_has_its_defaults_and_ignores_what_is_not_its_own():
    query = AlertDeliveryQuery.from_params({"id": "order-7", "code": "key"})
    asked = AlertDeliveryQuery.from_params({"pageSize": "7", "status": "sent"})

    assert (query.page_size, query.status, query.place) == (100, None, (0, ""))
    assert (asked.page_size, asked.status) == (7, Status.SENT)


def test_each_parameter_at_fault_is_named():
    for params in ({"pageSize": "0"}, {"pageSize": "1001"}, {"status": "lost"}, {"since": "now"}):
        assert fields_of(AlertDeliveryQuery.from_params, params) == list(params)
    assert fields_of(AlertQuery.from_params, {"status": "sent"}) == ["status"]


def test_a_token_is_a_place_in_this_list():
    def place(token):
        return AlertDeliveryQuery.from_params({"continuationToken": token}).place

    assert place("7.") == (7, "")
    assert place("0.r12") == (0, "r12")
    assert place(f"3.{'0a' * 16}") == (3, "0a" * 16)
    for token in ("", "7", ".", "-1.", "7.x", "7.0a", "9999999999.", "7.r1\n"):
        assert fields_of(place, token) == ["continuationToken"]
