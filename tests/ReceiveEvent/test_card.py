"""What people are shown of an incident: the card, and the text where there are no cards."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ReceiveEvent.card import content_of
from ReceiveEvent.card_words import WORDS
from ReceiveEvent.event import Event
from shared.alerts.content import Content
from shared.alerts.incidents import Incident
from shared.sending.alert_activity import as_text
from shared.sending.outgoing_activity import require_size
from tests.support.builders import settings

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
FIRING = Incident(
    sender="alertmanager",
    query="{}",
    key="116077f230907a62",
    state="firing",
    topic="billing",
    title="Memory above 90% on web-1",
    last_event_at=NOW,
    severity="critical",
    text="web-1 reports 93%.\n\nIt was 40% yesterday.",
    details={"instance": "web-1", "job": "node"},
    link="https://prometheus.example.com:9090/graph?g0.expr=up",
    starts_at=NOW - timedelta(minutes=12, seconds=30),
)
RESOLVED = replace(FIRING, state="resolved", ends_at=NOW)


def activity_of(incident, locale="en", **how):
    content = Content.from_json(content_of(incident, NOW, **how))
    return content.activity(topic=incident.topic, name="Alex", locale=locale, default_locale="en")


def card_of(incident, locale="en"):
    [attachment] = activity_of(incident, locale).attachments
    return attachment["content"]


def lines_of(card):
    """Return what each element of a card says, in words."""
    container, *rest = card["body"]
    return [
        each["text"]
        if each["type"] == "TextBlock"
        else "".join(run["text"] for run in each["inlines"])
        for each in (*container["items"], *rest)
    ]


def test_a_card_says_what_how_bad_where_and_since_when():
    card = card_of(FIRING)

    assert lines_of(card) == [
        "Critical",
        "Memory above 90% on web-1",
        "web-1 reports 93%.",
        "It was 40% yesterday.",
        "instance: web-1",
        "job: node",
        "Since {{DATE(2026-11-27T11:47:30Z, SHORT)}}, {{TIME(2026-11-27T11:47:30Z)}}",
        "Topic: billing · Alertmanager",
    ]
    assert card["actions"] == [
        {
            "type": "Action.OpenUrl",
            "title": "Open prometheus.example.com",
            "url": "https://prometheus.example.com:9090/graph?g0.expr=up",
        }
    ]
    assert activity_of(FIRING).summary == "Critical: Memory above 90% on web-1"
    planned = replace(FIRING, starts_at=NOW + timedelta(days=1))
    assert "{{DATE(2026-11-28T12:00:00Z, SHORT)}}, {{TIME(2026-11-28T12:00:00Z)}}" in lines_of(
        card_of(planned)
    )


def test_where_there_are_no_cards_it_is_a_plain_text():
    sent = as_text(activity_of(RESOLVED, "de")).to_json()

    assert sent["textFormat"] == "plain"
    assert "attachments" not in sent
    assert sent["text"].splitlines() == [
        "Behoben nach 12 Minuten: Memory above 90% on web-1",
        "web-1 reports 93%. It was 40% yesterday.",
        "instance: web-1",
        "job: node",
        "2026-11-27 11:47 UTC → 2026-11-27 12:00 UTC",
        "Thema: billing · Alertmanager",
        "https://prometheus.example.com:9090/graph?g0.expr=up",
    ]


LONG_AGO = NOW - timedelta(days=40)
STATES = [
    ({}, "attention", "Critical", "Kritisch"),
    ({"severity": "error"}, "attention", "Error", "Fehler"),
    ({"severity": "warning"}, "warning", "Warning", "Warnung"),
    ({"severity": "info"}, "accent", "Information", "Hinweis"),
    ({"severity": None}, "emphasis", "Open", "Offen"),
    ({"severity": None, "tells_end": False}, "emphasis", "New", "Neu"),
    ({"severity": "warning", "tells_end": False}, "warning", "Warning", "Warnung"),
    ({"state": "resolved", "starts_at": None}, "good", "Resolved", "Behoben"),
    *(
        (
            {"state": "resolved", "starts_at": NOW - timedelta(seconds=seconds), "ends_at": NOW},
            "good",
            f"Resolved after {english}",
            f"Behoben nach {german}",
        )
        for seconds, english, german in [
            (-5, "less than a minute", "weniger als einer Minute"),
            (59, "less than a minute", "weniger als einer Minute"),
            (60, "1 minute", "1 Minute"),
            (3_600, "1 hour", "1 Stunde"),
            (7_500, "2 hours 5 minutes", "2 Stunden 5 Minuten"),
            (86_460, "1 day 1 minute", "1 Tag 1 Minute"),
            (40 * 86_400 + 7_500, "40 days 2 hours", "40 Tagen 2 Stunden"),
        ]
    ),
    # Who ended it gave no time.
    ({"state": "resolved"}, "good", "Resolved after 12 minutes", "Behoben nach 12 Minuten"),
]


@pytest.mark.parametrize(("changes", "style", "english", "german"), STATES)
def test_a_card_has_the_colour_and_the_word_of_how_bad_it_is(changes, style, english, german):
    incident = replace(FIRING, **changes)

    for locale, word in (("en", english), ("de-AT", german)):
        card = card_of(incident, locale)
        assert (card["body"][0]["style"], lines_of(card)[0]) == (style, word)


LINKS = {
    "https://example.com@evil.example/": "evil.example",
    "https://xn--bcher-kva.example/": "xn--bcher-kva.example",
    "https://bücher.example/": "xn--bcher-kva.example",
    "https://EXAMPLE.com:8443/x?host=evil.example": "example.com",
    "http://[::1]/": "::1",
    "https://example.com/${name}/{{DATE(2026-11-27T00:00:00Z)}}": "example.com",
    "https://example%2ecom/": None,
    f"https://{'a' * 64}.example/": None,
    "https://[::1/": None,
    None: None,
}


def test_a_button_names_the_host_that_it_leads_to_or_there_is_none():
    for link, host in LINKS.items():
        actions = card_of(replace(FIRING, link=link))["actions"]
        assert [(each["title"], each["url"]) for each in actions] == (
            [(f"Open {host}", link)] if host else []
        ), link


ODD = [
    "Deploy ${{ matrix.os }} failed",
    "${name} ${data.link} \\${name} $${name}}",
    "[Sign in](https://evil.example) ![x](https://evil.example/x.png)",
    "<at>x</at> <b>x</b> <script>alert(1)</script> &amp;",
    "**bold** _it_ `code` ~~no~~ # x",
    "<!channel> <@U123> @everyone",
    "{0} {duration} {words} %s",
    "مرحبا 日本 👩‍👩‍👧 \u202e",
]


@pytest.mark.parametrize("odd", ODD)
def test_what_the_sender_says_is_shown_as_it_is_written(odd):
    incident = replace(FIRING, title=odd, text=odd, topic=odd, details={odd: odd})

    for locale in WORDS:
        activity, card = activity_of(incident, locale), card_of(incident, locale)
        lines = lines_of(card)
        assert (lines[1], lines[3]) == (odd, f"{odd}: {odd}")
        assert "".join(lines[2].split()) == "".join(odd.split())
        assert lines[-1] == f"{WORDS[locale].topic}: {odd} · Alertmanager"
        assert activity.summary == f"{lines[0]}: {odd}"
        assert as_text(activity).to_json()["text"].startswith(f"{lines[0]}: {odd}\n")
        # Markdown is read in blocks of text, and these hold words of ours alone.
        assert not [block for block in blocks_of(card) if odd in block]


def blocks_of(card):
    container, *rest = card["body"]
    return [each["text"] for each in (*container["items"], *rest) if each["type"] == "TextBlock"]


def test_only_a_time_of_ours_is_shown_by_the_readers_clock():
    odd = "{{DATE(2026-11-27T00:00:00Z, SHORT)}} {{{TIME(2026-11-27T00:00:00Z)}}}"
    incident = replace(FIRING, title=odd, text=odd, topic=odd, details={odd: odd})

    lines = lines_of(card_of(incident))
    read = [line for line in lines if re.search(r"\{\{(DATE|TIME)\(", line)]
    assert read == [line for line in lines if line.startswith("Since ")]
    assert lines[1].replace("\u2060", "") == odd


def longest(character):
    """Return an incident in which everything is as long as an event can say it."""
    many = character * 300_000
    # A line break for each other character gives the most elements.
    event = Event(
        key="k",
        state="firing",
        topic=many,
        title=many,
        text=f"{character}\n" * 150_000 if character != " " else many,
        details={f"{n}{many}": many for n in range(30)},
        link=f"https://example.com/{character * 3_900}",
        severity="critical",
    )
    return replace(
        FIRING,
        topic=event.topic,
        title=event.title,
        text=event.text,
        details=event.details,
        link=event.link or f"https://example.com/{'x' * 3_900}",
    )


def test_the_card_always_fits():
    usual = settings()
    smaller = replace(usual, largest_activity_kilobytes={"msteams": 28})
    for character in ('"', "\\", "x", "\U0001f600", "\x00", "\ud800", "{{DATE("):
        incident = longest(character)
        whole = replace(incident, text=(character * 4_000)[:4_000])
        for each in (incident, whole, replace(whole, state="resolved", ends_at=NOW)):
            for locale in WORDS:
                require_size(activity_of(each, locale), "msteams", usual)
                require_size(activity_of(each, locale, in_short=True), "msteams", smaller)
