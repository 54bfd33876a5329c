from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import InvalidRequestError
from TrackDelivery.request import FailureQuery


def refused_fields(**params):
    with pytest.raises(InvalidRequestError) as caught:
        FailureQuery.from_params(params)
    return [error.field for error in caught.value.field_errors]


def test_everything_has_a_default_and_can_be_asked_for():
    before = datetime.now(UTC)

    query = FailureQuery.from_params({})

    assert before <= query.since + timedelta(days=1) <= datetime.now(UTC)
    assert (query.page_size, query.continuation_token) == (100, None)
    query = FailureQuery.from_params(
        {"since": "2026-03-01T12:00:00+01:00", "pageSize": "7", "continuationToken": "abc"}
    )

    assert query.since == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert (query.page_size, query.continuation_token) == (7, "abc")


def test_what_is_wrong_is_named():
    for name, value in [
        ("since", "yesterday"),
        ("since", "2026-03-01T12:00:00"),
        ("since", ""),
        ("pageSize", "0"),
        ("pageSize", "1001"),
        ("pageSize", "many"),
        ("status", "sent"),
    ]:
        assert refused_fields(**{name: value}) == [name], value
    # The key of the function is no question.
    assert FailureQuery.from_params({"code": "function-key", "pageSize": "1000"}).page_size == 1000
