"""How long the way of a message through the code is."""

import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from SendActivity.triggers import send_activity_from_queue
from shared import wiring
from shared.accounts.account import Account, OneToOne
from shared.throttling.pacer import Pacer
from tests.support.builders import invocation, queue_message

PROJECT = str(Path(__file__).parents[2])
# One more for each part in which an answer arrives.
MOST_CALLS, MOST_MODULES, MOST_DEEP = 213, 41, 18
MESSAGE = {"recipient": {"channelId": "msteams", "userId": "29:alex"}, "activity": {"text": "Hi"}}


@pytest.fixture
def account(deployed, connector, monkeypatch):
    # Where time stands still, no slot is lost on the way: each send takes the same way.
    pacer = Pacer(
        deployed.storage,
        deployed.settings.app_id,
        rate_per_second=40,
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        sleep=lambda seconds: None,
    )
    monkeypatch.setattr(wiring, "_services", replace(deployed, pacer=pacer))
    alex = Account(
        "msteams", "29:alex", service_url=connector.url, conversation=OneToOne("a:1"), locale="en"
    )
    deployed.accounts.change_or_make("msteams", "29:alex", lambda stored: alex)


def test_a_warm_send_takes_a_short_way(account, connector, capsys):
    def send():
        send_activity_from_queue(queue_message(MESSAGE), invocation())

    send()
    way, deep = Counter[str](), [0, 0]

    def follow(frame, event, _argument):
        file, name = frame.f_code.co_filename.removeprefix(PROJECT), frame.f_code.co_name
        # Before Python 3.12 a comprehension is a call of its own.
        is_ours = file.startswith(("/shared/", "/SendActivity/")) and not name.endswith("comp>")
        if is_ours and event == "call":
            way[file] += 1
            deep[:] = deep[0] + 1, max(deep[1], deep[0] + 1)
        elif is_ours and event == "return":
            deep[0] -= 1

    sys.setprofile(follow)
    try:
        send()
    finally:
        sys.setprofile(None)

    with capsys.disabled():
        sys.stdout.write(f"\n{way.total()} calls, {len(way)} modules, {deep[1]} deep\n")
    assert len(connector.requests) == 2
    assert way.total() <= MOST_CALLS
    assert len(way) <= MOST_MODULES
    assert deep[1] <= MOST_DEEP
