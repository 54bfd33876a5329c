import pytest

from tests.flows.running_app import running_app


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity):
    """The app with little patience for the Connector."""
    patience = {"ConnectorTimeoutSeconds": "2"}
    with running_app(folder, storage, connector, identity, **patience) as app:
        yield app


def test_a_message_that_was_not_answered_goes_back_and_is_sent_again(
    app, connector, user, conversation_id
):
    connector.block(times=1)
    message = {"id": user, "conversationId": conversation_id, "activity": {"text": "Hello"}}

    app.enqueue("send-activity", message)
    sent = app.wait_for_calls(2)
    connector.release()
    app.settle()

    delivery = app.delivery(user)
    assert [call.json["text"] for call in sent] == ["Hello"] * len(sent)
    assert (delivery["status"], delivery["ambiguous"]) == ("sent", True)
    assert delivery["attempts"] >= 2
    assert app.storage.take_poison("send-activity") == []
