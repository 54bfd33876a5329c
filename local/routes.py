"""Route templates and paths, matched and decoded as the real host (ASP.NET Core) does it."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from local.environment import StartError
from local.functions import Function

# An octet that is a character of UTF-8, or the octets that may be one together.
OCTET, NEXT = "[0-9a-f]", "%[89ab][0-9a-f]"
CHARACTER = re.compile(
    f"%[0-7]{OCTET}|%[cd]{OCTET}{NEXT}|%e{OCTET}{NEXT}{NEXT}|%f{OCTET}{NEXT}{NEXT}{NEXT}",
    re.IGNORECASE,
)
SEGMENT = re.compile(r"\{(?P<name>\w+)(?P<int>:int)?(?P<optional>\?)?\}|[^{}]*")


class Route(NamedTuple):
    """Which function answers which paths."""

    ranks: list[int]  # one a segment; a literal's is lowest, and routes are tried in their order
    pattern: re.Pattern[str]
    function: Function


def parse_routes(functions: Iterable[Function], prefix: str) -> list[Route]:
    """Return the routes of the HTTP functions, literals before placeholders."""
    routes = [
        _parse(f"{prefix}/{function.trigger['route']}", function)
        for function in functions
        if function.trigger["type"] == "httpTrigger"
    ]
    return sorted(routes, key=lambda route: route.ranks)


def resolve(path: str) -> str:
    """Return the path that a request means; raise ValueError when the server takes it for none."""
    if not path.startswith("/") or "#" in path or not path.isascii():
        raise ValueError("not the path of an address")
    # Each escape is decoded once, save for the slash's own, which stays: it is no separator.
    decoded = unescape(re.sub("%(?=2[fF])", "%25", path))
    if "\0" in decoded:
        raise ValueError("a path without end")
    segments: list[str] = []
    for segment in decoded.split("/")[1:]:
        if segment == "..":
            segments = segments[:-1]
        elif segment != ".":
            segments.append(segment)
    return "/" + "/".join(segments)


def unescape(text: str) -> str:
    """Decode the escapes of a path or a query; octets that are no UTF-8 stay escaped."""
    return CHARACTER.sub(_character, text)


def find_route(
    routes: Iterable[Route], method: str, path: str
) -> tuple[Function, dict[str, str]] | None:
    """Return the function for a path that was resolved, and the values of its parameters."""
    for route in routes:
        methods = route.function.trigger.get("methods") or [method]
        match = route.pattern.fullmatch(path.removesuffix("/"))
        if match and method in methods:
            values = match.groupdict().items()
            return route.function, {name: value for name, value in values if value is not None}
    return None


def _character(match: re.Match[str]) -> str:
    try:
        return unquote(match[0], errors="strict")
    except UnicodeDecodeError:
        return match[0]


def _parse(template: str, function: Function) -> Route:
    pattern, ranks = "", []
    for text in template.strip("/").split("/"):
        segment = SEGMENT.fullmatch(text)
        if not segment:
            raise StartError(f"Function {function.name}: the segment {text} is not supported here.")
        part = "/" + re.escape(text)
        if segment["name"]:
            value = r"[+-]?\d{1,10}" if segment["int"] else "[^/]+"
            part = f"/(?P<{segment['name']}>{value})"
        pattern += f"(?:{part})?" if segment["optional"] else part
        rank = (segment["name"], segment["name"] and not segment["int"], segment["optional"])
        ranks.append(sum(map(bool, rank)))
    return Route(ranks, re.compile(pattern, re.IGNORECASE), function)
