import json
import re
import struct
import zipfile
from pathlib import Path

import pytest

from appPackage.build import FOLDER, build, filled_in
from ReceiveActivity.commands import read_command

BOT_ID = "6a1f6c1e-3d0b-4c9e-8f52-0c9d8b7a6e5f"

# Of the manifest's JSON schema, version 1.30: what must be there, and how long texts may be.
REQUIRED = {
    "$": "manifestVersion version id developer name description icons accentColor",
    "developer": "name websiteUrl privacyUrl termsOfUseUrl",
    "name": "short",
    "description": "short full",
    "icons": "color outline",
}
KNOWN = {
    "$": "$schema defaultInstallScope bots validDomains",
    "developer": "mpnId",
    "name": "full",
    "description": "features",
    "icons": "color32x32",
}
MOST_CHARACTERS = {
    ("developer", "name"): 32,
    ("name", "short"): 30,
    ("name", "full"): 100,
    ("description", "short"): 80,
    ("description", "full"): 4000,
}
# Of its bots.
KNOWN_OF_BOT = {"botId", "scopes", "isNotificationOnly", "supportsFiles", "commandLists"}
MOST_COMMANDS = 12


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "new" / "app.zip"
    build(package, BOT_ID, "www.contoso.com")
    return package


@pytest.fixture
def manifest(package: Path) -> dict:
    with zipfile.ZipFile(package) as archive:
        manifest: dict = json.loads(archive.read("manifest.json"))
    return manifest


def test_the_package_holds_the_manifest_and_its_icons_and_nothing_else(package: Path):
    with zipfile.ZipFile(package) as archive:
        assert archive.namelist() == ["manifest.json", "color.png", "outline.png"]
        assert archive.testzip() is None


def test_the_ids_are_filled_in(manifest: dict):
    assert manifest["id"] == manifest["bots"][0]["botId"] == BOT_ID
    assert manifest["developer"]["privacyUrl"] == "https://www.contoso.com/privacy"
    assert "{{" not in json.dumps(manifest)


@pytest.mark.parametrize(
    ("bot_id", "host"),
    [
        ("", "www.contoso.com"),
        ("speak-first", "www.contoso.com"),
        ("00000000-0000-0000-0000-000000000000", "www.contoso.com"),
        (BOT_ID + "0", "www.contoso.com"),
        (BOT_ID, "contoso"),
        (BOT_ID, "https://www.contoso.com"),
        (BOT_ID, 'www.contoso.com", "x": "'),
    ],
)
def test_what_is_no_id_or_no_host_is_refused(bot_id: str, host: str, tmp_path: Path):
    with pytest.raises(ValueError, match=r"^(BOT_ID|HOST) must be"):
        build(tmp_path / "app.zip", bot_id, host)

    assert not list(tmp_path.iterdir())


def test_an_id_may_come_in_any_case():
    assert json.loads(filled_in('{"id": "{{BOT_ID}}"}', BOT_ID.upper(), "a.b")) == {"id": BOT_ID}


def test_the_same_bot_gives_the_same_package(package: Path, tmp_path: Path):
    build(tmp_path / "again.zip", BOT_ID, "www.contoso.com")

    assert (tmp_path / "again.zip").read_bytes() == package.read_bytes()


def test_the_manifest_has_what_its_schema_asks_for_and_nothing_that_it_does_not_know(
    manifest: dict,
):
    assert manifest["$schema"].endswith(
        f"/v{manifest['manifestVersion']}/MicrosoftTeams.schema.json"
    )
    for part, required in REQUIRED.items():
        names = set(manifest if part == "$" else manifest[part])
        assert set(required.split()) <= names, part
        assert names <= {*required.split(), *KNOWN[part].split()}, part
    for (part, name), most in MOST_CHARACTERS.items():
        assert 0 < len(manifest[part][name]) <= most, (part, name)
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert re.fullmatch(r"#[0-9A-Fa-f]{6}", manifest["accentColor"])


def test_people_can_write_to_the_bot_wherever_it_is(manifest: dict):
    (bot,) = manifest["bots"]

    assert set(bot) <= KNOWN_OF_BOT
    assert bot["scopes"] == ["personal", "team", "groupChat"]
    assert bot["isNotificationOnly"] is False
    assert bot["supportsFiles"] is False


def test_the_commands_are_those_that_the_bot_obeys(manifest: dict):
    (commands,) = [each["commands"] for each in manifest["bots"][0]["commandLists"]]

    assert len(commands) <= MOST_COMMANDS
    for command in commands:
        example = command["description"].rpartition(": ")[2]
        assert read_command(command["title"]) or read_command(example), command


@pytest.mark.parametrize(("icon", "size"), [("color.png", 192), ("outline.png", 32)])
def test_the_icons_have_their_size(icon: str, size: int):
    content = (FOLDER / icon).read_bytes()

    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (size, size)
