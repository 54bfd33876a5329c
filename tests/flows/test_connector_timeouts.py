import pytest

from tests.flows.running_app import running_app


@pytest.fixture(scope="module")
def module_app(folder, storage, connector, identity):
    """The app with little patience for the Connector."""
    patience = {"ConnectorTimeoutSeconds": "2"}
    with running_app(folder, storage, connector, identity, **patience) as app:
        yield app


def check_given_up(answer):
    assert (answer.status, answer.json()["code"]) == (504, "ConnectorTimeout")
    assert "Retry-After" in answer.headers


def test_a_connector_that_does_not_answer_is_given_up(app, connector, conversation_id):
    connector.block(times=1)

    answer = app.send(conversation_id, text="Hello")
    connector.release()

    check_given_up(answer)


def test_a_connector_that_answers_byte_by_byte_is_given_up(app, connector, conversation_id):
    connector.answer(201, {"id": "1"}, seconds_per_header_byte=0.5)

    check_given_up(app.send(conversation_id, text="Hello"))


def test_a_message_that_was_not_answered_goes_back_and_is_sent_again(
    app, connector, conversation_id
):
    connector.block(times=1)

    app.enqueue("send-activity", {"conversationId": conversation_id, "activity": {"text": "Hello"}})
    sent = app.wait_for_calls(2)
    connector.release()
    app.settle()

    assert [call.json["text"] for call in sent] == ["Hello"] * len(sent)
    assert app.storage.take_poison("send-activity") == []
