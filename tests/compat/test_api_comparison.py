"""docs/api-comparison.md, and the tables of docs/migration.md: whatever is named in them is there, on both sides."""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import engineio
import pytest
import socketio

import asocketio
from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    BroadcastOperator,
    Config,
    MemoryAdapter,
    Namespace,
    RoomsMixin,
    SocketIOApp,
)
from asocketio.adapters.redis import RedisAdapter
from asocketio.emitter import Emitter, SyncEmitter
from asocketio.testing import TestClient
from tests.support.worlds import Recorder, Way, serve

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api-comparison.md").read_text(encoding="utf-8")
MIGRATION = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")

# What the tables say.


class Row(NamedTuple):
    """A line of a table: where it is, what heads its second column, and its cells."""

    place: str
    heading: str
    cells: list[str]


def rows(text: str) -> list[Row]:
    """The rows of all tables that compare something."""
    found: list[Row] = []
    part = section = heading = ""
    for line in text.splitlines():
        if line.startswith("# "):
            part, section = line[2:], ""
        elif line.startswith("## "):
            section = line[3:]
        if not line.startswith("|"):
            heading = ""
        elif not line.startswith("|---"):
            cells = [cell.strip() for cell in re.split(r"(?<=\s)\||^\||\|$", line)[1:-1]]
            if heading:
                found.append(Row(f"{part}: {section}", heading, cells))
            else:
                heading = cells[1]
    return [row for row in found if row.heading in ("asocketio", "SocketIOApp")]


ROWS = rows(PAGE)


def named(place: str) -> str:
    """All that the first columns of a part, or of a section, name."""
    return " ".join(row.cells[0] for row in ROWS if row.place.startswith(place))


def missing(names: list[str], place: str) -> list[str]:
    text = named(place)
    assert text, place
    return [name for name in names if not re.search(rf"\b{name}\b", text)]


# What is there.

NODE = {  # socket.io 4.8.3: packages/socket.io/lib, its adapter, and the options of engine.io
    "Server, Namespace, BroadcastOperator": """
        Server listen attach attachApp bind httpServer of sockets path connectTimeout serveClient adapter engine encoder
        close use to in except send write emit emitWithAck serverSideEmit serverSideEmitWithAck allSockets compress
        volatile local timeout fetchSockets socketsJoin socketsLeave disconnectSockets name server connection connect
        new_namespace create-room delete-room join-room leave-room
    """,
    "RemoteSocket": "id handshake rooms data timeout emit join leave disconnect",
    "Socket": """
        nsp client id recovered handshake data connected disconnected emit emitWithAck to in except send write join
        leave disconnect compress volatile broadcast local timeout use request conn rooms onAny prependAny offAny
        listenersAny onAnyOutgoing prependAnyOutgoing offAnyOutgoing listenersAnyOutgoing on once off listeners
        disconnecting error headers time address xdomain secure issued url query auth
    """,
    "Options": """
        path serveClient adapter parser connectTimeout connectionStateRecovery maxDisconnectionDuration skipMiddlewares
        cleanupEmptyChildNamespaces pingTimeout pingInterval upgradeTimeout maxHttpBufferSize allowRequest transports
        allowUpgrades perMessageDeflate httpCompression wsEngine initialPacket cookie cors allowEIO3 destroyUpgrade
        destroyUpgradeTimeout addTrailingSlash
    """,
}
GEVENT = {  # gevent-socketio 0.3.6: namespace.py, mixins.py, virtsocket.py, server.py, __init__.py
    "BaseNamespace and its mixins": """
        BaseNamespace RoomsMixin BroadcastMixin environ socket session request ns_name allowed_methods jobs
        is_method_allowed add_acl_method del_acl_method lift_acl_restrictions get_initial_acl reset_acl process_packet
        process_event call_method_with_acl call_method initialize recv_message recv_json recv_disconnect recv_connect
        recv_error send emit spawn disconnect kill_local_jobs join leave _get_room_name emit_to_room broadcast_event
        broadcast_event_not_me exception_handler_decorator
    """,
    "Socket": """
        server sessid session hits heartbeats timeout wsgi_app_greenlet state connection_established ack_callbacks
        ack_counter request environ namespaces active_ns error_handler config json_loads json_dumps connected incr_hits
        heartbeat kill detach put_server_msg put_client_msg get_client_msg get_server_msg get_multiple_client_msgs
        error disconnect remove_namespace send_packet GLOBAL_NS
    """,
    "Errors": "error error_handler default_error_handler no_such_method method_access_denied invalid_method_args",
    "socketio_manage and SocketIOServer": """
        socketio_manage environ namespaces request error_handler json_loads json_dumps SocketIOServer resource namespace
        transports policy_server policy_listener heartbeat_timeout heartbeat_interval close_timeout log_file
        start_accepting stop handle get_socket serve serve_paste handler_class ws_handler_class
    """,
}


def public(*classes: type) -> list[str]:
    return sorted({name for cls in classes for name in dir(cls) if not name.startswith("_")})


def parameters(*functions: Any) -> list[str]:
    found = {name for function in functions for name in inspect.signature(function).parameters}
    return sorted(found - {"self", "args", "kwargs"})


@pytest.mark.parametrize("section", NODE)
def test_every_name_of_node_has_its_row(section: str) -> None:
    assert missing(NODE[section].split(), f"Node's socket.io: {section}") == []


@pytest.mark.parametrize("section", GEVENT)
def test_every_name_of_gevent_socketio_has_its_row(section: str) -> None:
    names = GEVENT[section].split()
    assert missing(names, f"gevent-socketio: {section}") == []


@pytest.mark.parametrize(
    ("section", "classes"),
    [
        ("AsyncServer and AsyncNamespace", (socketio.AsyncServer, socketio.AsyncNamespace)),
        ("ASGIApp", (socketio.ASGIApp,)),
        ("Managers", (socketio.AsyncManager, socketio.AsyncRedisManager, socketio.AsyncAioPikaManager)),
    ],
)
def test_every_method_of_python_socketio_has_its_row(section: str, classes: tuple[type, ...]) -> None:
    assert missing(public(*classes), f"python-socketio: {section}") == []


@pytest.mark.parametrize(
    "functions",
    [
        (socketio.AsyncServer.__init__, socketio.AsyncServer.__mro__[1].__init__, engineio.AsyncServer.__init__),
        (socketio.ASGIApp.__init__,),
        (socketio.AsyncRedisManager.__init__, socketio.AsyncAioPikaManager.__init__),
        (socketio.AsyncServer.emit, socketio.AsyncServer.call, socketio.AsyncServer.disconnect),
    ],
)
def test_every_argument_of_python_socketio_has_its_row(functions: tuple[Any, ...]) -> None:
    assert missing(parameters(*functions), "python-socketio") == []


def test_every_class_of_python_socketio_is_named() -> None:
    part = PAGE.split("\n# python-socketio\n")[1].split("\n# ")[0]
    classes = [name for name in public(socketio) if inspect.isclass(getattr(socketio, name))]  # type: ignore[arg-type]
    told_elsewhere = {"Server", "Namespace", "AsyncClientNamespace", "ClientNamespace"}  # as their likes
    assert {name for name in classes if not re.search(rf"\b{name}\b", part)} <= told_elsewhere


def test_no_cell_is_empty_and_each_named_test_exists() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^(?:async )?def (test_\w+)", sources, re.MULTILINE))
    assert len(ROWS) > 150
    for row in ROWS:
        assert len(row.cells) == 3, row
        assert all(row.cells), row
        assert set(re.findall(r"`(test_\w+)`", row.cells[2])) <= there, row


def test_what_there_is_has_a_test() -> None:
    """A row without a test says why: what is named beside it is missing, or not asocketio's."""
    without = [row for row in ROWS if "`test_" not in row.cells[2]]
    assert [row for row in without if not re.match(r"not |`await asyncio", row.cells[1])] == []


# The names here.

READERS = """
    Chat Desk MyParser Route StaticFiles
    answer answers api auth data f function job json_dumps json_loads lifespan logging
    message name on_message origin other_app re_path redis reason replies request requests room scope sid socketio
    task tasks timing url user value work
"""
"""Names in the tables that the reader's program or another library brings."""

ERRORS = frozenset({"handler_error", "invalid_arguments", "no_such_method"})
NO_EXPRESSIONS = frozenset({"await", "async for", "async def"})
COMMANDS = re.compile(r"(asocketio|uvicorn) [a-z]+:app( --port 8000)?|[a-z_]+\.py")


class Everything(BaseNamespace, RoomsMixin, BroadcastMixin):
    """What ``self`` is in the tables, and the ``packet`` that its handler got."""

    last: ClassVar[Everything]
    packet: Any

    def recv_connect(self) -> None:
        Everything.last = self

    def on_take(self, packet: Any) -> None:
        self.packet = packet

    async def tick(self, seconds: float) -> None: ...


SETTINGS = {"namespaces", "path", "guard", "adapter", "lifespan", "client_files", "parsers", "parser", "middleware"} | {
    field.name for field in fields(Config)
}


class Looker:
    """Follows expressions on living objects, as far as they can be followed without running them."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def look(self, span: str, settings: bool) -> None:
        tree = compile(span, span, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert node.module == "asocketio"
                assert {name.name for name in node.names} <= set(asocketio.__all__)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.name.startswith("on_") or hasattr(Everything, node.name), node.name
            elif isinstance(node, ast.Assign) and settings and isinstance(node.targets[0], ast.Name):
                assert node.targets[0].id in SETTINGS
            elif isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name):
                self.names.setdefault(node.target.id, None)
            elif isinstance(node, ast.expr):
                self.value(node)

    def value(self, node: ast.expr) -> Any:
        """What the expression means; None where only running it would tell."""
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                assert name in self.names or name in READERS.split() or name in ERRORS, f"what is {name}?"
                return self.names.get(name)
            case ast.Attribute(value=owner, attr=name):
                found = self.value(owner)
                return None if found is None else getattr(found, name)
            case ast.Subscript(value=owner, slice=ast.Constant(value=key), ctx=ast.Load()):
                found = self.value(owner)
                return None if found is None else found[key]
            case ast.Await(value=inner):
                return self.value(inner)
            case ast.Call(func=func):
                return self.call(self.value(func), node)
            case _:
                return None

    def call(self, function: Any, node: ast.Call) -> Any:
        keywords = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
        if function is SocketIOApp:
            assert set(keywords) <= SETTINGS
        if function in (None, SocketIOApp, dict):
            return None
        signature = inspect.signature(function)
        assert set(keywords) <= set(signature.parameters), ast.unparse(node)
        signature.bind(*node.args, **dict.fromkeys(keywords))
        operators = {"BroadcastOperator": BroadcastOperator, "Namespace": Namespace, "Self": BroadcastOperator}
        made = operators.get(signature.return_annotation)
        if function.__name__ == "timeout" and isinstance(getattr(function, "__self__", None), Namespace):
            made = Namespace
        return None if made is None else made(self.names["app"].server, "")


async def test_every_name_in_the_columns_for_asocketio_is_there() -> None:
    app = SocketIOApp(namespaces=dict.fromkeys(["/", "/chat", "/desk", "/admin"], Everything))
    async with TestClient(app, headers={"cookie": "a=b"}) as client:
        await client.connect("/admin")
        await (await client.connect("/chat")).call("take", 1)
        [peer] = await app.of("/chat").sockets()
        me = Everything.last
        me.session["user"] = "ada"
        looker = Looker(
            {
                **vars(builtins),
                **{name: getattr(me, name) for name in dir(me) if not name.startswith("_")},
                **{name: getattr(asocketio, name) for name in asocketio.__all__},
                **{each.__name__: each for each in (Emitter, RedisAdapter, SyncEmitter)},
                "self": me,
                "app": app,
                "adapter": MemoryAdapter(),
                "peer": peer,
                "asyncio": asyncio,
                "re": re,
                "asocketio": asocketio,
                "packet": me.packet,
                "request": SimpleNamespace(scope=me.environ),
            }
        )
        looked = 0
        for row in ROWS + rows(MIGRATION):
            for span in re.findall(r"`([^`]+)`", row.cells[1]):
                if span in NO_EXPRESSIONS or COMMANDS.fullmatch(span):
                    continue
                try:
                    looker.look(span, settings=row.heading == "SocketIOApp")
                except Exception as error:
                    raise AssertionError(f"`{span}` in | {row.cells[1]} |: {error!r}") from error
                looked += 1
        assert looked > 250


def test_links_lead_somewhere() -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", PAGE, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        linked = (ROOT / "docs" / name).read_text() if name else PAGE
        headings = re.findall(r"^#+ (.*)$", linked, re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target


# What no other test shows.


async def test_what_node_sends_is_an_event_message(way: Way) -> None:
    async with serve(Recorder, **way) as client:
        recorder = await client.connect()
        await Recorder.last.namespace.emit("message", "text")
        await Recorder.last.emit("message", {"a": 1})
        assert [await recorder.receive(), await recorder.receive()] == [("message", "text"), ("message", {"a": 1})]
