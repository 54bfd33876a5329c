import pytest
from azure.data.tables import TableServiceClient
from azure.storage.queue import QueueServiceClient

from local.azurite import azurite as run_azurite


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "storage"


def table_names(connection_string):
    with TableServiceClient.from_connection_string(connection_string) as tables:
        return [table.name for table in tables.list_tables()]


def create_table(connection_string, name):
    with TableServiceClient.from_connection_string(connection_string) as tables:
        tables.create_table(name)


def test_queues_take_what_the_client_sends(azurite):
    with QueueServiceClient.from_connection_string(azurite.connection_string) as queues:
        queue = queues.create_queue("azurite-takes-messages")
        queue.send_message("Hello")

        assert [message.content for message in queue.receive_messages()] == ["Hello"]


def test_two_at_once_do_not_disturb_each_other_and_leave_no_files(azurite, tmp_path):
    with run_azurite(log=tmp_path / "azurite.log") as other:
        create_table(other.connection_string, "OnlyInTheOther")

        assert table_names(other.connection_string) == ["OnlyInTheOther"]
        assert "OnlyInTheOther" not in table_names(azurite.connection_string)

    assert [path.name for path in tmp_path.iterdir()] == ["azurite.log"]


def test_a_folder_remembers(folder, tmp_path):
    with run_azurite(log=tmp_path / "first.log", folder=folder) as first:
        create_table(first.connection_string, "Remembered")

    with run_azurite(log=tmp_path / "second.log", folder=folder) as second:
        assert table_names(second.connection_string) == ["Remembered"]
