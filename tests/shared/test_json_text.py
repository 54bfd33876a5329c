import pytest

from shared import json_text
from shared.errors import InvalidRequestError, RequestTooLargeError


def nested(levels):
    return b'{"card": ' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    "text",
    [
        b'{"text": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x98\x80"}',
        '{"text": "Gr\\u00fc\\u00dfe \\ud83d\\ude00"}',
        b'\xef\xbb\xbf{"text": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x98\x80"}',
        '{"text": "Grüße 😀"}'.encode("utf-16"),
    ],
    ids=["bytes", "escapes", "byte order mark", "UTF-16"],
)
def test_text_is_read_however_it_is_encoded(text):
    assert json_text.parse_object(text) == {"text": "Grüße 😀"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not valid JSON (line 1)"),
        (b"{", "is not valid JSON (line 1)"),
        (b'{\n"text": x\n}', "is not valid JSON (line 2)"),
        (b"{'text': 1}", "is not valid JSON (line 1)"),
        (b'{"value": NaN}', "is not valid JSON"),
        (b'{"value": -Infinity}', "is not valid JSON"),
        (b'{"value": 1e400}', "is not valid JSON"),
        (b'{"value": ' + b"1" * 5000 + b"}", "is not valid JSON"),
        (b'{"text": "\xff"}', "is not valid JSON"),
        (b"\x00\x01", "is not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"text"', "must be a JSON object"),
        (b"[" * 200_000, "is nested too deeply"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_what_is_no_json_object_is_refused_with_the_reason(text, message):
    with pytest.raises(InvalidRequestError) as caught:
        json_text.parse_object(text)

    [error] = caught.value.field_errors
    assert error.field == "(body)"
    assert error.message.startswith(message)


def test_a_refusal_does_not_repeat_what_was_sent():
    with pytest.raises(InvalidRequestError) as caught:
        json_text.parse_object(b'{"text": "confidential')

    assert "confidential" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_nesting_is_allowed_as_deep_as_cards_go_and_no_deeper():
    json_text.parse_object(nested(100))

    with pytest.raises(InvalidRequestError) as caught:
        json_text.parse_object(nested(101))

    assert caught.value.field_errors[0].field == "card"


@pytest.mark.parametrize("levels", [500, 900, 990, 3_000, 100_000])
def test_nesting_that_would_break_a_parser_is_refused(levels):
    with pytest.raises(InvalidRequestError, match="nested"):
        json_text.parse_object(nested(levels))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"b":[true,false,null],"c":{"d":"e"}}',
        b'{"big":123456789012345678901234567890}',
        b'{"half of a pair":"\\ud83d","and":"\\ude00\\ud83d"}',
        b'{"\\ud83d":"in a name"}',
        '{"text":"Grüße 😀 \u2028"}'.encode(),
        b'{"quote":"\\"\\\\\\n\\u0000"}',
    ],
)
def test_what_was_read_is_written_as_it_was(text):
    assert json_text.encode(json_text.parse_object(text)) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_json_is_never_written(value):
    with pytest.raises(ValueError, match="Out of range"):
        json_text.encode({"value": value})


@pytest.mark.parametrize("text", ["x" * 48, "é" * 48, "😀" * 24], ids=["ASCII", "Latin", "emoji"])
def test_size_is_counted_in_utf_16(text):
    value = {"text": text}  # 59 characters as JSON

    json_text.require_size(value, 118)

    with pytest.raises(RequestTooLargeError):
        json_text.require_size(value, 117)


def test_half_of_a_pair_counts_for_itself():
    json_text.require_size({"text": "\ud83d"}, 24)

    with pytest.raises(RequestTooLargeError):
        json_text.require_size({"text": "\ud83d"}, 23)


def test_the_largest_part_is_named():
    value = {"text": "x" * 40, "attachments": [{"content": "x" * 80}], "type": "message"}

    with pytest.raises(RequestTooLargeError) as caught:
        json_text.require_size(value, 100)
    with pytest.raises(RequestTooLargeError) as below:
        json_text.require_size(value, 100, field="activity")

    assert [error.field for error in caught.value.field_errors] == ["attachments"]
    assert [error.field for error in below.value.field_errors] == ["activity.attachments"]


def test_nothing_is_never_too_large():
    json_text.require_size({}, 0)
