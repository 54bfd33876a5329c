"""Rows by the REST API and by Microsoft's client: each reads what the other wrote."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.data.tables import EdmType, EntityProperty, TableClient, UpdateMode

from shared.errors import StorageRefusedError
from shared.storage.tables import Table, version_of
from tests.support.builders import storage_at

VALUES = {
    "text": 'Grüße 😀 "quoted" \\ \x01\t\r\n',
    "empty": "",
    "long": "😀" * 16_000,
    "yes": True,
    "no": False,
    "zero": 0,
    "least": -(2**31),
    "most": 2**31 - 1,
    "whole": 3.0,
    "part": -0.1,
    "at": datetime(2026, 1, 31, 8, 0, 0, 123456, UTC),
    "second": datetime(2026, 1, 31, 8, 0, 0, 0, UTC),
    "elsewhere": datetime(2026, 1, 31, 8, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "bytes": bytes(range(256)),
    "nothing": b"",
}

KEYS = ["plain", "it's '' quoted", "Grüße 김😀", "a b+c&d=e%2F;,()", "~!@$^*|<>{}[]`"]


@pytest.fixture
def theirs(azurite):
    with TableClient.from_connection_string(
        azurite.connection_string, f"t{uuid.uuid4().hex}"
    ) as client:
        client.create_table()
        yield client


@pytest.fixture
def ours(azurite, theirs):
    return Table(storage_at(azurite.connection_string), theirs.table_name)


@pytest.mark.parametrize("key", KEYS)
def test_rows_that_one_writes_the_other_reads(ours, theirs, key):
    row = {"PartitionKey": f"p {key}", "RowKey": key, **VALUES}

    version = ours.insert(row)
    read = theirs.get_entity(row["PartitionKey"], key)

    assert read.pop("writeId")
    assert dict(read) == row
    assert read.metadata["etag"] == version

    written = theirs.upsert_entity({**row, "text": "theirs"}, mode=UpdateMode.REPLACE)
    found = ours.get(row["PartitionKey"], key)

    assert found == {**row, "text": "theirs"}
    assert version_of(found) == written["etag"]
    assert ours.replace({**row, "text": "ours"}, version) is None
    version = ours.replace({**row, "text": "ours"}, version_of(found))
    assert theirs.get_entity(row["PartitionKey"], key)["text"] == "ours"
    theirs.update_entity(
        row, mode=UpdateMode.REPLACE, etag=version, match_condition=MatchConditions.IfNotModified
    )
    ours.delete(row["PartitionKey"], key, version)
    assert ours.get(row["PartitionKey"], key) is not None
    ours.delete(row["PartitionKey"], key)
    assert ours.get(row["PartitionKey"], key) is None


def test_values_that_only_others_write_are_read(ours, theirs):
    guid = uuid.uuid4()
    theirs.create_entity(
        {
            "PartitionKey": "p",
            "RowKey": "r",
            "large": EntityProperty(2**40, EdmType.INT64),
            "guid": guid,
        }
    )

    assert ours.get("p", "r") == {"PartitionKey": "p", "RowKey": "r", "large": 2**40, "guid": guid}


@pytest.mark.parametrize("value", [2**31, float("nan"), [], {}, None], ids=repr)
def test_a_value_that_no_row_has_is_not_written(ours, value):
    with pytest.raises(TypeError, match="wrong"):
        ours.put({"PartitionKey": "p", "RowKey": "r", "wrong": value})


@pytest.mark.parametrize(
    ("key", "value"), [("r", {"text": "x" * 33_000}), ("a/b", {})], ids=["value", "key"]
)
def test_what_storage_cannot_take_is_refused_with_its_code(ours, theirs, key, value):
    row = {"PartitionKey": "p", "RowKey": key, **value}
    with pytest.raises(HttpResponseError) as by_theirs:
        theirs.create_entity(row)

    with pytest.raises(StorageRefusedError) as by_ours:
        ours.insert(row)

    code = str(by_ours.value).rpartition(": ")[2]
    assert code.isalpha()
    assert code in str(by_theirs.value)
