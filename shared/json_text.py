"""JSON in and out: strict when read, so that all that is accepted can be written again."""

import json
import re
from collections.abc import Mapping
from math import isinf
from typing import Any, NoReturn, TypeVar

from shared.errors import FieldError, InvalidRequestError, RequestTooLargeError

_WHOLE_BODY = "(body)"
_DEEPEST_NESTING = 100
"""Levels; a card with everything nests some twenty, and the parser itself gives up near 1,000."""

_BYTE_ORDER_MARK = "\ufeff"

# Up to its end, or to where the text was cut.
_TOKEN = re.compile(r'"[Aa]piToken"\s*:\s*"(?:[^"\\]|\\.)*"?', re.DOTALL)

_COMPACT: dict[str, Any] = {
    "ensure_ascii": False,
    "allow_nan": False,
    "separators": (",", ":"),
}

_Value = TypeVar("_Value")


def parse(text: bytes | str) -> Any:
    """Return the JSON in ``text``; raise InvalidRequestError saying what is wrong with it.

    NaN, infinities and numbers too large for a double are refused: they could not be sent on.
    """
    value = _load(text)
    require_depth(value if isinstance(value, dict) else {_WHOLE_BODY: value})
    return value


def require_depth(value: dict[str, Any]) -> None:
    """Raise InvalidRequestError for what is nested too deeply to be worked with, naming it."""
    for field, member in value.items():
        level = [member]
        for _ in range(_DEEPEST_NESTING):
            # Nothing else is made of each node: with millions of them, that would have Python look
            # through them all for what is garbage, again and again.
            level = [
                child
                for node in level
                if isinstance(node, (dict, list))
                for child in (node.values() if isinstance(node, dict) else node)
            ]
            if not level:
                break
        else:
            problem = f"is nested deeper than {_DEEPEST_NESTING} levels"
            raise InvalidRequestError(FieldError(field, problem))


def parse_object(text: bytes | str) -> dict[str, Any]:
    """Return the JSON object in ``text``; raise InvalidRequestError saying what is wrong."""
    value = parse_own_object(text)
    require_depth(value)
    return value


def parse_own_object(text: bytes | str) -> dict[str, Any]:
    """Return the JSON object in a text of ours, which wraps what came in; see require_depth."""
    value = _load(text)
    if not isinstance(value, dict):
        raise InvalidRequestError(FieldError(_WHOLE_BODY, "must be a JSON object"))
    return value


def _load(text: bytes | str) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return json.loads(
            text.removeprefix(_BYTE_ORDER_MARK),
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            object_hook=_without_token if "piToken" in text else None,
        )
    except RecursionError:
        raise InvalidRequestError(FieldError(_WHOLE_BODY, "is nested too deeply")) from None
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequestError(FieldError(_WHOLE_BODY, f"is not valid JSON{where}")) from None


def _without_token(members: dict[str, Any]) -> dict[str, Any]:
    """Drop what opens a whole workspace: Slack's channelData has its live token in ``ApiToken``."""
    for name in ("channelData", "ChannelData"):
        if isinstance(channel_data := members.get(name), dict):
            for token in ("ApiToken", "apiToken"):
                channel_data.pop(token, None)
    return members


def encode(value: object) -> bytes:
    """Return ``value`` as compact JSON in UTF-8.

    Half of a surrogate pair, which a careless sender may have left of an emoji, has no UTF-8; it
    goes out as the JSON escape that it came in as.
    """
    return json.dumps(value, **_COMPACT).encode("utf-8", "backslashreplace")


def to_text(value: object) -> str:
    """Return ``value`` as ``encode`` does, as text; no longer than it must be in UTF-16."""
    return encode(value).decode()


def without_none(members: Mapping[str, _Value | None]) -> dict[str, _Value]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def without_token(text: str) -> str:
    """Return a text that is no JSON without Slack's live token, which may still stand in it."""
    return _TOKEN.sub('"ApiToken":""', text)


def require_size(
    value: dict[str, Any],
    most_bytes: int,
    *,
    field: str = "",
    uncounted: re.Pattern[str] | None = None,
) -> None:
    """Raise RequestTooLargeError when ``value`` is larger than ``most_bytes`` as JSON in UTF-16.

    Channels measure in UTF-16. ``uncounted`` is what of the compact JSON does not count. The error
    names the largest part of ``value``, below ``field``.
    """
    if not value or _utf16_size(value, uncounted, most_bytes) <= most_bytes:
        return
    largest = max(value, key=lambda name: _utf16_size({name: value[name]}, uncounted))
    raise RequestTooLargeError(
        FieldError(
            f"{field}.{largest}" if field else largest,
            f"is too large: the whole must be at most {most_bytes // 1024} KB of UTF-16",
        )
    )


def _utf16_size(value: object, uncounted: re.Pattern[str] | None, enough: int = 0) -> int:
    """Return the size in bytes; what does not count is looked for where it is over ``enough``."""
    text = json.dumps(value, **_COMPACT)
    size = len(text.encode("utf-16-le", "surrogatepass"))
    if uncounted is None or size <= enough:
        return size
    return size - 2 * sum(len(each[0]) for each in uncounted.finditer(text))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite_float(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(text)
    return number
