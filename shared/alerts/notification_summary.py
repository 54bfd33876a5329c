"""Summaries: the line or two that a notification shows of a message.

Without a ``summary``, the notification of a card in Teams says only that there is a card. The names
of cards' parts are those of the Adaptive Cards schema and of the Bot Framework's card schema.
"""

import re
from collections.abc import Iterator, Mapping
from html import unescape
from typing import Any

from shared.wire_models import ADAPTIVE_CARD

# Teams shows 150 characters of a notification, as Microsoft Graph says of its preview text.
_LONGEST_SUMMARY = 150
# Only the start of a text is read, so that one full of asterisks costs no more than others.
_LONGEST_READ = 2000

_BREAK = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|td|h[1-6]|hr|blockquote)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][\w-]*(?:\s[^<>]*)?/?>", re.IGNORECASE)
_LINE_START = re.compile(r"^[ \t]*(?:(?:#{1,6}|[-*+])[ \t]+|>[ \t]?)+", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)")
_EMPHASIS = [
    # Two asterisks may stand within a word, for languages without spaces. A single one may not, nor
    # may an underscore: 2*3*4 and snake_case_name stay as they are.
    *(re.compile(rf"(?<!\\){mark}(?=\S)(.+?)(?<=[^\s\\]){mark}") for mark in (r"\*\*", "~~", "`")),
    *(
        re.compile(rf"(?<![\w\\]){mark}(?=\S)(.+?)(?<=[^\s\\]){mark}(?!\w)")
        for mark in ("__", r"\*", "_")
    ),
]
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+.!~>|-])")


def summary_of(activity: Mapping[str, Any]) -> str | None:
    """Return a summary for a message that has none; None if there is no text in it.

    ``activity`` is the message as it is sent. The summary is its text without markup, or else that
    of its first attachment with any, cut to what a notification shows.
    """
    for text in _texts(activity):
        if text:
            return _cut(text)
    return None


def _texts(activity: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts that could be the summary, without markup, the best first."""
    yield _plain(activity.get("text"), activity.get("textFormat"))
    for attachment in _objects(activity.get("attachments")):
        content = attachment.get("content")
        if not isinstance(content, dict):
            content = {}
        if attachment.get("contentType") == ADAPTIVE_CARD:
            yield from map(_plain, _adaptive_texts(content.get("body")))
            names = ["fallbackText", "speak"]
        else:
            names = ["title", "subtitle", "text"]
        yield from (_plain(content.get(name)) for name in names)
        yield _plain(attachment.get("name"), "plain")


def _adaptive_texts(elements: object) -> Iterator[object]:
    """Yield the texts of an Adaptive Card's visible elements, from the top."""
    for element in _objects(elements):
        if element.get("isVisible") is False:
            continue
        kind = element.get("type")
        if kind == "TextBlock":
            yield element.get("text")
        elif kind == "RichTextBlock":
            yield _inline_text(element.get("inlines"))
        # The parts of Container and Column, ColumnSet, Table, its rows, and Carousel.
        for name in ("items", "columns", "rows", "cells", "pages"):
            yield from _adaptive_texts(element.get(name))


def _inline_text(inlines: object) -> str:
    """Return the text of a RichTextBlock, whose parts are texts or objects with one."""
    if not isinstance(inlines, list):
        return ""
    texts = (each.get("text") if isinstance(each, dict) else each for each in inlines)
    return "".join(text for text in texts if isinstance(text, str))


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _plain(text: object, text_format: object = "markdown") -> str:
    """Return a text on one line, without markup; "" for anything but a text.

    The format is the activity's ``textFormat``. Teams reads a text without one as Markdown, which
    may hold tags.
    """
    if not isinstance(text, str):
        return ""
    text = text[:_LONGEST_READ]
    if text_format != "plain":
        text = _TAG.sub("", _BREAK.sub(" ", text))
        if text_format != "xml":
            text = _without_markdown(text)
        text = unescape(text)
    return " ".join(text.split())


def _without_markdown(text: str) -> str:
    text = _LINK.sub(r"\1", _LINE_START.sub("", text))
    for emphasis in _EMPHASIS:
        text = emphasis.sub(r"\1", text)
    return _ESCAPE.sub(r"\1", text)


def _cut(text: str) -> str:
    """Return a text cut to the longest summary, after a word unless that makes it too short."""
    if len(text) <= _LONGEST_SUMMARY:
        return text
    start = text[: _LONGEST_SUMMARY - 1]
    words = text[:_LONGEST_SUMMARY].rpartition(" ")[0]
    return f"{words if len(words) > _LONGEST_SUMMARY // 2 else start}…"
