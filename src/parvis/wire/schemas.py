"""JSON schemas are bounded before an engine sees them: bytes, parts, depth, counts, patterns, references.

The cost grows with the size of a schema and no faster. Most schemas are small, and one look at their bytes says so.
"""

from typing import Any

import msgspec

from parvis.core.errors import BadRequest
from parvis.wire.schema_counts import bound_counts

DEPTH_MAX = 32
PARTS_MAX = 2_000
"""Values of one schema, whatever they are; names do not count, and a pattern counts for several."""
BYTES_MAX = 65_536
QUOTE_CHARS_MAX = 200
_COUNTING = (b'"min', b'"max', b'"pattern')
"""How the names of all keywords begin that `bound_counts` looks at."""
Graph = dict[str, set[str]]


def bound_schema(schema: dict[str, Any] | None, param: str) -> int:
    """Refuse a schema that could hurt an engine; tell how many parts it has at most. Raises BadRequest.

    `schema_too_large`, `schema_too_deep`, `invalid_schema` (a reference to elsewhere), `recursive_schema`.
    """
    if schema is None:
        return 0
    encoded = msgspec.json.encode(schema)
    objects, lists, names = encoded.count(b"{"), encoded.count(b"["), encoded.count(b'":')
    commas = encoded.count(b",") - encoded.count(b", ")  # our encoder puts no space behind a comma, texts do
    # At most: of a name there is one value; a list has one value more than commas, and so has an object names.
    parts = 1 + max(names, commas + objects) + lists
    counting = any(name in encoded for name in _COUNTING)
    if objects + lists > DEPTH_MAX or parts > PARTS_MAX or counting:
        parts = _walk(schema, param, counting=counting)
    if len(encoded) > BYTES_MAX:
        raise BadRequest(f"The schema in '{param}' is over {BYTES_MAX} bytes.", code="schema_too_large", param=param)
    if b'"$ref"' in encoded:
        _check_references(schema, param)
    return parts


def _walk(schema: dict[str, Any], param: str, *, counting: bool) -> int:
    """Level by level, so that depth is a number and no recursion. Scalars are counted where they stand."""
    parts, level, depth = 1, [schema], 0
    while level:
        depth += 1
        if depth > DEPTH_MAX:
            raise BadRequest(
                f"The schema in '{param}' is nested deeper than {DEPTH_MAX} levels.",
                code="schema_too_deep",
                param=param,
            )
        parts += sum(map(len, level))
        for node in level if counting else ():
            if parts > PARTS_MAX:
                break
            parts += bound_counts(node, param) if type(node) is dict else 0
        if parts > PARTS_MAX:
            raise BadRequest(
                f"The schema in '{param}' has over {PARTS_MAX} parts.", code="schema_too_large", param=param
            )
        level = [child for node in level for child in _inner(node)]
    return parts


def _inner(node: Any) -> list[Any]:
    """The objects and lists right below an object or list."""
    children = node.values() if type(node) is dict else node
    return [child for child in children if type(child) is dict or type(child) is list]


def _references(node: Any) -> set[str]:
    """Every `$ref` at or below a node."""
    found, level = set(), _inner([node])
    while level:
        found |= {ref for n in level if type(n) is dict and isinstance(ref := n.get("$ref"), str)}
        level = [child for n in level for child in _inner(n)]
    return found


def _check_references(schema: dict[str, Any], param: str) -> None:
    """They lead to definitions of this schema, and never back to themselves."""
    definitions = {
        f"#/{place}/{name}": _references(definition)
        for place in ("$defs", "definitions")
        if isinstance(named := schema.get(place), dict)
        for name, definition in named.items()
    }
    for ref in _references(schema):
        if ref not in definitions:
            raise BadRequest(
                f"The schema in '{param}' refers to '{ref[:QUOTE_CHARS_MAX]}'. "
                "Only '#/$defs/NAME' of the same schema can be used.",
                code="invalid_schema",
                param=param,
            )
    if _comes_back(definitions):
        raise BadRequest(f"The schema in '{param}' refers to itself.", code="recursive_schema", param=param)


def _comes_back(graph: Graph) -> bool:
    """Whether some node reaches itself: what is left when nodes without successors are taken away, again and again."""
    open_edges = {name: len(successors) for name, successors in graph.items()}
    predecessors: dict[str, list[str]] = {name: [] for name in graph}
    for name, successors in graph.items():
        for successor in successors:
            predecessors[successor].append(name)
    done = [name for name, count in open_edges.items() if not count]
    for name in done:  # grows while it is read
        for before in predecessors[name]:
            open_edges[before] -= 1
            if not open_edges[before]:
                done.append(before)
    return len(done) < len(graph)
