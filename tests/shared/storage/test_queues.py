import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.storage.queue import QueueClient

from shared.errors import StorageRefusedError
from shared.storage.queues import Queue, text_of
from tests.support.builders import unique


def read(azurite, name):
    with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        return list(client.receive_messages())


@pytest.mark.parametrize("text", ["", "Grüße 😀 <&>", "x" * 48_000])
def test_a_message_is_written_as_the_functions_host_reads_it_and_never_expires(
    azurite, storage, storage_calls, text
):
    name = unique("written")
    Queue(storage, name).send(text)
    storage_calls()

    Queue(storage, name).send("later", delay_seconds=3600)

    [call] = storage_calls()
    assert "visibilitytimeout=3600" in call
    [message] = read(azurite, name)
    assert base64.b64decode(message.content).decode() == text
    assert message.expires_on.year == 9999


def test_a_message_is_read_though_another_program_wrote_it(azurite, storage):
    name = unique("others")
    queue = Queue(storage, name)
    assert (queue.count(), queue.take(), queue.first_inserted_at()) == (0, None, None)
    queue.send("ours")
    with QueueClient.from_connection_string(azurite.connection_string, name) as client:
        client.send_message("no base64!")
        client.send_message(base64.encodebytes(b"with line breaks" * 9).decode())

    assert queue.count() == 3
    assert queue.first_inserted_at() is not None
    taken = [message for message in (queue.take(), queue.take(), queue.take()) if message]
    texts = ["no base64!", "ours", "with line breaks" * 9]
    assert sorted(text_of(message) for message in taken) == texts
    for message in taken:
        queue.delete(message)
    assert queue.count() == 0
    assert queue.first_inserted_at() is None


def test_a_queue_is_made_when_it_is_first_written_by_however_many(azurite, storage):
    name = unique("made")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: Queue(storage, name).send(str(text)), range(8)))

    assert len(read(azurite, name)) == 8


def test_a_message_that_is_too_large_is_an_error_of_ours(storage):
    with pytest.raises(StorageRefusedError) as caught:
        Queue(storage, unique("large")).send("confidential" * 10_000)

    assert "confidential" not in str(caught.value)
