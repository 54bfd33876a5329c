import gc
import json

import pytest

from shared import json_text
from shared.errors import InvalidRequestError, RequestTooLargeError


def nested(levels):
    return b'{"card": ' + b"[" * levels + b"]" * levels + b"}"


def test_text_is_read_however_it_is_encoded():
    texts: list[bytes | str] = [
        b'{"text": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x98\x80"}',
        '{"text": "Gr\\u00fc\\u00dfe \\ud83d\\ude00"}',
        b'\xef\xbb\xbf{"text": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x98\x80"}',
        '\ufeff{"text": "Grüße 😀"}',
        '{"text": "Grüße 😀"}'.encode("utf-16"),
    ]
    for text in texts:
        assert json_text.parse_object(text) == {"text": "Grüße 😀"}


def test_what_is_no_json_object_is_refused_with_the_reason():
    for text, message in [
        (b"", "is not valid JSON (line 1)"),
        (b'{\n"text": x\n}', "is not valid JSON (line 2)"),
        (b"{'text': 1}", "is not valid JSON (line 1)"),
        (b'{"value": NaN}', "is not valid JSON"),
        (b'{"value": -Infinity}', "is not valid JSON"),
        (b'{"value": 1e400}', "is not valid JSON"),
        (b'{"value": ' + b"1" * 5000 + b"}", "is not valid JSON"),
        (b'{"text": "\xff"}', "is not valid JSON"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"[" * 200_000, "is nested too deeply"),
        (b'{"text": "confidential', "is not valid JSON (line 1)"),
    ]:
        with pytest.raises(InvalidRequestError) as caught:
            json_text.parse_object(text)
        [error] = caught.value.field_errors
        assert error.field == "(body)"
        assert error.message.startswith(message), text[:20]
        assert "confidential" not in str(caught.value)
        cause = caught.value
        assert cause.__context__ is None or cause.__suppress_context__


def test_looking_through_a_wide_object_has_python_collect_no_garbage():
    nodes: list[list[object]] = [[] for _ in range(100_000)]
    wide = {"card": nodes}
    before = gc.get_stats()[0]["collections"]

    json_text.require_depth(wide)

    assert gc.get_stats()[0]["collections"] - before <= 1


def test_nesting_is_allowed_as_deep_as_cards_go_and_no_deeper():
    json_text.parse_object(nested(100))

    for levels in (101, 990, 3_000, 100_000):
        with pytest.raises(InvalidRequestError, match="nested") as caught:
            json_text.parse_object(nested(levels))
        if levels == 101:
            assert caught.value.field_errors[0].field == "card"
    with pytest.raises(InvalidRequestError, match="nested"):
        json_text.parse(b"[" * 102 + b"]" * 102)
    with pytest.raises(InvalidRequestError, match="nested"):
        json_text.parse(b'{"a":' * 102 + b"1" + b"}" * 102)


def test_what_was_read_is_written_as_it_was():
    for text in [
        b'{"a":1,"b":[true,false,null],"c":{"d":"e"}}',
        b'{"big":123456789012345678901234567890}',
        b'{"half of a pair":"\\ud83d","and":"\\ude00\\ud83d"}',
        b'{"\\ud83d":"in a name"}',
        '{"text":"Grüße 😀 \u2028"}'.encode(),
        b'{"quote":"\\"\\\\\\n\\u0000"}',
    ]:
        assert json_text.encode(json_text.parse_object(text)) == text
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Out of range"):
            json_text.encode({"value": value})


def test_a_live_token_of_slack_is_not_read():
    for name, token in (("channelData", "ApiToken"), ("channelData", "apiToken")):
        told = {"text": token, "activity": {name: {token: "xoxb-1", "SlackMessage": {}}}}
        assert json_text.parse(json.dumps(told)) == {
            "text": token,
            "activity": {name: {"SlackMessage": {}}},
        }
    cut = '{"channelData":{"ApiToken" : "xoxb-1\\"2","SlackMessage":{"te'
    assert json_text.without_token(cut) == '{"channelData":{"ApiToken":"","SlackMessage":{"te'
    assert json_text.without_token('{"channelData":{"ApiToken":"xoxb') == (
        '{"channelData":{"ApiToken":""'
    )
    # Elsewhere it is nothing that we know.
    assert json_text.parse('{"value": {"ApiToken": 1}}') == {"value": {"ApiToken": 1}}


def test_size_is_counted_in_utf_16():
    json_text.require_size({}, 0)
    # 11 characters around the text; half of a pair counts for itself.
    for text, most in [("x" * 48, 118), ("é" * 48, 118), ("😀" * 24, 118), ("\ud83d", 24)]:
        json_text.require_size({"text": text}, most)
        with pytest.raises(RequestTooLargeError):
            json_text.require_size({"text": text}, most - 1)


def test_the_largest_part_is_named():
    value = {"text": "x" * 40, "attachments": [{"content": "x" * 80}], "type": "message"}

    for field, named in [("", "attachments"), ("activity", "activity.attachments")]:
        with pytest.raises(RequestTooLargeError) as caught:
            json_text.require_size(value, 100, field=field)
        assert [error.field for error in caught.value.field_errors] == [named]


def test_only_what_is_none_is_left_out():
    assert json_text.without_none({"a": None, "b": 0, "c": "", "d": False}) == {
        "b": 0,
        "c": "",
        "d": False,
    }
