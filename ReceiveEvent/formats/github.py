"""GitHub's webhooks: https://docs.github.com/webhooks/webhook-events-and-payloads."""

from collections.abc import Mapping
from typing import Any

from ReceiveEvent.event import Event, IgnoredEvent, severity_of
from ReceiveEvent.reading import first_text, mapping, moment, text, texts_at
from shared.errors import FieldError, InvalidRequestError

_STATES = {
    "workflow_run": ("conclusion", "failure timed_out startup_failure", "success"),
    "deployment_status": ("state", "failure error", "success"),
    "release": ("action", "published", ""),
    "issues": ("action", "opened reopened", "closed deleted transferred"),
    "pull_request": ("action", "opened reopened", "closed"),
    "dependabot_alert": (
        "action",
        "created reopened reintroduced auto_reopened",
        "fixed dismissed auto_dismissed",
    ),
}
"""Where the status stands, what of it fires, and what resolves; everything else is ignored."""
_OBJECTS = {"issues": "issue", "dependabot_alert": "alert"}  # A body holds others' objects too.
# A fork's branch may have the name of ours.
_RUN = "workflow_id|workflow.id head_repository.full_name head_branch"
_KEYS = {"workflow_run": _RUN, "deployment_status": "environment", "release": "id"}
_RUNS = {"workflow_run": "id run_attempt", "deployment_status": "deployment.id", "release": "id"}
_TITLES = {
    "workflow_run": "workflow.name|name|path display_title",
    "deployment_status": "environment state",
    "release": "repository.name name|tag_name",
}


def handshake(headers: Mapping[str, str], body: Any) -> dict[str, Any] | None:
    """Return the answer to the ping of a new webhook, or None for what is an event."""
    return {"events": []} if headers.get("x-github-event") == "ping" else None


def read(headers: Mapping[str, str], body: Any) -> list[Event | IgnoredEvent]:
    """Return the event, of the kind that the header says; raise InvalidRequestError for none."""
    kind = headers.get("x-github-event", "")
    if not kind or not isinstance(body, dict):
        raise InvalidRequestError(FieldError("X-GitHub-Event", "is missing; is this GitHub's?"))
    if kind not in _STATES:
        return [IgnoredEvent(None, f"Events of the kind {kind!r} are not read")]
    return [_event(kind, body, {**body, **mapping(body, _OBJECTS.get(kind, kind))})]


def _event(kind: str, body: Any, thing: Any) -> Event | IgnoredEvent:
    path, fires, resolves = _STATES[kind]
    repository, status = text(body, "repository", "full_name"), text(thing, path)
    names = texts_at(thing, _KEYS.get(kind, "number"))
    if not (repository and names):
        return IgnoredEvent(None, f"This {kind} does not say what it is about")
    key = " ".join((kind, repository, *names))
    resolved = status in resolves.split()
    under_way = kind == "workflow_run" and text(body, "action") != "completed"
    if under_way or not (resolved or status in fires.split()):
        return IgnoredEvent(key, f"{kind} {status!r} neither fires nor resolves anything")
    said_at = moment(thing, "published_at") or moment(thing, "updated_at")
    return Event(
        key=key,
        state="resolved" if resolved else "firing",
        topic=repository,
        title=": ".join(texts_at(thing, _TITLES.get(kind, "title|security_advisory.summary")))
        or key,
        # What succeeds is another run than what failed.
        occurrence=None if resolved else " ".join(texts_at(thing, _RUNS.get(kind, ""))),
        # An older run may take longer.
        time=moment(thing, "run_started_at") or said_at,
        severity=severity_of(first_text(thing, "security_advisory.severity|" + path)),
        text=first_text(thing, "body|description|security_advisory.description"),
        details={
            "repository": repository,
            "branch": first_text(thing, "head_branch|head.ref|deployment.ref"),
            "status": "merged" if text(thing, "merged") == "true" else status,
        },
        link=first_text(thing, "html_url|target_url|log_url"),
        starts_at=None if resolved else said_at,
        ends_at=said_at if resolved else None,
        tells_end=kind != "release",
    )
