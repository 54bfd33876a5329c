import pytest

from SendAlert.request import AlertDeliveryQuery, AlertQuery, AlertRequest, EditRequest
from shared.alerts.alert import Audience
from shared.deliveries.delivery import Status
from shared.errors import InvalidRequestError

NEWS = {"activity": {"text": "News"}}
BOTH = {"activities": {"en": {"text": "News"}, "de": {"text": "Neues"}}}
TO_ALL: dict[str, dict[str, str]] = {"audience": {}}
TO_ALEX = {"recipients": [{"channelId": "msteams", "userId": "29:alex"}]}
WHOLE = {
    "id": "order-7",
    "topic": "orders",
    "topicName": "Orders",
    "sendAt": "2099-01-31T10:00:00Z",
    "expiresAt": "2099-01-31T12:00:00Z",
    "data": {"amount": 7},
    "dryRun": True,
}


def fields_of(read, body):
    with pytest.raises(InvalidRequestError) as caught:
        read(body)
    return [error.field for error in caught.value.field_errors]


@pytest.mark.parametrize("target", [TO_ALL, TO_ALEX])
@pytest.mark.parametrize("content", [NEWS, BOTH])
def test_an_alert_has_somebody_to_go_to_and_something_to_say(target, content):
    body = {**target, **content, **WHOLE}

    request = AlertRequest.from_json(body)

    times = {name: body[name] for name in ("sendAt", "expiresAt")}
    assert request.to_json() | times == body
    assert request.content_json() == {**content, "data": {"amount": 7}}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (NEWS, ["audience"]),
        ({**NEWS, **TO_ALL, **TO_ALEX}, ["audience"]),
        ({**NEWS, "recipients": []}, ["recipients"]),
        ({**NEWS, "recipients": {}}, ["recipients"]),
        ({**NEWS, "recipients": [{"channelId": "msteams"}]}, ["recipients[0].userId"]),
        ({**NEWS, "recipients": [*TO_ALEX["recipients"], "x"]}, ["recipients[1]"]),
        ({**NEWS, "audience": "everybody"}, ["audience"]),
        ({**NEWS, "audience": {"interests": "news"}}, ["audience.interests"]),
        ({**NEWS, "audience": {"channelId": "no channel"}}, ["audience.channelId"]),
        ({**NEWS, "audience": {"locale": "en_US"}}, ["audience.locale"]),
        ({**NEWS, "audience": {"tenantId": ""}}, ["audience.tenantId"]),
        ({**NEWS, "audience": {"topic": "x"}}, ["audience.topic"]),
        (TO_ALL, ["activity"]),
        ({**TO_ALL, **NEWS, **BOTH}, ["activity"]),
        ({**TO_ALL, "activities": {}}, ["activity"]),
        ({**TO_ALL, "activity": {}}, ["activity"]),
        ({**TO_ALL, "activities": {"en": {"text": 5}}}, ["activities.en.text"]),
        ({**TO_ALL, **NEWS, "data": []}, ["data"]),
        ({**TO_ALL, **NEWS, "id": ""}, ["id"]),
        ({**TO_ALL, **NEWS, "id": "x" * 513}, ["id"]),
        ({**TO_ALL, **NEWS, "topic": "x" * 1025}, ["topic"]),
        ({**TO_ALL, **NEWS, "sendAt": "tomorrow"}, ["sendAt"]),
        ({**TO_ALL, **NEWS, "sendAt": "2099-01-31T10:00:00"}, ["sendAt"]),
        ({**TO_ALL, **NEWS, **WHOLE, "expiresAt": WHOLE["sendAt"]}, ["expiresAt"]),
        ({**TO_ALL, **NEWS, "dryRun": "yes"}, ["dryRun"]),
        ({**TO_ALL, **NEWS, "text": "x"}, ["text"]),
        ({**NEWS, "topic": 5, "dryRun": 1}, ["topic", "dryRun"]),
    ],
)
def test_what_is_wrong_is_named(body, fields):
    assert fields_of(AlertRequest.from_json, body) == fields


def test_no_languages_at_all_beside_an_activity_are_not_kept():
    request = AlertRequest.from_json({**TO_ALL, **NEWS, "activities": {}})

    assert request.content_json() == NEWS


def test_an_audience_is_all_that_is_given():
    audience = {
        "interests": ["news", "orders"],
        "channelId": "slack",
        "locale": "de",
        "tenantId": "tenant",
    }

    request = AlertRequest.from_json({**NEWS, "audience": audience})

    assert request.audience is not None
    assert request.audience.to_audience() == Audience(("news", "orders"), "slack", "de", "tenant")
    assert request.channel_ids == ("slack",)


def test_the_channels_of_recipients_are_those_that_they_are_on():
    recipients = [
        {"channelId": channel, "userId": "29:alex"} for channel in ("slack", "msteams", "slack")
    ]

    assert AlertRequest.from_json({**NEWS, "recipients": recipients}).channel_ids == (
        "msteams",
        "slack",
    )
    assert AlertRequest.from_json({**NEWS, **TO_ALL}).channel_ids == ()


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({}, True),
        ({"id": "another"}, True),
        ({"activity": {"text": "Other"}}, False),
        ({"audience": {"interests": ["news"]}}, False),
        ({"topic": "orders"}, False),
        ({"data": {"amount": 7}}, False),
        ({"sendAt": "2099-01-31T10:00:00Z"}, False),
        ({"expiresAt": "2099-01-31T10:00:00Z"}, False),
    ],
)
def test_the_same_request_is_known_by_all_but_its_id(change, is_same):
    one = AlertRequest.from_json({**NEWS, **TO_ALL, "id": "order-7"})
    other = AlertRequest.from_json({**NEWS, **TO_ALL, "id": "order-7", **change})

    assert (one.fingerprint == other.fingerprint) is is_same


# Edits


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"text": "News"}, {"activity": {"text": "News"}}),
        (NEWS, NEWS),
        ({**BOTH, "data": {"amount": 7}}, {**BOTH, "data": {"amount": 7}}),
    ],
)
def test_an_edit_is_an_activity_or_has_one(body, content):
    assert EditRequest.from_json(body).content_json() == content


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["(body)"]),
        ({"text": 5}, ["text"]),
        ({**NEWS, **BOTH}, ["activity"]),
        ({"activities": {}}, ["activity"]),
        ({**NEWS, "topic": "x"}, ["topic"]),
        ({**NEWS, **TO_ALL}, ["audience"]),
    ],
)
def test_what_is_wrong_with_an_edit_is_named(body, fields):
    assert fields_of(EditRequest.from_json, body) == fields


# Lists


def test_a_list_has_pages_of_a_hundred_unless_told():
    assert AlertQuery.from_params({}).page_size == 100
    assert AlertQuery.from_params({"pageSize": "7", "code": "key"}).page_size == 7


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"pageSize": "0"}, "pageSize"),
        ({"pageSize": "1001"}, "pageSize"),
        ({"pageSize": "x"}, "pageSize"),
        ({"status": "lost"}, "status"),
        ({"since": "2026-01-01T00:00:00Z"}, "since"),
    ],
)
def test_what_is_wrong_with_a_query_is_named(params, field):
    assert fields_of(AlertDeliveryQuery.from_params, params) == [field]


def test_deliveries_are_asked_for_by_status():
    assert AlertDeliveryQuery.from_params({"status": "sent"}).status is Status.SENT
    assert AlertDeliveryQuery.from_params({}).status is None


@pytest.mark.parametrize(
    ("token", "place"),
    [
        (None, (0, "")),
        ("7.", (7, "")),
        ("0.r12", (0, "r12")),
        (f"3.{'0a' * 16}", (3, "0a" * 16)),
    ],
)
def test_a_token_is_a_place(token, place):
    params = {} if token is None else {"continuationToken": token}

    assert AlertDeliveryQuery.from_params(params).place == place


@pytest.mark.parametrize(
    "token", ["", "x", "7", ".", "-1.", "7.r", "7.x", "7.0a", "9999999999.", "7.r1 ", "7.r1\n"]
)
def test_a_token_that_is_none_of_this_list_is_named(token):
    query = AlertDeliveryQuery.from_params({"continuationToken": token})

    with pytest.raises(InvalidRequestError) as caught:
        _ = query.place

    assert [error.field for error in caught.value.field_errors] == ["continuationToken"]
