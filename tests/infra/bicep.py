"""Bicep, read as far as our checks need it: what is declared, and the values that stand there.

An object is a dictionary, an array a list; what has to be computed is an Expression with its text.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_bicep.language()))
_COMMENTS = ("comment", "diagnostic_comment")
_LOOPS = ("for_statement", "lambda_expression")
_DEPLOYED = ("resource_declaration", "module_declaration")


class Expression(str):
    """What has to be computed, as it is written; an interpolated string, too."""

    __slots__ = ()


@dataclass(frozen=True)
class Declared:
    """A parameter, variable, output, resource or module.

    ``target`` is what stands behind the name: a type, a resource with its API version, a path.
    ``value`` is the body; that of each, where it is a loop or conditional.
    """

    name: str
    target: str = ""
    value: Any = None
    decorators: Mapping[str, Any] = field(default_factory=dict)
    is_existing: bool = False


@dataclass(frozen=True)
class BicepFile:
    """What a file declares; ``faults`` are the lines that are no Bicep.

    ``names`` are those that stand for a value; ``local_names`` those of loops and lambdas.
    """

    text: str
    faults: list[int]
    names: set[str]
    local_names: set[str]
    parameters: dict[str, Declared]
    variables: dict[str, Declared]
    resources: dict[str, Declared]
    modules: dict[str, Declared]
    outputs: dict[str, Declared]

    @classmethod
    def parse(cls, text: str) -> "BicepFile":
        """Read a file's text."""
        root = _PARSER.parse(text.encode()).root_node
        found: dict[str, dict[str, Declared]] = {
            kind: {} for kind in ("parameter", "variable", "resource", "module", "output")
        }
        decorators: dict[str, Any] = {}
        for node in _children(root):
            kind = node.type.removesuffix("_declaration")
            if node.type == "decorators":
                decorators = _decorators(node)
            elif kind in found:
                for declared in _declared(node, decorators):
                    found[kind][declared.name] = declared
                decorators = {}
        return cls(
            text,
            sorted(
                {
                    node.start_point.row + 1
                    for node in _walk(root)
                    if node.type == "ERROR" or node.is_missing
                }
            ),
            {_text(node) for node in _walk(root) if _is_name(node)},
            {_text(node) for node in _walk(root) if _is_local(node)},
            found["parameter"],
            found["variable"],
            found["resource"],
            found["module"],
            found["output"],
        )


def read_all(folder: Path) -> dict[str, str]:
    """Return the texts of all Bicep files below a folder, by their paths in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*.bicep"))
    }


def _declared(node: Node, decorators: dict[str, Any], outer: str = "") -> Iterator[Declared]:
    """Yield what a node declares, and the resources that stand in its body."""
    parts = _children(node)
    name = next(_text(part) for part in parts if part.type == "identifier")
    target = ""
    if node.type in _DEPLOYED:
        target = _text(next(part for part in parts if part.type == "string"))[1:-1]
    elif types := [part for part in parts if part.type.endswith("type")]:
        target = _text(types[0])
    if outer:
        kind, version = outer.split("@")
        target = f"{kind}/{target}@{version}" if "@" not in target else target
    body = parts[-1] if any(part.type == "=" for part in node.children) else None
    if body is not None and node.type in _DEPLOYED:
        body = _body(body)
    yield Declared(
        name,
        target,
        _value(body) if body is not None else None,
        decorators,
        any(part.type == "existing" for part in node.children),
    )
    for part in _children(body) if body is not None and body.type == "object" else []:
        for inner in _children(part):
            if inner.type == "resource_declaration":
                yield from _declared(inner, {}, outer=target)


def _body(node: Node) -> Node:
    """Return what is looped over or done on a condition."""
    while node.type in ("for_statement", "if_statement"):
        node = [part for part in _children(node) if part.type not in ("]", "[")][-1]
    return node


def _value(node: Node) -> Any:
    match node.type:
        case "object":
            properties = [part for part in _children(node) if part.type == "object_property"]
            pairs = (_children(each) for each in properties)
            return {_key(pair[0]): _value(pair[-1]) for pair in pairs if len(pair) > 1}
        case "array":
            return [_value(part) for part in _children(node)]
        case "for_statement":
            return [_value(_body(node))]
        case "string" if not any(part.type == "interpolation" for part in node.children):
            return _text(node)[1:-1].replace("\\'", "'")
        case "number":
            return int(_text(node))
        case "boolean":
            return _text(node) == "true"
        case "null":
            return None
    return Expression(_text(node))


def _key(node: Node) -> str:
    return _text(node)[1:-1] if node.type == "string" else _text(node)


def _decorators(node: Node) -> dict[str, Any]:
    found = {}
    for decorator in _children(node):
        call = _children(decorator)[0]
        name, arguments = _children(call)[0], _children(call)[-1]
        values = [_value(argument) for argument in _children(arguments)]
        found[_text(name)] = values[0] if values else True
    return found


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _is_name(node: Node) -> bool:
    """Whether a node stands for a value, and does not name a declaration, a key or a function."""
    return node.type == "identifier" and not _is_first_of(
        node, "_declaration", "object_property", "call_expression", *_LOOPS
    )


def _is_local(node: Node) -> bool:
    return node.type in ("loop_variable", "loop_enumerator") or (
        node.type == "identifier" and _is_first_of(node, *_LOOPS)
    )


def _is_first_of(node: Node, *types: str) -> bool:
    parent = node.parent
    return parent is not None and parent.named_children[0] == node and parent.type.endswith(types)


def _children(node: Node) -> list[Node]:
    return [child for child in node.named_children if child.type not in _COMMENTS]


def _text(node: Node) -> str:
    return (node.text or b"").decode()
