"""What the documents name must be there: files, headings, make targets, commands, settings."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from local.__main__ import COMMANDS
from tests.support.app import settings_in_code

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "*/*.md", ".github/*/*.md")
    for path in ROOT.glob(pattern)
    if path.parent.name == ".github" or not path.parent.name.startswith(".")
)

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_MAKE = re.compile(r"^\s*make ([a-z][a-z-]*)", re.MULTILINE)
_PATH = re.compile(r"[\w.-]+/[\w./-]*")
_SETTING = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
_LOCAL = re.compile(r"python -m local ([a-z][a-z-]*)")


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """The headings as GitHub names them in addresses: its own rule, for headings without links."""
    prose = _FENCE.sub("", document.read_text(encoding="utf-8"))
    named: dict[str, int] = {}
    found = set()
    for heading in _HEADING.findall(prose):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{anchor}-{named[anchor]}" if anchor in named else anchor)
        named[anchor] = named.get(anchor, 0) + 1
    return found


def dead_links(document: Path) -> list[str]:
    prose = _SPAN.sub("", _FENCE.sub("", document.read_text(encoding="utf-8")))
    dead = []
    for link in _LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


def code_in(document: Path) -> str:
    text = document.read_text(encoding="utf-8")
    blocks = _FENCE.findall(text)
    return "\n".join([*blocks, *_SPAN.findall(_FENCE.sub("", text))])


def dead_paths(document: Path) -> list[str]:
    """The paths from the root, in code within prose, that lead nowhere."""
    prose = _FENCE.sub("", document.read_text(encoding="utf-8"))
    paths = [span for span in _SPAN.findall(prose) if _PATH.fullmatch(span)]
    return [
        path
        for path in paths
        if (ROOT / path.partition("/")[0]).is_dir() and not (ROOT / path).exists()
    ]


def test_there_are_documents():
    assert {"README.md", "docs/operations.md"} <= {name_of(each) for each in DOCUMENTS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_document_leads_only_to_what_is_there(document: Path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    code = code_in(document)

    assert dead_links(document) == []
    assert dead_paths(document) == []
    assert set(_MAKE.findall(code)) <= targets
    assert set(_LOCAL.findall(code)) <= set(COMMANDS)


def test_the_reference_has_each_setting_once():
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8").partition("\n## Settings\n")[2]

    # The last is the local host's own.
    assert sorted(_SETTING.findall(text)) == sorted(settings_in_code() | {"LocalFunctionKey"})


def test_what_leads_nowhere_is_found(tmp_path: Path):
    document = tmp_path / "document.md"
    document.write_text(
        "# A heading, `with` code\n[here](#a-heading-with-code) [not](#here) [nor](there.md)\n"
        "`[no link](x)` [far](https://example.com) `make it` `docs/no.md` `no/such`\n"
        "```sh\npython -m local dance\n```\n"
    )

    assert dead_links(document) == ["#here", "there.md"]
    assert dead_paths(document) == ["docs/no.md"]
    assert _MAKE.findall(code_in(document)) == ["it"]
    assert _LOCAL.findall(code_in(document)) == ["dance"]
