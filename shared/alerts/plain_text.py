"""Plain text in an Adaptive Card: what other people wrote, in which nothing is markup.

It stands in runs of text, which have no Markdown. Adaptive Cards read dates and times in any text.

Sources: https://adaptivecards.io/explorer/TextRun.html and
https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features
"""

import re
from typing import Any

_MOST_LINES = 40
_FUNCTION = re.compile(r"\{(?=\{(?:DATE|TIME)\()", re.IGNORECASE)
_WORD_JOINER = "\u2060"


def plain(text: str) -> str:
    """Return a text that looks the same, in which a card finds no date and no time."""
    return _FUNCTION.sub("{" + _WORD_JOINER, text)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text that are not empty; of very many, the last is all the rest."""
    lines = [line for each in text.splitlines() if (line := each.strip())]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [" ".join(lines[_MOST_LINES - 1 :])]
    return lines


def text_runs(*runs: dict[str, Any], spacing: str) -> dict[str, Any]:
    """Return an element of a card that has runs of text."""
    inlines = [{"type": "TextRun", **run} for run in runs]
    return {"type": "RichTextBlock", "spacing": spacing, "inlines": inlines}
