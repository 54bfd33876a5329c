"""The client of the Bot Connector: one method for each call that we make.

Paths, bodies and answers: the Connector's swagger (``botframework-channel.json``) and the page "Bot
Connector API reference". What an error means: the table of shared.connector.errors.
"""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ssl import SSLCertVerificationError
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from shared import json_text
from shared.auth.service_urls import TrustedServiceUrls
from shared.auth.tokens import TokenSource
from shared.connector.errors import (
    ConnectorAnswer,
    NoAnswer,
    connector_error,
    failed_call,
    unsupported,
)
from shared.connector.http_transport import Transport
from shared.connector.user_agent import USER_AGENT
from shared.errors import (
    ConversationNotSupportedError,
    FieldError,
    GroupConversationNotSupportedError,
    InvalidRequestError,
)

_logger = logging.getLogger(__name__)

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": USER_AGENT,
}
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_CONNECT_SECONDS = 5
_LONGEST_ANSWER_BYTES = 1024 * 1024
_LONGEST_ID = 1024
# The longest window in which a channel counts calls (Teams: 1,800 an hour in a conversation). Where
# more is asked for, it is wrong, or the next answer says so again.
_LONGEST_RETRY_AFTER_SECONDS = 60 * 60
# "Web Chat does not support" it.
_NO_SUCH_OPERATION = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
_CHANGE_NOT_SUPPORTED = "ActivityChangeNotSupported"
# A code goes into answers and logs; what does not look like one is not repeated there.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,63}")


@dataclass(frozen=True)
class CreatedConversation:
    """The Connector's answer to a new conversation; ``service_url`` where it gave a trusted one."""

    id: str
    activity_id: str | None
    service_url: str | None


class ConnectorClient:
    """Reaches the Bot Connector; one for the whole process, for all its threads.

    ``timeout_seconds`` bounds each call as a whole, ``connections`` those to one host.
    ``use_proxy`` takes a proxy from the environment.
    """

    def __init__(
        self,
        tokens: TokenSource,
        trusted_service_urls: TrustedServiceUrls,
        *,
        timeout_seconds: float,
        connections: int,
        use_proxy: bool,
    ) -> None:
        self._tokens = tokens
        self._trusted = trusted_service_urls
        self._timeout_seconds = timeout_seconds
        self._transport = Transport(connections=connections, use_proxy=use_proxy, is_bounded=True)

    def at(self, service_url: str) -> "Connector":
        """Return the Connector at a trusted service URL; raise UntrustedServiceUrlError otherwise.

        This is the one way to a call, so the bot's token goes to trusted service URLs only.
        """
        base = self._trusted.require(service_url)
        return Connector(base, self._tokens, self._trusted, self._transport, self._timeout_seconds)


@dataclass(frozen=True)
class Connector:
    """The Bot Connector at a trusted service URL.

    Every method makes exactly one call, and raises BotCredentialError, or a ConnectorError that
    says what the Connector did.
    """

    _base: str
    _tokens: TokenSource
    _trusted: TrustedServiceUrls
    _transport: Transport
    _timeout_seconds: float

    def have_token(self) -> None:
        """Get the bot's token before it is needed; raise BotCredentialError where there is none."""
        self._tokens.token()

    def create_conversation(self, parameters: Mapping[str, Any]) -> CreatedConversation:
        """Start a conversation with the ConversationParameters of the swagger."""
        unsupported_error = (
            GroupConversationNotSupportedError
            if parameters.get("isGroup")
            else ConversationNotSupportedError
        )
        answer = self._call("POST", "", parameters, unsupported_error.code)
        conversation_id = _id(answer)
        if conversation_id is None:
            # Not tried again: each further try could open one more conversation.
            raise failed_call(
                "The Connector accepted the conversation but gave no id for it",
                "ConversationIdMissing",
                is_ambiguous=True,
            )
        new_url = _text(answer, "serviceUrl")
        if new_url is not None and not self._trusted.accepts(new_url):
            new_url = None
        return CreatedConversation(conversation_id, _id(answer, "activityId"), new_url)

    def send_activity(
        self, conversation_id: str, activity: Mapping[str, Any], *, is_targeted: bool = False
    ) -> str | None:
        """Send an activity; return its id, None where the channel gives none.

        Here and below, ``is_targeted``: one member of the conversation sees it, and nobody else.
        """
        path = _activities(conversation_id)
        return _id(self._call("POST", path, activity, is_targeted=is_targeted))

    def update_activity(
        self,
        conversation_id: str,
        activity_id: str,
        activity: Mapping[str, Any],
        *,
        is_targeted: bool = False,
    ) -> str | None:
        """Put an activity in the place of one that was sent; return the id it has now, if told."""
        path = _activities(conversation_id, activity_id)
        return _id(
            self._call("PUT", path, activity, _CHANGE_NOT_SUPPORTED, is_targeted=is_targeted)
        )

    def delete_activity(
        self, conversation_id: str, activity_id: str, *, is_targeted: bool = False
    ) -> None:
        """Delete an activity that was sent."""
        path = _activities(conversation_id, activity_id)
        self._call("DELETE", path, None, _CHANGE_NOT_SUPPORTED, is_targeted=is_targeted)

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        unsupported_code: str | None = None,
        *,
        is_targeted: bool = False,
    ) -> Mapping[str, Any]:
        """Make a call, at a path below the conversations.

        ``unsupported_code`` is ours where the channel answers that it has no such operation.
        """
        token = self._tokens.token()
        headers = _HEADERS if body is None else _HEADERS | _JSON
        try:
            response = self._transport.request(
                method,
                f"{self._base}/v3/conversations{path}"
                + ("?isTargetedActivity=true" if is_targeted else ""),
                headers=headers | ({"Authorization": f"Bearer {token}"} if token else {}),
                body=None if body is None else json_text.encode(body),
                timeout=urllib3.Timeout(total=self._timeout_seconds, connect=_CONNECT_SECONDS),
                is_read=False,
            )
        except HTTPError as error:
            no_answer = _no_answer(error)
            if no_answer is None:
                raise failed_call("The service URL leads nowhere") from error
            raise connector_error(no_answer) from error
        answer = _read_object(response)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        if response.status == HTTPStatus.UNAUTHORIZED and token is not None:
            self._tokens.drop(token)
        described = _described(response, answer)
        if response.status == HTTPStatus.UNAUTHORIZED:
            _logger.error("The Connector does not accept the bot's token: %s", described.code)
        if unsupported_code is not None and response.status in _NO_SUCH_OPERATION:
            raise unsupported(described, unsupported_code)
        raise connector_error(response.status, described)


def _activities(conversation_id: str, activity_id: str | None = None) -> str:
    """Return the path of the activities of a conversation, or of one of them.

    Ids hold ":", ";", "@" and more.
    """
    path = f"/{_segment('conversationId', conversation_id)}/activities"
    return path if activity_id is None else f"{path}/{_segment('activityId', activity_id)}"


def _segment(field: str, value: str) -> str:
    """Return an id as a part of a path; raise InvalidRequestError for what can be none."""
    # Half of a surrogate pair has no UTF-8.
    with suppress(UnicodeEncodeError):
        # However these are encoded, they would lead up the path, to something else.
        if value not in (".", ".."):
            return quote(value, safe="")
    raise InvalidRequestError(FieldError(field, "is no id"))


def _read_object(response: urllib3.BaseHTTPResponse) -> Mapping[str, Any]:
    """Return the answer's JSON object; an empty one for whatever else the Connector answered.

    The status is what counts: an activity that was answered with 201 is sent, whether or not the
    body that should follow is there, whole, or JSON.
    """
    try:
        content = response.read(_LONGEST_ANSWER_BYTES, decode_content=True)
        return json_text.parse_object(content)
    except (HTTPError, OSError, InvalidRequestError):
        return {}
    finally:
        # A connection with something left to read is of no more use.
        response.close()
        response.release_conn()


def _described(response: urllib3.BaseHTTPResponse, body: Mapping[str, Any]) -> ConnectorAnswer:
    """Return what an error answer says, in any of the forms that channels use.

    ``{"error": {"code", "message"}}`` is the swagger's; ``{"message"}`` alone, and Teams'
    ``{"errorCode", "message": "{\\"subCode\\": …}"}``, were seen.
    """
    error = body.get("error")
    described = error if isinstance(error, Mapping) else body
    message = _text(described, "message") or ""
    code = _text(described, "code")
    sub_code = None
    if message.startswith("{"):
        with suppress(InvalidRequestError):
            sub_code = _text(json_text.parse_object(message), "subCode")
    headers = response.headers
    return ConnectorAnswer(
        status=response.status,
        code=code if code and _CODE.fullmatch(code) else None,
        sub_code=sub_code if sub_code and _CODE.fullmatch(sub_code) else None,
        message=message,
        correlation_id=(headers.get("MS-CV") or headers.get("X-Correlating-OperationId") or "")[
            :_LONGEST_ID
        ]
        or None,
        retry_after_seconds=_retry_after_seconds(headers.get("Retry-After")),
    )


def _no_answer(error: HTTPError) -> NoAnswer | None:
    """Tell how a call failed: what was never sent cannot have been done. None: it never could be.

    A certificate is refused before anything is sent; all else of TLS may come in the middle.
    """
    match error:
        case ConnectTimeoutError() | ProxyError():
            return NoAnswer.UNREACHABLE
        case ReadTimeoutError():
            return NoAnswer.TIMED_OUT
        case SSLError():
            is_refused = any(isinstance(each, SSLCertVerificationError) for each in error.args)
            return NoAnswer.UNREACHABLE if is_refused else NoAnswer.CUT_OFF
        case ProtocolError():
            return NoAnswer.CUT_OFF
    return None


def _retry_after_seconds(header: str | None) -> float | None:
    """Return what Retry-After asks for, an hour at most: seconds or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if header.strip().isdecimal():
        seconds = float(header)
    else:
        try:
            date = parsedate_to_datetime(header)
        except (ValueError, OverflowError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_SECONDS)


def _text(value: Mapping[str, Any], name: str) -> str | None:
    text = value.get(name)
    return text if isinstance(text, str) and text else None


def _id(value: Mapping[str, Any], name: str = "id") -> str | None:
    """Return an id in an answer; what is too long to be kept is no id."""
    text = _text(value, name)
    return text if text is not None and len(text) <= _LONGEST_ID else None
