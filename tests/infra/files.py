"""Where the files are that are checked, and how one is changed to see its check fail."""

from collections.abc import Mapping
from pathlib import Path

from tests.infra.bicep import BicepFile, read_all

PROJECT = Path(__file__).parents[2]
INFRA = PROJECT / "infra"

BICEP = read_all(INFRA)


def changed(name: str, old: str, new: str) -> dict[str, str]:
    """Return the texts of all Bicep files, with one thing changed in one of them."""
    text = BICEP[name]
    assert old in text, f"{name} has no {old!r}"
    return {**BICEP, name: text.replace(old, new, 1)}


def parsed(texts: Mapping[str, str]) -> dict[str, BicepFile]:
    return {name: BicepFile.parse(text) for name, text in texts.items()}
