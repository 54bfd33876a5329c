"""An alert reaches exactly its audience, however large that is and whoever dies on the way."""

import itertools
import subprocess
from collections import Counter
from functools import partial

import pytest

from tests.flows.alerts import (
    ENDED_SECONDS,
    counts,
    deliveries,
    make_known,
    person,
    send_alert,
    told,
    wait_for_end,
)
from tests.flows.running_app import AS_IN_AZURE, running_app
from tests.support.waiting import until

pytestmark = pytest.mark.soak

PEOPLE = 10_000
CHANNELS = ("msteams", "slack", "telegram")
LOCALES = ("en-GB", "de-AT", "fr", None)
ACTIVITIES = {
    "en": {"text": "Hello ${name}, the lighthouse opens."},
    "de": {"text": "Hallo ${name}, der Leuchtturm öffnet."},
    "fr": {"text": "Bonjour ${name}, le phare ouvre."},
}
KILLS = 2
WARM = {"channelId": "telegram", "userId": "somebody"}
# What a host was doing when it died is done again soon.
SETTINGS = {**AS_IN_AZURE, "ConnectorTimeoutSeconds": "2", "SendRatePerSecond": "150"}
MOST_GROWTH_KILOBYTES = 50 * 1024


def everybody(service_url: str):
    """People on all channels, in all languages; a third of them are interested."""
    channels, locales = itertools.cycle(CHANNELS), itertools.cycle(LOCALES)
    for number in range(PEOPLE):
        interests = {0: ["Lighthouses"], 1: ["Trains"]}.get(number % 3, [])
        yield person(
            next(channels),
            service_url,
            name=f"Person {number}",
            # Each language on each channel, of the interested too.
            locale=next(locales) if number % 5 else "de",
            preferences={"interests": interests},
        )


def saying(account) -> str:
    language = (account.locale or "en").partition("-")[0]
    return ACTIVITIES[language]["text"].replace("${name}", account.name)


@pytest.fixture(scope="module")
def people(storage, connector):
    people = list(everybody(connector.url))
    make_known(storage, people)
    return people


def resident_kilobytes(process: int) -> int:
    """How much memory a process has right now."""
    listed = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(process)], capture_output=True, check=True
    )
    return int(listed.stdout)


def test_it_reaches_each_of_them_once_in_their_language_whoever_dies(
    tmp_path, storage, connector, identity, people
):
    interested = [each for each in people if "Lighthouses" in each.preferences["interests"]]
    audience = {"interests": ["lighthouses"]}

    def has_sent(count: int) -> bool:
        return len(connector.requests) >= count

    def app_number(number: int):
        folder = tmp_path / f"app-{number}"
        options = ("--lease-seconds", "3")
        return running_app(folder, storage, connector, identity, *options, **SETTINGS)

    peaks = []
    for kill in range(KILLS + 1):
        with app_number(kill) as app:
            process = app.host.process.pid
            if kill == 0:
                # All that is loaded with the first message is.
                wait_for_end(app, send_alert(app, recipients=[WARM], activity={"text": "x"}))
                idle = resident_kilobytes(process)
                alert_id = send_alert(app, audience=audience, activities=ACTIVITIES)
            if kill == KILLS:
                ended = wait_for_end(app, alert_id)
            else:
                enough = (kill + 1) * len(interested) // (KILLS + 2)
                until(partial(has_sent, enough), seconds=ENDED_SECONDS)
            peaks.append(resident_kilobytes(process))
            if kill == KILLS:
                ambiguous = [each for each in deliveries(app, alert_id) if "ambiguous" in each]
            # Leaving kills it.

    sent = told(call for call in connector.requests if call.json.get("text", "x") != "x")
    wanted = Counter((f"chat-with-{each.user_id}", saying(each)) for each in interested)
    assert set(sent) == set(wanted)
    # Only what a host was doing while it died may have been done again, and the record says so.
    assert sum((sent - wanted).values()) <= len(ambiguous)
    assert counts(ended) == {"sent": len(interested)}
    assert (ended["status"], ended["total"], ended["progress"]) == ("done", len(interested), 1.0)
    assert max(peaks) - idle < MOST_GROWTH_KILOBYTES
