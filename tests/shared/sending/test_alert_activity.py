from shared.sending.alert_activity import as_text
from shared.wire_models import Activity, parse


def test_a_card_alone_has_a_text_for_who_sees_no_cards():
    def card(**content):
        return {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}

    with_text = card(fallbackText="*News*")
    assert as_text(parse(Activity, {"summary": "s", "attachments": [with_text]})).to_json() == {
        "summary": "s",
        "text": "*News*",
        "textFormat": "plain",
    }
    for other in (
        {"attachments": [card()]},
        {"attachments": [with_text, with_text]},
        {"attachments": [with_text], "text": "News"},
        {"attachments": [{**with_text, "contentType": "image/png"}]},
        {"attachments": [{"contentType": with_text["contentType"], "content": None}]},
        {"text": "News"},
    ):
        assert as_text(parse(Activity, other)).to_json() == other
