#!/usr/bin/env python3
"""Makes the Teams app: the manifest with the bot's id in it, and the icons, in one zip.

`make app-package BOT_ID=... [HOST=...]` calls it. The app's id is the bot's, so that each bot has
an app of its own.
"""

import argparse
import json
import re
import sys
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent
PACKAGE = FOLDER.parent / ".local" / "speak-first.zip"
ICONS = ("color.png", "outline.png")

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOBODY = "00000000-0000-0000-0000-000000000000"
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})+")
# A fixed time: the same manifest gives the same package.
_TIME = (1980, 1, 1, 0, 0, 0)


def filled_in(manifest: str, bot_id: str, host: str) -> str:
    """Return the manifest with the ids and the host in it; raise ValueError for what is none."""
    bot_id, host = bot_id.strip().lower(), host.strip().lower()
    if not _ID.fullmatch(bot_id) or bot_id == _NOBODY:
        raise ValueError(
            "BOT_ID must be the bot's app id, such as 6a1f6c1e-3d0b-4c9e-8f52-0c9d8b7a6e5f"
        )
    if not _HOST.fullmatch(host):
        raise ValueError("HOST must be a host name, such as www.contoso.com")
    text = manifest.replace("{{BOT_ID}}", bot_id).replace("{{HOST}}", host)
    json.loads(text)
    return text


def build(package: Path, bot_id: str, host: str) -> None:
    """Write the package."""
    manifest = filled_in((FOLDER / "manifest.json").read_text(encoding="utf-8"), bot_id, host)
    package.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(package, "w") as archive:
        for name, content in (
            ("manifest.json", manifest.encode()),
            *((icon, (FOLDER / icon).read_bytes()) for icon in ICONS),
        ):
            entry = zipfile.ZipInfo(name, _TIME)
            archive.writestr(entry, content, compress_type=zipfile.ZIP_DEFLATED)


def main() -> int:
    """Build the package that the command line asks for, and say where it is."""
    parser = argparse.ArgumentParser(description="Make the Teams app package.")
    parser.add_argument("bot_id", help="the bot's app id")
    parser.add_argument(
        "host",
        nargs="?",
        default="",
        help="where people find who runs the bot: its /, /privacy and /terms (example.com)",
    )
    arguments = parser.parse_args()
    try:
        build(PACKAGE, arguments.bot_id, arguments.host or "example.com")
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{PACKAGE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
