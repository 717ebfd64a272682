"""Which module may import which: downward only. Reads the import statements, and fails on a module it does not know."""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import asocketio

PACKAGE = Path(asocketio.__file__).parent

FLOORS: list[list[str]] = [
    ["errors", "metrics"],
    ["config"],
    ["runtime", "protocol"],
    ["adapters"],
    ["session"],
    ["middleware"],
    ["asgi"],
    ["transports"],
    ["servers"],
    ["server"],
    ["operators"],
    ["namespace"],
    ["manage"],
    ["workers"],
    ["app", "emitter"],
    ["", "__main__", "testing"],
]
"""Folders, and the modules of the root, from the ground up: each may import its own, and what stands on a lower floor.

``""`` is the package: its public names. Imports for types only (``if TYPE_CHECKING:``) count as all others do.
"""

WHOLES = {"session"}
"""Folders that are one thing: a socket and its parts know each other, for types."""

THIRD_PARTY = {"anyio", "uvicorn", "websockets"}
"""What the package depends on."""

OPTIONAL: dict[str, set[str]] = {
    "protocol.fast_json": {"msgspec", "orjson"},
    "adapters.redis.places": {"redis"},
    "protocol.msgpack_parser": {"msgpack"},
    "metrics.prometheus": {"prometheus_client"},
    "metrics.opentelemetry": {"opentelemetry"},
    "middleware.opentelemetry": {"opentelemetry"},
}
"""Modules that make use of an extra where it is installed: module -> what it imports."""

PURE = "protocol"
"""Text and bytes to packets and back: no waiting, no clock."""

MOST_LINES = 400
MOST_OF_A_FUNCTION = 50
MOST_OF_A_CLASS = 25
"""Methods, and attributes."""
THE_PRODUCT = {"BaseNamespace", "TestClient"}
"""Classes whose methods are what programs come for."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Import:
    """``name`` is dotted, as written; ``for_types`` means below ``if TYPE_CHECKING:``."""

    name: str
    for_types: bool = False


def modules() -> dict[str, Path]:
    """Every module of the package by its name below it."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(source: str) -> list[Import]:
    """All imports of a module, those inside of functions too."""
    return list(_imports(ast.parse(source), for_types=False))


def _imports(node: ast.AST, *, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, for_types)
    elif isinstance(node, ast.ImportFrom):
        name = "." * node.level + (node.module or "")
        if name == "asocketio":  # a module of it, or one of its public names
            for alias in node.names:
                yield Import(f"asocketio.{alias.name}", for_types)
        else:
            yield Import(name, for_types)
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for statement in node.body:
            yield from _imports(statement, for_types=True)
        for statement in node.orelse:
            yield from _imports(statement, for_types=for_types)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, for_types=for_types)


HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}


def room(module: str) -> str:
    """The folder, or the module of the root, that a module belongs to."""
    return module.partition(".")[0]


def wrong_imports(module: str, source: str) -> list[str]:
    """What ``module`` imports and may not."""
    wrong = []
    for found in imports(source):
        top, _, below = found.name.partition(".")
        if top == "asocketio":
            own = room(below) == room(module) and below in SOURCES and below != module
            lower = HEIGHT.get(room(below), len(HEIGHT)) < HEIGHT[room(module)]
            if not (own or lower):
                wrong.append(found.name)
        elif not (top in sys.stdlib_module_names or top in THIRD_PARTY or top in OPTIONAL.get(module, ())):
            wrong.append(found.name)
    return wrong


def circles(graph: dict[str, set[str]]) -> list[str]:
    """The modules that import themselves by way of others; ``graph`` has what each imports."""
    reached = {module: set(found) for module, found in graph.items()}
    for _ in graph:
        for found in reached.values():
            found.update(*(reached.get(module, ()) for module in tuple(found)))
    return [module for module, found in reached.items() if module in found]


def impurities(source: str) -> list[str]:
    """What a module has to do with waiting and time."""
    tree = ast.parse(source)
    waiting = ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await
    found = [type(node).__name__ for node in ast.walk(tree) if isinstance(node, waiting)]
    return found + [
        each.name for each in imports(source) if each.name.partition(".")[0] in ("asyncio", "anyio", "time", "datetime")
    ]


def docstrings(tree: ast.AST) -> set[int]:
    """The lines of all strings that stand alone."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def lines_of_code(source: str) -> int:
    """Lines that are no docstring, no comment and not empty."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings(ast.parse(source)))


def length(function: ast.AST) -> int:
    """Lines from ``def`` to the end, without docstrings."""
    assert isinstance(function, FUNCTIONS)
    lines = set(range(function.lineno, (function.end_lineno or function.lineno) + 1))
    return len(lines - docstrings(function))


def classes(source: str) -> dict[str, tuple[int, int]]:
    """The methods and attributes of each class: what it defines, what it declares, and what it sets on ``self``."""
    found = {}
    for each in ast.walk(ast.parse(source)):
        if isinstance(each, ast.ClassDef):
            methods = {node.name for node in each.body if isinstance(node, FUNCTIONS)}
            declared = {ast.unparse(node.target) for node in each.body if isinstance(node, ast.AnnAssign)}
            found[each.name] = len(methods), len(declared | _set_on_self(each))
    return found


def _set_on_self(tree: ast.AST) -> set[str]:
    targets = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return {node.attr for node in targets if isinstance(node.value, ast.Name) and node.value.id == "self"}


def public_names(source: str) -> list[str] | None:
    """``__all__``."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def defined_names(source: str) -> set[str]:
    """What a module defines or imports at its top."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {ast.unparse(target) for target in node.targets}
        elif isinstance(node, ast.AnnAssign):
            found.add(ast.unparse(node.target))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


SOURCES = {name: path.read_text(encoding="utf-8") for name, path in modules().items()}
each_module = pytest.mark.parametrize("module", SOURCES)


# ---- the package -----------------------------------------------------------------------------------------------


def test_every_folder_has_its_floor_and_no_floor_is_empty() -> None:
    assert {room(module) for module in SOURCES} == set(HEIGHT)


def test_the_root_holds_what_programs_meet_and_nothing_else() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 10


@each_module
def test_imports_run_downward_only(module: str) -> None:
    assert wrong_imports(module, SOURCES[module]) == []


@pytest.mark.parametrize("module", [name for name in SOURCES if room(name) == PURE])
def test_protocols_know_neither_waiting_nor_time(module: str) -> None:
    assert impurities(SOURCES[module]) == []


@pytest.mark.parametrize("folder", sorted(HEIGHT.keys() - WHOLES))
def test_no_module_of_a_folder_imports_itself_by_way_of_others(folder: str) -> None:
    graph = {
        module: {found.name.removeprefix("asocketio.") for found in imports(SOURCES[module])} & SOURCES.keys()
        for module in SOURCES
        if room(module) == folder
    }
    assert circles(graph) == []


@each_module
def test_a_module_is_no_longer_than_anyone_can_hold_in_mind(module: str) -> None:
    assert lines_of_code(SOURCES[module]) <= MOST_LINES


@each_module
def test_a_class_is_no_bigger_than_anyone_can_hold_in_mind(module: str) -> None:
    sizes = {name: size for name, size in classes(SOURCES[module]).items() if name not in THE_PRODUCT}
    assert [name for name, size in sizes.items() if max(size) > MOST_OF_A_CLASS] == []


@each_module
def test_a_function_fits_a_glance(module: str) -> None:
    functions = [each for each in ast.walk(ast.parse(SOURCES[module])) if isinstance(each, FUNCTIONS)]
    assert [each.name for each in functions if length(each) > MOST_OF_A_FUNCTION] == []


@each_module
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(ast.parse(SOURCES[module]))


@each_module
def test_a_module_says_what_is_public(module: str) -> None:
    source = SOURCES[module]
    only_a_docstring = len(ast.parse(source).body) == 1
    names = public_names(source)
    assert only_a_docstring or names is not None
    assert set(names or ()) <= defined_names(source)


# ---- and that this would notice --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("session.socket", "from asocketio.session.outbox import Outbox", []),
        ("session.socket", "from asocketio.protocol.packet import Packet", []),
        ("session.outbox", "from asocketio.app import of", ["asocketio.app"]),
        ("session.outbox", "import asocketio.transports.polling", ["asocketio.transports.polling"]),
        ("session.outbox", "def f():\n    from asocketio.app import of", ["asocketio.app"]),
        ("session.outbox", "try:\n    import orjson\nexcept ImportError:\n    pass", ["orjson"]),
        ("session.outbox", "from asocketio import app", ["asocketio.app"]),
        ("session.socket", "from asocketio import Socket", ["asocketio.Socket"]),
        ("session.socket", "import asocketio", ["asocketio"]),
        ("session.socket", "from .outbox import Outbox", [".outbox"]),
        ("session.socket", "from . import outbox", ["."]),
        ("session.outbox", "from asocketio.session.outbox import Outbox", ["asocketio.session.outbox"]),
        ("protocol.packet", "from asocketio.runtime.clock import Clock", ["asocketio.runtime.clock"]),
        ("errors", "from asocketio.protocol.packet import Packet", ["asocketio.protocol.packet"]),
        ("app", "from asocketio.unheard_of import x", ["asocketio.unheard_of"]),
        ("app", "import starlette.requests", ["starlette.requests"]),
        ("app", "import anyio, json, xml.sax, uvicorn.config", []),
        ("session.acks", "if TYPE_CHECKING:\n    from asocketio.app import of", ["asocketio.app"]),
        ("session.acks", "if TYPE_CHECKING:\n    pass\nelse:\n    import asocketio.app", ["asocketio.app"]),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, wrong: list[str]) -> None:
    assert wrong_imports(module, source) == wrong


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({}, []),
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"e"}, "e": {"a"}}, ["a", "b", "c", "d", "e"]),
        ({"a": {"a"}}, ["a"]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], found: list[str]) -> None:
    assert circles(graph) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import json", []),
        ("from time import monotonic", ["time"]),
        ("import asyncio.events, anyio", ["asyncio.events", "anyio"]),
        ("async def f(): await g()", ["AsyncFunctionDef", "Await"]),
    ],
)
def test_waiting_and_time_are_found(source: str, found: list[str]) -> None:
    assert impurities(source) == found


def test_lines_of_code_are_counted_as_they_are() -> None:
    source = '''"""Docstring,

of three lines."""

x = 1  # code
"""What x is."""
# a comment
y = (
    2,

)


class Z:
    """Z."""

    text = """not a
docstring"""
'''
    assert lines_of_code(source) == 7


def test_what_a_class_has_is_counted() -> None:
    source = """
class A:
    x: int
    y: int = 1

    def __init__(self):
        self.y = self.z = 2

    async def f(self):
        self.a.b = 3
"""
    assert classes(source) == {"A": (2, 3)}


def test_a_function_is_measured_without_its_docstring() -> None:
    (function,) = ast.parse('def f():\n    """One.\n\n    Two."""\n    return 1\n').body
    assert length(function) == 2
