from datetime import UTC, datetime

from shared.messages.envelope import AccountSnapshot, AlertChange, Envelope

THEN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)

TAKEN_ALONG = AccountSnapshot(
    conversation_id="a:1", service_url="https://x/", name="Alex 😀", key_id="k", key="c2VjcmV0"
)

CHANGE = AlertChange(delivery_id="alert-7:0:r1", version=2)


def test_what_is_put_back_starts_anew_with_what_is_its_own():
    own = Envelope(
        id="order-7",
        accepted_at=THEN,
        then={"activity": {"text": "later"}},
        alert="alert-7",
        change=CHANGE,
        is_reply=True,
        traceparent="00-a-b-01",
    )
    tried = {
        "posting": "the first",
        "attempts": 6,
        "returns": 9,
        "healed": ["conversation", "host"],
        "started": True,
        "is_probe": True,
        "snapshot": TAKEN_ALONG,
    }
    before = datetime.now(UTC)

    anew = own.model_copy(update=tried).anew()

    assert anew.retried_at is not None
    assert before <= anew.retried_at <= datetime.now(UTC)
    # A copy that the queue gives out once more is known by its posting.
    assert anew.posting not in ("", "the first")
    assert anew == own.model_copy(update={"posting": anew.posting, "retried_at": anew.retried_at})
