"""Dataclasses as the properties of a row: one for each field, in camelCase, none for None."""

from dataclasses import fields
from functools import cache
from typing import Any

from pydantic.alias_generators import to_camel

from shared.storage.tables import Row

_property_name = cache(to_camel)


def to_properties(record: Any, *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of a dataclass as properties, ``but`` those that are written otherwise."""
    return {
        _property_name(each.name): value
        for each in fields(record)
        if each.name not in but and (value := getattr(record, each.name)) is not None
    }


def names(record_type: Any, *, but: tuple[str, ...] = ()) -> list[str]:
    """Return the names of the properties for the fields of a dataclass, ``but`` some."""
    return [_property_name(each.name) for each in fields(record_type) if each.name not in but]


def to_fields(record_type: Any, row: Row) -> dict[str, Any]:
    """Return the fields of a dataclass that a row has a property for, as they stand in it."""
    return {
        each.name: value
        for each in fields(record_type)
        if (value := row.get(_property_name(each.name))) is not None
    }
