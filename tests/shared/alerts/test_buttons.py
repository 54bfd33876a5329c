"""The buttons of an alert that asks something, by channel, and what a click on one says."""

import json

import pytest

from shared.alerts.buttons import Click, clicked

CLICK = Click("a-1:0:r0", "take", 2)


@pytest.mark.parametrize(
    "value",
    [
        CLICK.to_json(),
        {"comment": "on my way", **CLICK.to_json(), "msteams": {"feedback": {"hide": True}}},
        json.dumps(CLICK.to_json()),
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": "2"}},
    ],
)
def test_a_click_is_read_as_channels_bring_it(value):
    assert clicked(value) == CLICK


@pytest.mark.parametrize(
    "value",
    [
        None,
        "take",
        "[" * 100_000,
        ["_answer"],
        {},
        {"_answer": "take"},
        {"_answer": {"delivery": "a-1:0:r0", "option": "take"}},
        {"_answer": {"delivery": "", "option": "take", "drawn": 0}},
        {"_answer": {"delivery": "a-1:0:r0", "option": ["take"], "drawn": 0}},
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": True}},
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": -1}},
    ],
)
def test_whatever_else_is_clicked_is_no_answer(value):
    assert clicked(value) is None
