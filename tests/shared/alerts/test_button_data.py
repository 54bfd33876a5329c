"""What a click on a button of an alert brings back."""

import json
from dataclasses import replace

import pytest

from shared.alerts.button_data import Click, clicked

CLICK = Click("a-1:0:r0", "take", 2)


@pytest.mark.parametrize(
    "value",
    [
        CLICK.to_json(),
        {"comment": "on my way", **CLICK.to_json(), "msteams": {"feedback": {"hide": True}}},
        json.dumps(CLICK.to_json()),
        {"_answer": {"delivery": "a-1:0:r0", "option": "take", "drawn": "2"}},
        CLICK.to_post_back(64),
        " ?take:2:a-1:0:r0\n",
    ],
)
def test_a_click_is_read_as_channels_bring_it(value):
    assert clicked(value) == CLICK


def test_the_value_of_a_hero_cards_button_leaves_out_who_clicks_where_it_is_too_long():
    key_id = "0123456789abcdef" * 2
    click = Click(f"a:0:x:12:{key_id}", "take", 0)

    values = [click.to_post_back(longest) for longest in (49, 48, 17, 16)]

    assert values == [f"?take:0:a:0:x:12:{key_id}", *["?take:0:a:0:x:12:"] * 2, None]
    open_click = replace(click, delivery_id="a:0:x:12:")
    assert [clicked(value) for value in values] == [click, open_click, open_click, None]
    assert CLICK.to_post_back(len("?take:2:a-1:0:")) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        "take",
        "?take",
        "?take it:0:a-1:0:",
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
