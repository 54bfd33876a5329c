from azure.data.tables import TableServiceClient

from local.azurite import azurite as run_azurite


def table_names(connection_string):
    with TableServiceClient.from_connection_string(connection_string) as tables:
        return [table.name for table in tables.list_tables()]


def create_table(connection_string, name):
    with TableServiceClient.from_connection_string(connection_string) as tables:
        tables.create_table(name)


def test_two_at_once_do_not_disturb_each_other_and_leave_no_files(azurite, tmp_path):
    with run_azurite(log=tmp_path / "azurite.log") as other:
        create_table(other.connection_string, "OnlyInTheOther")

        assert table_names(other.connection_string) == ["OnlyInTheOther"]
        assert "OnlyInTheOther" not in table_names(azurite.connection_string)

    assert [path.name for path in tmp_path.iterdir()] == ["azurite.log"]
