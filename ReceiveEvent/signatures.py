"""Whether a body comes from who knows the secret: GitHub's, Grafana's and our own signatures.

Sources: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries and
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/#hmac-signature
"""

import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime

from shared.settings import SIGNING_SENDERS

_GITHUB_HEADER = "x-hub-signature-256"
_GRAFANA_HEADER = "x-grafana-alerting-signature"
_GRAFANA_TIME_HEADER = "x-grafana-alerting-timestamp"
_OLDEST_SECONDS = 300


def is_from(
    sender: str,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Iterable[str],
    now: datetime,
) -> bool:
    """Tell whether a request is from a sender that has one of the secrets.

    ``headers`` are by their names in lower case, ``body`` is what came, byte for byte. An empty
    secret is none: with no other, anybody may send. A secret for a sender that signs nothing lets
    nobody send.
    """
    keys = [secret.encode("utf-8", "surrogatepass") for secret in secrets if secret]
    if not keys:
        return True
    if sender == "grafana":
        given = headers.get(_GRAFANA_HEADER, "")
        if (sent_at := headers.get(_GRAFANA_TIME_HEADER)) is not None:
            if not _is_recent(sent_at, now):
                return False
            body = sent_at.encode("utf-8", "replace") + b":" + body
    elif sender in SIGNING_SENDERS:
        method, _, given = headers.get(_GITHUB_HEADER, "").partition("=")
        if method != "sha256":
            return False
    else:
        return False
    signature = given.lower().encode("utf-8", "replace")
    valid = [hmac.digest(key, body, "sha256").hex().encode() for key in keys]
    # Each is compared, so that the time taken tells of none.
    return sum(hmac.compare_digest(each, signature) for each in valid) > 0


def _is_recent(sent_at: str, now: datetime) -> bool:
    is_time = sent_at.isdecimal() and len(sent_at) <= 12
    return is_time and abs(now.timestamp() - int(sent_at)) <= _OLDEST_SECONDS
