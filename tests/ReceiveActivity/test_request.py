"""Reading what the Connector posts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.errors import InvalidRequestError
from tests.ReceiveActivity.activities import TENANT_ID, inbound, read

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def activity(**changes: Any):
    return read(inbound("https://smba.trafficmanager.net/amer/", "29:alex", **changes))


def test_an_activity_was_observed_at_its_timestamp_but_never_later_than_now():
    for timestamp, expected in {
        "2026-01-01T10:00:00.123Z": datetime(2026, 1, 1, 10, 0, 0, 123000, UTC),
        "2026-01-01T12:00:00+02:00": datetime(2026, 1, 1, 10, tzinfo=UTC),
        "2026-01-01T10:00:00": datetime(2026, 1, 1, 10, tzinfo=UTC),
        "2027-01-01T10:00:00Z": NOW,
        "0001-01-01T00:00:00Z": NOW,
        "yesterday": NOW,
        None: NOW,
    }.items():
        assert activity(timestamp=timestamp).observed_at(NOW) == expected


def test_the_language_is_the_activitys_or_that_of_client_info():
    client_info = {"type": "clientInfo", "locale": "sv-SE", "timezone": "Europe/Stockholm"}

    assert activity(locale="de-AT", entities=[client_info]).language == "de-AT"
    assert activity(locale=None, entities=[client_info]).language == "sv-SE"
    assert activity(locale="de_at", entities=[]).language == "de-AT"
    assert activity(locale="<script>", entities=[client_info]).language == "sv-SE"


def test_the_time_zone_is_the_activitys_or_that_of_client_info():
    client_info = {"type": "clientInfo", "timezone": "Europe/Stockholm"}

    assert activity(localTimezone="Europe/Vienna").time_zone == "Europe/Vienna"
    assert activity(entities=[{"type": "other"}, client_info]).time_zone == "Europe/Stockholm"


def test_the_tenant_is_found_in_either_place():
    assert activity(conversation={"id": "a:1"}).tenant_id == TENANT_ID
    assert activity(channelData=None).tenant_id == TENANT_ID
    assert activity(channelData="odd", conversation={"id": "a:1"}).tenant_id is None
    capitals = {"tenant": {"id": "AAAAAAAA-0000-4000-8000-000000000001"}}
    assert activity(channelData=capitals).tenant_id == "aaaaaaaa-0000-4000-8000-000000000001"


def test_a_tenant_and_an_object_id_are_known_where_the_client_cannot_write_them():
    person = {"id": "29:a", "aadObjectId": TENANT_ID}
    for channel_id, known in {"msteams": TENANT_ID, "directline": None, "webchat": None}.items():
        told = activity(channelId=channel_id, **{"from": person})
        assert (told.tenant_id, told.object_id(told.from_)) == (known, known)


def test_a_conversation_in_copilot_is_known_by_any_of_its_marks():
    for told in (
        {"channelData": {"productContext": "COPILOT"}},
        {"entities": [{"type": "ProductInfo", "id": "COPILOT"}]},
        {"channelId": "msteams:Copilot"},
    ):
        read_activity = activity(**told)
        assert (read_activity.channel_id, read_activity.is_personal) == ("msteams", False)
    assert activity(channelId="MSTeams").is_personal


def test_an_odd_field_of_an_activity_is_dropped():
    cases: list[dict[str, Any]] = [
        {"text": 5},
        {"locale": ["de"]},
        {"localTimezone": "x" * 2000},
        {"from": {"id": "29:alex", "name": "x" * 2000}},
        {"membersAdded": {"id": "29:megan"}},
        {"entities": ["mention"]},
        {"id": 7},
        {"channelData": "odd"},
    ]
    for odd in cases:
        read_activity = activity(**odd)
        assert read_activity.from_ is not None
        assert read_activity.from_.id == "29:alex"
        assert read_activity.conversation is not None
        assert read_activity.tenant_id == TENANT_ID


def test_an_activity_without_what_it_must_have_is_refused_by_name():
    for field in ("type", "channelId", "serviceUrl"):
        with pytest.raises(InvalidRequestError) as refused:
            activity(**{field: None})
        assert [each.field for each in refused.value.field_errors] == [field]
