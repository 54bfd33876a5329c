"""Who may send: the signatures of GitHub, Grafana and our own format."""

import hmac
import json
from datetime import UTC, datetime, timedelta

from ReceiveEvent.signatures import is_from
from tests.ReceiveEvent.recorded import PAYLOADS

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
VECTOR = json.loads((PAYLOADS / "github/headers.json").read_bytes())["signature-test"]
BODY = VECTOR["body"].encode()
SECRET = VECTOR["secret"]
SIGNATURE = VECTOR["X-Hub-Signature-256"]


def test_githubs_published_example_is_valid_with_any_of_the_secrets_and_nothing_else_is():
    def is_valid(signature: str, *secrets: str, sender: str = "github", body: bytes = BODY) -> bool:
        return is_from(sender, {"x-hub-signature-256": signature}, body, secrets, NOW)

    assert is_valid(SIGNATURE, SECRET)
    assert is_valid(SIGNATURE, "old", SECRET)
    assert is_valid(SIGNATURE, SECRET, sender="generic")
    assert not is_valid(SIGNATURE, "old")
    assert not is_valid(SIGNATURE, SECRET, body=BODY + b" ")
    assert not is_valid(SIGNATURE, SECRET, sender="alertmanager")
    for forged in ("", "sha256=", SIGNATURE[:-1], SIGNATURE.replace("sha256", "sha1"), "é"):
        assert not is_valid(forged, SECRET), forged
    unsigned = "sha256=" + hmac.digest(b"", BODY, "sha256").hex()
    assert not is_valid(unsigned, "", SECRET)
    assert not is_from("github", {}, BODY, [SECRET], NOW)


def test_a_sender_without_a_secret_need_not_sign():
    for secrets in ([], [""]):
        assert is_from("github", {}, BODY, secrets, NOW)
        assert is_from("azure-monitor", {}, BODY, secrets, NOW)


def test_grafanas_signature_holds_for_five_minutes_where_it_has_a_time():
    def is_valid(signed: bytes, sent_at: str | None = None) -> bool:
        signature = hmac.digest(SECRET.encode(), signed, "sha256").hex()
        headers = {"x-grafana-alerting-signature": signature}
        if sent_at is not None:
            headers["x-grafana-alerting-timestamp"] = sent_at
        return is_from("grafana", headers, BODY, [SECRET], NOW)

    assert is_valid(BODY)
    for minutes, is_good in {0: True, 5: True, 6: False, -6: False}.items():
        time = str(int((NOW - timedelta(minutes=minutes)).timestamp()))
        assert is_valid(f"{time}:".encode() + BODY, sent_at=time) == is_good, minutes
        # A time that is not signed proves nothing, and neither does one that was taken away.
        assert not is_valid(BODY, sent_at=time)
        assert not is_valid(f"{time}:".encode() + BODY)
    for odd in ("", "soon", "-1", "1e9", "²", "9" * 400):
        assert not is_valid(f"{odd}:".encode() + BODY, sent_at=odd), odd
    assert not is_from("grafana", {"x-grafana-alerting-signature": "é"}, BODY, [SECRET], NOW)
