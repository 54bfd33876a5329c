"""The client of the Bot Connector: one method for each call that we make.

Paths, bodies and answers: the Connector's swagger (``botframework-channel.json``) and the page "Bot
Connector API reference". What an error means: the table in "Send proactive messages" of the Teams
documentation, and that of the Bot Connector API reference.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
import urllib3
from requests.auth import AuthBase

from shared import json_text
from shared.auth.service_urls import TrustedServiceUrls
from shared.auth.tokens import TokenSource
from shared.bounded_http import BoundedAdapter
from shared.errors import (
    BotCredentialError,
    ConnectorAnswer,
    ConnectorBusyError,
    ConnectorError,
    ConnectorRedirectedError,
    ConnectorRejectedError,
    ConnectorThrottledError,
    ConnectorTimeoutError,
    ConnectorUnavailableError,
    FieldError,
    InvalidRequestError,
)
from shared.version import USER_AGENT

_logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5
_LONGEST_ANSWER_BYTES = 1024 * 1024
_LONGEST_RETRY_AFTER_SECONDS = 24 * 60 * 60
# A code goes into answers and logs; what does not look like one is not repeated there.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,63}")


@dataclass(frozen=True)
class CreatedConversation:
    """The Connector's answer to a new conversation; ``service_url`` where it gave a trusted one."""

    id: str
    activity_id: str | None
    service_url: str | None


class ConnectorClient:
    """Calls the Bot Connector; one for the whole process, for all its threads.

    Every method makes exactly one call, in ``timeout_seconds`` at most. Each checks that the
    service URL is trusted before it asks for the token, and raises UntrustedServiceUrlError,
    BotCredentialError, or a ConnectorError that says what the Connector did.
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
        """Take where tokens come from and may go to, and the most connections to hold a host.

        ``use_proxy`` lets ``requests`` take a proxy from the environment.
        """
        self._tokens = tokens
        self._trusted = trusted_service_urls
        self._timeout_seconds = timeout_seconds
        self._session = _session(connections, use_proxy=use_proxy)

    def prepare(self, service_url: str) -> None:
        """Do everything that comes before a call: check the URL, have the token in hand."""
        self._trusted.require(service_url)
        self._tokens.token()

    def create_conversation(
        self, service_url: str, parameters: Mapping[str, Any]
    ) -> CreatedConversation:
        """Start a conversation with the ConversationParameters of the swagger."""
        answer = self._call("POST", service_url, (), parameters)
        conversation_id = _text(answer, "id")
        if conversation_id is None:
            # Not tried again: each further try could open one more conversation.
            raise ConnectorError(
                "The Connector accepted the conversation but gave no id for it",
                ConnectorAnswer(code="ConversationIdMissing"),
            )
        new_url = _text(answer, "serviceUrl")
        if new_url is not None and not self._trusted.accepts(new_url):
            new_url = None
        return CreatedConversation(conversation_id, _text(answer, "activityId"), new_url)

    def send_activity(
        self, service_url: str, conversation_id: str, activity: Mapping[str, Any]
    ) -> str | None:
        """Send an activity; return its id, None where the channel gives none."""
        return _text(
            self._call("POST", service_url, (conversation_id, "activities"), activity), "id"
        )

    def _call(
        self, method: str, service_url: str, path: tuple[str, ...], body: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        base = self._trusted.require(service_url)
        if not {".", ".."}.isdisjoint(path):
            # However it is encoded, it would lead up the path, to something else.
            raise InvalidRequestError(FieldError("conversationId", "is no id"))
        # Conversation ids hold ":", ";", "@" and more: each part is percent-encoded whole.
        parts = ("v3", "conversations", *(quote(part, safe="") for part in path))
        token = self._tokens.token()
        # requests hands urllib3's own Timeout through; its type does not say so.
        timeout: Any = urllib3.Timeout(total=self._timeout_seconds, connect=_CONNECT_SECONDS)
        try:
            response = self._session.request(
                method,
                "/".join((base, *parts)),
                data=json_text.encode(body),
                auth=_Bearer(token),
                allow_redirects=False,
                stream=True,
                timeout=timeout,
            )
        except requests.Timeout as error:
            raise ConnectorTimeoutError("The Connector did not answer in time") from error
        except requests.ConnectionError as error:
            raise ConnectorUnavailableError(
                "The Connector could not be reached, or closed the connection"
            ) from error
        except requests.RequestException as error:
            raise ConnectorError("The service URL leads nowhere") from error
        with response:
            answer = _read_object(response)
        if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
            return answer
        if response.status_code == HTTPStatus.UNAUTHORIZED and token is not None:
            self._tokens.drop(token)
        raise _error(response.status_code, _described(response, answer))


class _Bearer(AuthBase):
    """Sets our token on a request; given as auth, nothing else (no .netrc) can set another."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _session(connections: int, *, use_proxy: bool) -> requests.Session:
    session = requests.Session()
    # requests looks for proxies and passwords in the environment at every call; only where a proxy
    # is configured is that worth its time.
    session.trust_env = use_proxy
    session.headers.update(
        {
            "Accept": "application/json",
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": USER_AGENT,
        }
    )
    adapter = BoundedAdapter(
        pool_connections=connections, pool_maxsize=connections, pool_block=True
    )
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _read_object(response: requests.Response) -> Mapping[str, Any]:
    """Return the answer's JSON object; an empty one for whatever else the Connector answered.

    The status is what counts: an activity that was answered with 201 is sent, whether or not the
    body that should follow is there, whole, or JSON.
    """
    try:
        content = response.raw.read(_LONGEST_ANSWER_BYTES, decode_content=True)
        return json_text.parse_object(content)
    except (urllib3.exceptions.HTTPError, OSError, InvalidRequestError):
        return {}


def _described(response: requests.Response, body: Mapping[str, Any]) -> ConnectorAnswer:
    """Return what an error answer says, in any of the forms that channels use.

    ``{"error": {"code", "message"}}`` is the swagger's; ``{"message"}`` alone, and Teams'
    ``{"errorCode", "message": "{\\"subCode\\": …}"}``, were seen.
    """
    error = body.get("error")
    described = error if isinstance(error, Mapping) else body
    message = _text(described, "message") or ""
    code = _text(described, "code")
    if code is None and message.startswith("{"):
        try:
            code = _text(json_text.parse_object(message), "subCode")
        except InvalidRequestError:
            code = None
    headers = response.headers
    return ConnectorAnswer(
        status=response.status_code,
        code=code if code and _CODE.fullmatch(code) else None,
        message=message,
        correlation_id=headers.get("MS-CV") or headers.get("X-Correlating-OperationId"),
        retry_after_seconds=_retry_after_seconds(headers.get("Retry-After")),
    )


def _error(status: int, answer: ConnectorAnswer) -> ConnectorError | BotCredentialError:
    said = f"The Connector answered {status}" + (f" {answer.code}" if answer.code else "")
    match status:
        case 401:
            _logger.error("%s: it does not accept the bot's token", said)
            return BotCredentialError()
        case 400 | 403 | 404 | 413:
            return ConnectorRejectedError(said, answer)
        case 412:
            return ConnectorBusyError(said, answer)
        case 429:
            return ConnectorThrottledError(said, answer)
        case 502 | 503:
            return ConnectorUnavailableError(said, answer)
        case 504:
            return ConnectorTimeoutError(said, answer)
        case _ if status < HTTPStatus.BAD_REQUEST:
            return ConnectorRedirectedError(f"{said}: a redirect, which is not followed", answer)
        case _:
            return ConnectorError(said, answer)


def _retry_after_seconds(header: str | None) -> float | None:
    """Return what Retry-After asks for: seconds or a date (RFC 9110, section 10.2.3)."""
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
