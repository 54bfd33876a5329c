"""Our answer to a click on a card: an invoke at the messaging endpoint, its token checked.

Each click is on the card as it is by then, so each is another answer of its person.
"""

import json
import os
from collections import Counter

from benchmarks.contenders.as_in_azure import http_function, log_as_in_azure
from benchmarks.contenders.worker import Send, SendAll, in_threads
from benchmarks.messages import AUTHORIZATION, FILL, OPTIONS, SERVICE_URL, alert_id, click, user_id


def _answered_click() -> Send:
    from shared.alerts.button_data import Click

    invoke = http_function("ReceiveActivity")
    service_url = os.environ[SERVICE_URL]
    headers = {"Authorization": os.environ[AUTHORIZATION]}
    copies = _copies()
    answered = Counter[int]()

    def answer(batch: str, user: int) -> None:
        drawn = answered[user]
        button = Click(copies[user_id(user)], OPTIONS[drawn % len(OPTIONS)], drawn)
        body = json.dumps(click(batch, user, service_url, button.to_json())).encode()
        said = json.loads(invoke("POST", "messages", headers=headers, body=body))
        # A click that is no answer gets a text.
        assert "AdaptiveCard" in said["value"]["type"], said
        answered[user] += 1

    return answer


def _copies() -> dict[str, str]:
    """Return the id of the delivery by which each user has got the card."""
    from shared.deliveries.rows import member_of
    from shared.wiring import services

    asked, found = alert_id(FILL), services()
    deliveries = {
        member_of(each.id): each.id
        for page in range(found.alerts.find(asked).next_page)
        for each in found.deliveries.page(asked, page)
    }
    copies, place, more = {}, "", True
    while more:
        rows, more = found.accounts.scan(1000, after=place)
        for row in rows:
            place = row.key
            if row.account is not None and row.account.key is not None:
                copies[row.account.user_id] = deliveries[row.account.key.id]
    return copies


def contender() -> SendAll:
    """Return what sends, once all that it needs is loaded."""
    log_as_in_azure()
    return in_threads(_answered_click())
