from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import InvalidRequestError
from TrackDelivery.request import FailureQuery


def refused_fields(**params):
    with pytest.raises(InvalidRequestError) as caught:
        FailureQuery.from_params(params)
    return [error.field for error in caught.value.field_errors]


def test_nothing_needs_to_be_asked_for():
    before = datetime.now(UTC)

    query = FailureQuery.from_params({})

    assert before <= query.since + timedelta(days=1) <= datetime.now(UTC)
    assert (query.page_size, query.continuation_token) == (100, None)


def test_all_can_be_asked_for():
    query = FailureQuery.from_params(
        {"since": "2026-03-01T12:00:00+01:00", "pageSize": "7", "continuationToken": "abc"}
    )

    assert query.since == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert (query.page_size, query.continuation_token) == (7, "abc")


def test_a_function_key_is_no_part_of_what_is_asked():
    assert FailureQuery.from_params({"code": "function-key"}).page_size == 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", "yesterday"),
        ("since", "2026-03-01T12:00:00"),
        ("since", ""),
        ("pageSize", "0"),
        ("pageSize", "1001"),
        ("pageSize", "many"),
        ("status", "sent"),
    ],
)
def test_what_is_wrong_is_named(name, value):
    assert refused_fields(**{name: value}) == [name]
