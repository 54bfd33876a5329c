"""What stands for the body of a request when a format reads it: its JSON."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from ReceiveEvent.formats import cloudevents
from shared.errors import FieldError, InvalidRequestError, RequestTooLargeError

_FORM = "application/x-www-form-urlencoded"


def parse_body(headers: Mapping[str, str], raw: bytes) -> Any:
    """Return the JSON of a body.

    Raises InvalidRequestError if it is none, and RequestTooLargeError if the parser gives up on how
    deeply it is nested.

    It may hold NaN and be nested deeply, as nothing of it is sent on as JSON. GitHub's other
    content type is a form that holds the JSON. The data of a CloudEvent whose attributes are
    headers may be anything: a text is that text, and what cannot be read is None.
    """
    content_type = headers.get("content-type", "").lower()
    is_data = cloudevents.is_binary(headers)
    if is_data and content_type.startswith("text/"):
        return raw.decode("utf-8", "replace")
    try:
        # curl says that whatever it posts is a form.
        if content_type.startswith(_FORM) and raw.startswith(b"payload="):
            return json.loads(parse_qs(raw.decode(), max_num_fields=10)["payload"][0])
        return json.loads(raw)
    except RecursionError:
        raise RequestTooLargeError(FieldError("(body)", "is nested too deeply")) from None
    except (ValueError, KeyError):
        if is_data:
            return None
        raise InvalidRequestError(FieldError("(body)", "is not valid JSON")) from None
