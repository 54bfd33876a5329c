"""Route templates and paths, matched and decoded as the real host (ASP.NET Core) does it."""

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote

from local.environment import StartError
from local.functions import Function

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


def find_route(
    routes: Iterable[Route], method: str, path: str
) -> tuple[Function, dict[str, str]] | None:
    """Return the function for a path as it was sent, and the values of its parameters."""
    # Each escape is decoded once, save for the slash's own, which stays: it is no separator.
    decoded = unquote(re.sub("%(?=2[fF])", "%25", path)).removesuffix("/")
    for route in routes:
        methods = route.function.trigger.get("methods") or [method]
        match = route.pattern.fullmatch(decoded)
        if match and method in methods:
            values = match.groupdict().items()
            return route.function, {name: value for name, value in values if value is not None}
    return None


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
