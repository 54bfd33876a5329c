"""Which service URLs may get the bot's token.

A service URL comes from outside: in a request, in a cached account, in an answer. Whoever can have
one accepted gets the bot's token, so each is checked when it is stored and again when it is used.
"""

import ipaddress
import re
from collections.abc import Iterable

from shared.auth.clouds import Cloud
from shared.errors import FieldError, UntrustedServiceUrlError

# Stricter than RFC 3986 on purpose: no user info, no query, no fragment, no backslash, no spaces,
# ASCII only, and only hosts that can be looked up. What does not fit is not trusted, so no two URL
# parsers can disagree about the host.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SERVICE_URL = re.compile(
    rf"(?P<scheme>https?)://(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_SERVICE_URL = 2048

Origin = tuple[str, str, int]


class TrustedServiceUrls:
    """Decides whether the bot's token may go to a service URL."""

    def __init__(
        self, cloud: Cloud, extra_origins: Iterable[Origin], *, only_loopback: bool
    ) -> None:
        """Trust the hosts of ``cloud`` and ``extra_origins``, or nothing but this machine.

        ``only_loopback`` is for development without a credential, where there is no token to lose
        but a message should not leave the machine either.
        """
        self._cloud = cloud
        self._extra_origins = frozenset(extra_origins)
        self._only_loopback = only_loopback

    def require(self, service_url: str, *, field: str = "serviceUrl") -> str:
        """Return the service URL without its last slash; raise UntrustedServiceUrlError if it may
        not get the bot's token, naming ``field``.
        """
        origin = origin_of(service_url)
        if origin is None:
            raise UntrustedServiceUrlError(
                FieldError(field, "must be a plain https URL without user info, query or fragment")
            )
        if not self._trusts(origin):
            raise UntrustedServiceUrlError(
                FieldError(
                    field,
                    "is not a service URL of the Bot Connector; if it is yours, add its origin to "
                    "the setting TrustedServiceUrls",
                )
            )
        return service_url.rstrip("/")

    def accepts(self, service_url: str) -> bool:
        """Tell whether the bot's token may go there."""
        origin = origin_of(service_url)
        return origin is not None and self._trusts(origin)

    def _trusts(self, origin: Origin) -> bool:
        scheme, host, port = origin
        if self._only_loopback:
            return is_loopback(host)
        if origin in self._extra_origins:
            return True
        if scheme != "https" or port != _DEFAULT_PORTS["https"]:
            return False
        return host in self._cloud.trusted_hosts or any(
            host == domain or host.endswith(f".{domain}") for domain in self._cloud.trusted_domains
        )


def origin_of(url: str) -> Origin | None:
    """Return scheme, host and port of a plain URL, in lower case; None when it is not plain."""
    match = _SERVICE_URL.fullmatch(url) if len(url) <= _LONGEST_SERVICE_URL else None
    if match is None:
        return None
    scheme = match["scheme"]
    port = int(match["port"] or _DEFAULT_PORTS[scheme])
    return scheme, match["host"].lower(), port


def parse_origin(text: str) -> Origin | None:
    """Return the origin that a setting names; None when it is none, or is not safe.

    ``http`` is safe for this machine only.
    """
    origin = origin_of(text.removesuffix("/"))
    if origin is None or text.removesuffix("/").count("/") > 2:
        return None
    return origin if origin[0] == "https" or is_loopback(origin[1]) else None


def is_safe(url: str) -> bool:
    """Tell whether a URL is plain https, or http on this machine."""
    origin = origin_of(url)
    return origin is not None and (origin[0] == "https" or is_loopback(origin[1]))


def is_loopback(host: str) -> bool:
    """Tell whether the host, as it stands in a URL, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
