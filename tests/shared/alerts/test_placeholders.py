import json
import tracemalloc
from collections import ChainMap
from types import MappingProxyType
from typing import Any

import pytest

from shared import json_text
from shared.alerts.placeholders import template_of
from shared.errors import FieldError, InvalidRequestError

DATA = {
    "amount": 3,
    "price": 1.5,
    "order": {"id": "A-1", "2026": "a year"},
    "items": [{"title": "First"}, {"title": "Second"}],
    "größe_in-cm": "180",
    "nothing": None,
    "empty": "",
}
SCOPE = {**DATA, "name": "Alex", "topic": "orders", "data": DATA}
NO_PATH = "that holds no path such as data.items.0.title; write \\${ where it is to be text"


UNCLOSED = "has a ${ at character 1 that is never closed; write \\${ where it is to be text"

BODY = "activity.attachments[0].content.body[1].text"


def fill(value, scope=SCOPE):
    template = template_of(value)
    assert list(template.problems(scope)) == []
    return template.fill(scope)


def problems_of(value, scope=SCOPE):
    """The problems of a value, of which some cannot be seen before it is filled in."""
    try:
        found = list(template_of(value).problems(scope))
    except InvalidRequestError as error:
        found = [*error.field_errors]
    else:
        with pytest.raises(InvalidRequestError) as caught:
            template_of(value).fill(scope)
        assert list(caught.value.field_errors) == found[:1]
        assert caught.value.__cause__ is None
    return [(each.field, each.message) for each in found]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hello ${name}!", "Hello Alex!"),
        ("${name}, ${topic}: ${data.amount}", "Alex, orders: 3"),
        ("${order.id}, ${data.order.2026}", "A-1, a year"),
        ("${data.items.0.title}, ${items.1.title}", "First, Second"),
        ("${data.größe_in-cm} [${data.empty}]", "180 []"),
        ("{${name}}\n$${data.price}}", "{Alex}\n$1.5}"),
        (r"\${name} \${not a path", "${name} ${not a path"),
        (r"\${${name}}", "${Alex}"),
        (r"\\${name}", r"\${name}"),
        (r"\\\${name}", r"\\${name}"),
        (r"\ ${name}\n", r"\ Alex\n"),
    ],
)
def test_a_placeholder_becomes_the_value_at_its_path(text, filled):
    assert fill(text) == filled


@pytest.mark.parametrize("kind", [dict, MappingProxyType, ChainMap])
def test_a_value_is_written_as_in_json_and_is_text_then(kind):
    for value in (-0.0, 1e-7, 123456789012345678901234567890, True):
        assert fill("${it}", kind({"it": value})) == json_text.to_text(value)


def test_all_else_is_text_and_not_copied():
    values: list[Any] = ["", "$5", "{name}", "$ {name}", "$\\{name}", r"C:\$", "$"]
    for value in (*values, None, True, 5, 1.5, [], {}, [[{"a": ["b"]}]]):
        assert fill(value, {}) is value


def test_a_value_comes_out_as_it_is_whatever_it_is():
    card = {"text": "${value}", "body": [{"text": "a ${value} b ${value}"}, "${name}"]}
    for hostile in (
        "a \"quote\" and 'another'",
        "${name} and ${data.amount} and \\${name}",
        "\\ \\\\ \\n \\1 \\g<0>",
        "two\nlines\r\n\ttabbed\u2028\x00",
        "</at><b>&amp;</b><script>",
        '"},{"type":"Action.OpenUrl","url":"https://evil.example"',
        "{{name}} {0} %s $name }${",
        "👩‍👩‍👧‍👦 \ude00\ud83d",
        '"{}\\\n</at>🙂${name}\ud83d' * 600,
    ):
        filled = fill(card, {"value": hostile, "name": "Alex", "data": {"amount": 3}})

        assert filled == {"text": hostile, "body": [{"text": f"a {hostile} b {hostile}"}, "Alex"]}
        assert json.loads(json_text.encode(filled)) == filled


def test_only_strings_are_filled_in_and_never_names():
    value = {
        "${name}": "${name}",
        "${not a path": ["${topic}", 5, 1.5, None, True, {"a ${name}": {"${": "$"}}],
    }

    assert fill(value) == {
        "${name}": "Alex",
        "${not a path": ["orders", 5, 1.5, None, True, {"a ${name}": {"${": "$"}}],
    }


def test_only_what_leads_to_a_placeholder_is_copied_and_the_rest_shared():
    value: Any = {"before": {"a": [1]}, "list": [{"b": "c"}, {"text": "${name}"}], "after": ["$5"]}
    original = json.loads(json.dumps(value))

    filled = fill(value)
    filled["list"].append("more")

    assert value == original
    assert list(filled) == ["before", "list", "after"]
    assert filled["list"][1] == {"text": "Alex"}
    assert filled["before"] is value["before"]
    assert filled["list"][0] is value["list"][0]
    assert filled["after"][0] is value["after"][0]


def test_values_and_paths_nest_as_deep_as_a_request_may():
    value: Any = "${" + ".".join("a" * 99) + "}"
    scope: Any = "found"
    for level in range(99):
        value = [value] if level % 2 else {"a": value}
        scope = {"a": scope}

    json_text.require_depth({"value": value})
    filled = fill(value, scope)

    for level in reversed(range(99)):
        filled = filled[0] if level % 2 else filled["a"]
    assert filled == "found"


NO_PATHS = (
    *("", " name", "name\n", ".name", "name.", "a..b", "items[0]", "f(name)", "a/b", "$root"),
    *("{name", "🙂", "\ud83d"),
)
UNKNOWN = (
    *("unknown", "Name", "name.length", "amount.real", "nothing.more", "__class__"),
    *("items.__len__", "data.items.2", "data.items.-1", "data.items.00", "data.items.1_0"),
    *("data.items.\u0660", "data.items." + "9" * 5000),
)
NO_TEXTS = {"nothing": "null", "data.items": "a list", "items.0": "an object"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((f"${{{path}}}", f"has a ${{ at character 1 {NO_PATH}") for path in NO_PATHS),
        *((text, UNCLOSED) for text in ("${", "${name", "${name ${topic", "${name\\")),
        *((f"${{{path}}}", f"has ${{{path}}}, which has no value") for path in UNKNOWN),
        *(
            (f"${{{path}}}", f"has ${{{path}}}, which is {kind}, not text, a number, true or false")
            for path, kind in NO_TEXTS.items()
        ),
    ],
    ids=lambda value: value[:24],
)
def test_what_cannot_be_filled_in_is_refused_and_told_by_its_place_or_path(text, problem):
    told = FieldError("activity.text", problem)
    assert problems_of({"text": text}) == [(told.field, told.message)]


def test_all_problems_are_named_at_once_each_with_its_place():
    def messages(text, in_body):
        body = [{"text": "${name}"}, {"text": in_body}]
        value = {"text": text, "attachments": [{"content": {"body": body}}]}
        return [(field, message.split(";")[0][:44]) for field, message in problems_of(value)]

    assert messages("${unknown} ${name} ${ name }", "${unknown} ${unknown} ${") == [
        ("activity.text", "has a ${ at character 20 that holds no path "),
        (BODY, "has a ${ at character 23 that is never close"),
    ]
    assert messages("${unknown} ${name}", "${unknown} ${unknown} ${data}") == [
        ("activity.text", "has ${unknown}, which has no value"),
        (BODY, "has ${unknown}, which has no value"),
        (BODY, "has ${data}, which is an object, not text, a"),
    ]


def test_a_template_is_checked_for_each_scope():
    template = template_of({"text": "${name}: ${data.amount}"}, field="message.activity")

    assert list(template.problems({"name": "", "data": {"amount": 0}})) == []
    problems = template.problems({"data": {"amount": []}})
    assert [error.field for error in problems] == ["message.activity.text"] * 2


def test_a_text_full_of_half_placeholders_is_read_once():
    text = "${name} ${" * 20_000

    assert len(problems_of(text)) == 100


@pytest.mark.parametrize("text", ["a", "${name}"])
def test_what_stands_below_a_long_name_takes_little_more_than_itself(text):
    value = {"a" * 10_000: [text] * 2_000}
    tracemalloc.start()
    try:
        fill(value)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # A path for each of them would be 20 MB.
    assert most_bytes < 5_000_000
