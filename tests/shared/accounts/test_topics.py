"""When two topics are the same."""

import pytest

from shared.accounts.topics import topic_key


@pytest.mark.parametrize(
    ("topic", "written"),
    [
        ("Yahoo!", "yahoo"),
        ("Yahoo!", "YAHOO!?"),
        ("What's new?", "what\u2019s new"),
        ("And then\u2026", "and then..."),
        ("Rain", '"Rain".'),
        ("Deep  sea", " deep\nsea\u3000"),
        ("Z\u00fcge", "Zu\u0308ge"),
        ("\u0390", "\u03aa\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("K\u0131z\u0131lay", "KIZILAY"),
        ("Software", "S\u00adoftware\ufeff"),
    ],
)
def test_a_topic_is_the_same_however_it_is_written(topic, written):
    assert topic_key(topic) == topic_key(written)


@pytest.mark.parametrize(
    ("topic", "other"),
    [("C", "C++"), ("C#", "C"), (".NET", "NET"), ("Rain", "Rains"), ("?", "!!!"), ("a b", "ab")],
)
def test_what_else_a_topic_has_makes_it_another(topic, other):
    assert topic_key(topic) != topic_key(other)
