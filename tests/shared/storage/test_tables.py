import gc
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from shared.errors import InvalidRequestError, StorageRefusedError, StorageUnavailableError
from shared.storage.tables import MOST_ROWS_AT_ONCE, Pauses, Table, key_of, version_of
from tests.support.builders import storage_at, unique
from tests.support.lossy_storage import LossyStorage


@pytest.fixture
def table(storage):
    return Table(storage, f"t{uuid4().hex}")


def row(partition="p", key="r", **properties):
    return {"PartitionKey": partition, "RowKey": key, **properties}


# Keys


def test_ids_are_told_apart_however_they_are_written():
    assert key_of("app", "msteams", "29:alex") == key_of("app", "msteams", "29:alex")
    for one, other in [
        (("app", "29:alex"), ("app", "29:megan")),
        (("ab", "c"), ("a", "bc")),
        (("a", ""), ("", "a")),
        (("a",), ("a", "")),
        (("1:a",), ("a",)),
        (("a1:b",), ("a", "b")),
        (("A",), ("a",)),
        (("\ud83d",), ("\ude00",)),
    ]:
        assert key_of(*one) != key_of(*other)


def test_any_id_makes_a_key_that_storage_takes(table):
    for user_id in ("a/b\\c#d?e", "\x00\x1f\x7f", "x" * 1024, "김😀", "'", ""):
        table.put(row(key_of("app", user_id), text=user_id))
        found = table.get(key_of("app", user_id), "r")
        assert found is not None
        assert found["text"] == user_id


# Rows


def test_a_table_that_is_missing_has_no_rows(table):
    assert table.get("p", "r") is None
    assert table.partition("p") == []
    assert table.replace(row(), 'W/"1"') is None
    table.delete("p", "r")


def test_many_who_write_first_all_succeed(storage):
    name = f"t{uuid4().hex}"

    def write(partition):
        table = Table(storage, name)
        return table.insert(row(partition)), table.insert_all([row(partition, "2")])

    with ThreadPoolExecutor(8) as pool:
        assert all(version and is_written for version, is_written in pool.map(write, "abcdefgh"))


def test_a_row_is_written_only_over_the_version_that_was_read(table):
    first = table.insert(row(text="Grüße 😀", flag=False, count=3))
    assert table.insert(row(text="second")) is None
    found = table.get("p", "r")
    assert dict(found) == row(text="Grüße 😀", flag=False, count=3)
    assert version_of(found) == first is not None

    second = table.replace(row(text="second"), first)
    assert table.replace(row(text="third"), first) is None
    table.delete("p", "r", first)
    found = table.get("p", "r")
    assert (dict(found), version_of(found)) == (row(text="second"), second)
    assert second != first

    table.put(row(new=2))
    assert table.partition("p") == [row(new=2)]
    table.delete("p", "r")
    assert table.get("p", "r") is None
    table.delete("p", "r", second)


def test_rows_of_a_partition_are_inserted_together_all_or_none(table, storage_calls):
    two = [row(key="first", text="Grüße 😀"), row(key="second", flag=False)]
    assert table.insert_all(two)
    assert not table.insert_all([row(key="another"), row(key="second"), row(key="third")])
    assert table.partition("p") == two
    storage_calls()

    assert table.insert_all([row("q", f"{number:03}") for number in range(MOST_ROWS_AT_ONCE)])

    assert len(storage_calls()) == 1
    assert len(table.partition("q")) == MOST_ROWS_AT_ONCE


def test_what_storage_refuses_is_an_error_of_ours(table):
    too_large = row(text="confidential" * 10_000)
    for write in (table.put, lambda each: table.insert_all([row(key="first"), each])):
        with pytest.raises(StorageRefusedError) as caught:
            write(too_large)
        assert "confidential" not in str(caught.value)
    assert table.partition("p") == []


def test_a_partition_is_its_own_rows(table):
    for partition, key in [("p", "1"), ("p", "2"), ("q", "1"), ("p' or true or 'x' eq '", "1")]:
        table.put(row(partition, key))

    assert sorted(found["RowKey"] for found in table.partition("p")) == ["1", "2"]
    assert len(table.partition("p' or true or 'x' eq '")) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda table: table.partition("p"),
        lambda table: table.page("PartitionKey eq @key", {"key": "p"}, size=9, token=None)[0],
    ],
)
def test_rows_that_nobody_needs_any_more_are_gone_at_once(table, read):
    text = unique("text")
    table.put(row(text=text))
    gc.collect()
    gc.disable()
    try:
        read(table)
        left = [
            each for each in gc.get_objects() if isinstance(each, dict) and text in each.values()
        ]
    finally:
        gc.enable()

    assert left == []


def test_a_look_up_or_a_write_is_one_round_trip_once_the_table_is_there(table, storage_calls):
    table.put(row(key="first"))
    storage_calls()

    version = table.insert(row())
    version = table.replace(row(), version)
    table.put(row())
    table.get("p", "r")
    table.partition("p")
    table.delete("p", "r")

    methods = [call.split()[0] for call in storage_calls()]
    assert methods == ["POST", "PUT", "PUT", "GET", "GET", "DELETE"]


def test_a_token_that_storage_refuses_is_the_callers_mistake(lossy):
    through, storage = lossy
    known = "eyJQYXJ0aXRpb25LZXkiOiJhIiwiUm93S2V5IjpudWxsfQ"
    for token, error in [(known, InvalidRequestError), (None, StorageRefusedError)]:
        storage.answer(400, {"odata.error": {"code": "InvalidInput"}})
        with pytest.raises(error):
            through.page("RowKey eq @key", {"key": "r"}, size=1, token=token)


# Answers that are lost


@pytest.fixture
def lossy(azurite, table):
    """The table, the answer to whose first write is lost; it is there already."""
    table.put(row("another"))
    with LossyStorage(azurite.connection_string) as lossy:
        yield Table(storage_at(lossy.connection_string), table._name), lossy


WRITES = {
    "insert": lambda table, _version: table.insert(row("p")),
    "insert_all": lambda table, _version: table.insert_all([row("p"), row("p", "2")]),
    "replace": lambda table, version: table.replace(row("another", text="ours"), version),
    "delete": lambda table, version: table.delete("another", "r", version),
}


UNCLOSED = "ignore::pytest.PytestUnraisableExceptionWarning"


@pytest.mark.parametrize(
    ("name", "is_cut"),
    [
        ("insert", False),
        ("insert", True),
        # The client drops an answer unread that it had asked for as a stream.
        pytest.param("insert_all", False, marks=pytest.mark.filterwarnings(UNCLOSED)),
        ("replace", False),
        ("replace", True),
        ("delete", False),
    ],
)
def test_what_we_have_written_ourselves_is_no_conflict(table, lossy, name, is_cut):
    through, storage = lossy
    version = version_of(table.get("another", "r"))
    storage.lose_answer(lambda request: request.method in ("POST", "PUT", "DELETE"), is_cut=is_cut)

    written = WRITES[name](through, version)
    gc.collect()

    found = table.get("another" if name in ("replace", "delete") else "p", "r")
    assert written == (version_of(found) if name in ("insert", "replace") else True)
    assert (found is None) is (name == "delete")


@pytest.mark.filterwarnings(UNCLOSED)
def test_what_somebody_else_has_written_is_a_conflict_though_we_asked_twice(table, lossy):
    through, storage = lossy
    version = version_of(table.get("another", "r"))
    table.put(row("p"))
    table.put(row("another"))

    for write in WRITES.values():
        storage.answer(503, {"odata.error": {"code": "ServerBusy"}})
        assert not write(through, version)
    gc.collect()


# Changes


def test_a_row_is_changed_over_what_was_read_or_made_unless_it_stays_as_it_is(table, storage_calls):
    assert table.change(row(), lambda found: found) == ""
    assert table.get("p", "r") is None
    seen = []

    def count(found):
        seen.append(found and found["count"])
        return row(count=found["count"] + 1 if found else 1)

    first, second = (table.change(row(), count) for _ in range(2))

    assert seen == [None, 1]
    assert version_of(table.get("p", "r")) == second != first
    storage_calls()
    assert table.change(row(), lambda found: found) == second
    assert [call.split()[0] for call in storage_calls()] == ["GET"]


def test_a_change_is_made_again_when_somebody_else_was_faster(table):
    table.put(row(count=1))
    seen = []

    def count(found):
        seen.append(found and found["count"])
        if len(seen) < 3:
            table.put(row(count=10 * len(seen)))
        return row(count=found["count"] + 1) if found else row(count=0)

    table.change(row(), count, is_new=True)

    assert seen == [None, 10, 20]
    assert table.get("p", "r")["count"] == 21


def test_each_of_many_who_change_a_row_at_once_gets_through_after_pauses_that_grow():
    slept: list[float] = []
    pauses = Pauses(slept.append)

    for _ in range(63):
        pauses.take()

    assert len(set(slept)) == 63
    assert max(slept[:3]) < 0.1 < max(slept) < 1
    with pytest.raises(StorageUnavailableError, match="too many at once"):
        pauses.take()


def test_a_row_that_changes_all_the_time_is_given_up_and_not_tried_for_ever(table, monkeypatch):
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    tries = iter(range(100))

    def overtaken(_found):
        if next(tries, None) is not None:
            table.put(row())
        return row(count=1)

    with pytest.raises(StorageUnavailableError, match="too many at once"):
        table.change(row(), overtaken)
