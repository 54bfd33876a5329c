"""Who gets no message, and why."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.accounts.account import Account
from shared.accounts.suppression import is_probe_due, suppression_reason

LONG_AGO, FAR_AHEAD = datetime(2026, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def account(**fields):
    return Account("msteams", "29:alex", **fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"preferences": {"muted": False, "mutedTopics": ["other"]}}, None),
        ({"preferences": {"muted": True}}, "wants no alerts"),
        ({"preferences": {"mutedTopics": ["STRASSE?"]}}, "wants no alerts on this topic"),
        ({"blocked": False, "installed": True}, None),
        ({"blocked": True}, "blocked"),
        ({"installed": False}, "not installed"),
        ({"blocked": True, "probe_at": FAR_AHEAD}, "blocked"),
        ({"blocked": True, "probe_at": LONG_AGO}, None),
        ({"blocked": True, "probe_at": LONG_AGO, "preferences": {"muted": True}}, "wants no"),
    ],
)
def test_who_wants_no_message_or_is_out_of_reach_gets_none(fields, reason):
    told = suppression_reason(account(**fields), "straße")

    assert (told is None) == (reason is None)
    assert (reason or "") in (told or "")


def test_what_has_no_topic_reaches_who_muted_some():
    assert suppression_reason(account(preferences={"mutedTopics": ["News"]}), None) is None


def test_a_probe_is_due_from_its_time_on():
    now = datetime.now(UTC)

    assert is_probe_due(account(probe_at=now), now)
    assert not is_probe_due(account(probe_at=now + timedelta(seconds=1)), now)
