"""The shape of an event: its limits, its links, its severities; and the body that it is read of."""

import pytest

from ReceiveEvent.body import parse_body
from ReceiveEvent.event import Event, is_link, severity_of, severity_of_number
from shared.errors import InvalidRequestError, RequestTooLargeError


def test_what_is_said_is_cut_to_what_a_card_holds_and_shown_as_written():
    title = "Deploy ${{ matrix.os }} [Sign in](https://evil.example) <at>x</at>"
    event = Event(
        key="k" * 600,
        state="firing",
        topic="t" * 300,
        title=title,
        text="x" * 300_000,
        details={str(number): "y" * 201 for number in range(30)} | {"empty": ""},
        occurrence="\ud800",
    )

    assert event.title == title
    assert event.text == f"{'x' * 3_999}…"
    assert list(event.details.values()) == [f"{'y' * 199}…"] * 20
    assert event.key == Event("k" * 600, "firing", "a", "b").key
    assert event.key != Event("k" * 601, "firing", "a", "b").key
    assert len(event.key) < 100
    assert event.occurrence is not None
    assert event.occurrence.startswith("sha256:")
    assert (
        Event("a", "firing", "b", "half \ud83d, \x00 and\tall 😀").title == "half �, � and\tall 😀"
    )


def test_a_link_is_a_whole_http_url():
    for url, is_one in {
        "https://example.com/a?b=c#d": True,
        "http://127.0.0.1:3000": True,
        "https://portal.azure.com#@tenant/blade": True,
        "": False,
        "?orgId=1": False,
        "to be written": False,
        "/path": False,
        "https://": False,
        "https:example.com": False,
        "https://[": False,
        "ftp://example.com": False,
        "javascript:alert(1)": False,
        "https://example.com/a b": False,
        "https://example.com\\@evil.example": False,
        "https://example.com/\x00": False,
        f"https://example.com/{'a' * 4_000}": False,
    }.items():
        assert is_link(url) == is_one, url


def test_every_senders_words_for_how_bad_it_is_are_four():
    for word, severity in {
        "Sev0": "critical",
        "Sev1": "error",
        "Sev2": "warning",
        "Sev3": "info",
        "Sev4": "info",
        "CRITICAL": "critical",
        "page": "critical",
        "high": "error",
        "medium": "warning",
        "low": "info",
        "none": "info",
        "purple": None,
        "": None,
    }.items():
        assert severity_of(word) == severity, word
    limits = {"": None, "0": None, "1": "info", "12": "info", "13": "warning", "16": "warning"}
    limits |= {"17": "error", "20": "error", "21": "critical", "24": "critical", "25": None}
    assert {number: severity_of_number(number) for number in limits} == limits


def test_a_body_is_its_json_however_it_is_wrapped_or_nested():
    form = {"content-type": "application/x-www-form-urlencoded"}
    binary = {"ce-specversion": "1.0", "content-type": "application/octet-stream"}
    for headers, raw, body in (
        ({}, b'\xef\xbb\xbf{"a": "\xc3\xa4"}', {"a": "ä"}),
        (form, b"payload=%7B%22a%22%3A%22%C3%A4%22%7D", {"a": "ä"}),
        (form, b'{"a": 1}', {"a": 1}),
        (binary, b"\xff", None),
        (binary, b"", None),
        (binary, b"[1]", [1]),
        ({**binary, "content-type": "text/plain"}, b"7 \xff", "7 \N{REPLACEMENT CHARACTER}"),
    ):
        assert parse_body(headers, raw) == body
    assert parse_body({}, b'{"a":' * 500 + b"1" + b"}" * 500)
    for headers, raw in (({}, b""), ({}, b"{"), ({}, b"\xff"), (form, b"a=1")):
        with pytest.raises(InvalidRequestError, match="not valid JSON"):
            parse_body(headers, raw)
    with pytest.raises(RequestTooLargeError):
        parse_body({}, b"[" * 10**6)
