"""Azure DevOps' service hook for builds that are complete.

Source: https://learn.microsoft.com/azure/devops/service-hooks/events#build-completed
"""

import re
from collections.abc import Mapping
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent, severity_of
from ReceiveEvent.reading import find, first_text, moment, text, texts_at
from shared.errors import FieldError, InvalidRequestError

_BUILD_COMPLETE = "build.complete"
# A definition's id is a small number, which each organisation has.
_WHERE = "|".join(f"resourceContainers.{each}.id" for each in ("project", "collection", "account"))
_LINK_IN_MARKDOWN = re.compile(r"\]\(([^()\s]+)\)")


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return the event; raise InvalidRequestError if the body is no service hook's."""
    kind = text(body, "eventType")
    if not kind:
        raise InvalidRequestError(FieldError("eventType", "is missing; is this a service hook?"))
    if kind != _BUILD_COMPLETE:
        return [IgnoredEvent(None, f"Only {_BUILD_COMPLETE} is read, and this is {kind}")]
    return [_build(body, find(body, "resource"))]


def _build(body: Any, build: Any) -> Event | IgnoredEvent:
    definition = text(build, "definition", "name")
    number = text(build, "definition", "id") or definition
    if not number:
        return IgnoredEvent(None, "No build definition; send the resource's details")
    branch = text(build, "sourceBranch")
    key = " ".join(part for part in (first_text(body, _WHERE), number, branch) if part)
    # A XAML build has its result as its status.
    result = text(build, "result") or text(build, "status")
    resolved = result == "succeeded"
    if not resolved and result not in ("failed", "partiallySucceeded"):
        return IgnoredEvent(key, f"A build with the result {result!r} neither fails nor succeeds")
    finished_at = moment(build, "finishTime") or moment(body, "createdDate")
    title = text(body, "message", "text")
    explanation = text(body, "detailedMessage", "text")
    return Event(
        key=key,
        state="resolved" if resolved else "firing",
        topic=text(build, "project", "name") or definition or number,
        title=title or f"Build {text(build, 'buildNumber')} of {definition or number} {result}",
        # What succeeds is another build than what failed. One that runs again keeps its id.
        occurrence=None if resolved else " ".join(texts_at(build, "id finishTime")),
        # An older build may take longer.
        time=moment(build, "startTime") or finished_at,
        severity=severity_of(result),
        text=explanation if explanation != title else "",
        details={
            "definition": definition,
            "branch": branch.removeprefix("refs/heads/"),
            "status": result,
            "by": text(build, "requestedFor", "displayName"),
        },
        link=text(build, "_links", "web", "href") or _link_in(text(body, "message", "markdown")),
        starts_at=None if resolved else finished_at,
        ends_at=finished_at if resolved else None,
    )


def _link_in(markdown: str) -> str:
    link = _LINK_IN_MARKDOWN.search(markdown)
    return link[1] if link else ""
