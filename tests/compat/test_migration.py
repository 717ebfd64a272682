"""The guide to migrating: its programs run, and every name in its tables is there."""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import logging
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import asocketio
from asocketio import (
    BaseNamespace,
    BroadcastMixin,
    BroadcastOperator,
    Config,
    ConnectionRefused,
    RoomsMixin,
    SocketIOApp,
)
from asocketio.testing import ClientNamespace, ClientRefused, TestClient
from tests.support.worlds import call_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "migration.md").read_text()
GEVENT, PYTHON = GUIDE.split("\n# From python-socketio")

# Programs. A block under the comment "not run" is written for the other library.

_BLOCK = re.compile(r"(<!-- not run: [a-z-]+ -->\n)?```python\n(.*?)```", re.DOTALL)


def programs(old: bool) -> dict[str, list[str]]:
    """The Python blocks under each heading: those of the other library, or those that run."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^##? ", GUIDE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        found[heading] = [block for mark, block in _BLOCK.findall(text) if bool(mark) is old]
    return {heading: blocks for heading, blocks in found.items() if blocks}


OLD, NEW = programs(old=True), programs(old=False)


def run(heading: str, index: int = 0) -> Any:
    """The ``app`` of a block."""
    world: dict[str, Any] = {"__name__": "chat"}
    exec(compile(NEW[heading][index], f"migration.md: {heading}", "exec"), world)
    return world["app"]


def functions(source: str) -> list[str]:
    """The names of all functions and methods, in order."""
    nodes = ast.walk(ast.parse(source))
    return [node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


async def body_of(app: Any, path: str) -> bytes:
    """The body of the answer to a browser that stays until it has it."""
    async with asyncio.timeout(5):
        _, body = await call_of(app, path, headers=[])
    return body


def error_name(answer: Any) -> Any:
    return answer["error"]["name"]


def test_each_program_has_its_test() -> None:
    assert {heading: len(blocks) for heading, blocks in NEW.items()} == {
        "Imports, view and server": 2,
        "Errors": 1,
        "A chat, line by line": 1,
        "A desk, ported": 1,
    }
    assert list(OLD) == ["A chat, line by line", "A desk, ported"]
    assert len(re.findall(r"```python", GUIDE)) == 7


@pytest.mark.parametrize("generation", ["0.9", 3, 4])
async def test_a_starlette_view_refuses_or_serves(generation: Any) -> None:
    app = run("Imports, view and server", 0)
    async with TestClient(app, generation=generation) as stranger:
        with pytest.raises(ClientRefused, match="403"):
            await stranger.connect("/chat")
    async with TestClient(app, generation=generation, headers={"cookie": "name=ada"}) as client:
        assert await (await client.connect("/chat")).call("whoami") == "ada"


async def test_wsgi_pages_and_the_sockets_share_an_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for a2wsgi keeps the shape of its middleware; the real one was tried by hand, with Flask."""

    class Middleware:
        def __init__(self, application: Any) -> None:
            self.application = application

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            body = await asyncio.to_thread(self.application)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})

    def application() -> bytes:
        app.of("/chat").emit("news", 1)
        return b"page"

    monkeypatch.setitem(sys.modules, "a2wsgi", SimpleNamespace(WSGIMiddleware=Middleware))
    monkeypatch.setitem(sys.modules, "pages", SimpleNamespace(application=application, user_of=str.upper))
    app = run("Imports, view and server", 1)
    async with TestClient(app) as stranger:
        with pytest.raises(ConnectionRefused, match="log in first"):
            await stranger.connect("/chat")
    async with TestClient(app, headers={"cookie": "theme=dark; session=ada"}) as client:
        chat = await client.connect("/chat")
        assert await chat.call("whoami") == "ADA"
        assert await body_of(app, "/page") == b"page"
        assert await chat.receive() == ("news", 1)


async def test_a_decorator_for_exceptions_hears_of_coroutines_and_lets_refusals_pass() -> None:
    async with TestClient(run("Errors")) as client:
        with pytest.raises(ConnectionRefused, match="no"):
            await client.connect(auth={"banned": True})
        shop = await client.connect()
        assert await shop.call("divide", 6, 3) == 2.0
        assert await shop.call("divide", 6, 0) is None
        assert await shop.receive() == ("sorry", "division by zero")


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("generation", ["0.9", 3, 4])
async def test_the_chat(generation: Any, transport: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chat.html").write_text("the page")
    app = run("A chat, line by line")
    async with TestClient(app) as one, TestClient(app, generation=generation, transport=transport) as two:
        assert await body_of(app, "/") == b"the page"
        shown: list[Any] = []
        ada, bob = await one.connect("/chat", on={"said": lambda *said: shown.append(said)}), await two.connect("/chat")
        assert error_name(await ada.call("join", "red")) == "method_access_denied"
        assert await ada.call("nickname", "ada") == (True, "ada")
        assert await received(ada, 1) == [("nicknames", ["ada"])]
        assert await received(bob, 2) == [("nicknames", ["ada"]), ("notice", "ada has come")]
        assert await bob.call("nickname", "ada") == (False, "taken")
        assert await bob.call("nickname", "bob") == (True, "bob")
        assert await received(ada, 2) == [("nicknames", ["ada", "bob"]), ("notice", "bob has come")]
        assert await received(bob, 1) == [("nicknames", ["ada", "bob"])]

        assert await ada.call("user message", "too early") == "join a room first"
        assert await ada.call("join", "red") is None
        assert await bob.call("join", "red") is None
        assert await received(ada, 1) == [("notice", "bob is in red")]
        assert await ada.call("user message", "hello") is None
        assert await received(bob, 2) == [("said", "ada", "hello"), ("notice", "ada can read")]
        assert shown == [("me", "hello")]

        assert await bob.call("remind", 0.001, "tea") is None
        assert await received(bob, 1) == [("notice", "tea")]
        await two.disconnect()
        assert await received(ada, 2) == [("nicknames", ["ada"]), ("notice", "bob has gone")]


async def received(namespace: ClientNamespace, count: int) -> list[Any]:
    """The next events, and no more."""
    events = [await namespace.receive() for _ in range(count)]
    await namespace.nothing()
    return events


def test_the_chat_keeps_its_methods_and_nearly_all_of_its_lines() -> None:
    (old,), (new,) = OLD["A chat, line by line"], NEW["A chat, line by line"]
    assert [name for name in functions(old) if name != "application"] == [
        name for name in functions(new) if name not in ("socketio", "page")
    ]
    ported = {line.replace("async ", "").replace("await ", "") for line in new.splitlines()}
    handlers = old.split("class Chat")[1].split("def application")[0].splitlines()[1:]
    assert [line.strip() for line in handlers if line not in ported] == [
        "return ['recv_connect', 'recv_disconnect', 'on_nickname']",
        "gevent.sleep(seconds)",
        "self.disconnect(silent=True)",
    ]


async def test_the_desk() -> None:
    app = run("A desk, ported")

    def sure(number: int) -> str:
        return "yes" if number == 7 else "no"

    async with TestClient(app) as one, TestClient(app) as two:
        with pytest.raises(ConnectionRefused, match="who are you"):
            await one.connect()
        ada = await one.connect(auth={"name": "ada"}, on={"sure?": sure})
        bob = await two.connect(auth={"name": "bob"})
        assert await ada.call("join", "red") is None
        assert await bob.call("join", "red") is None
        assert await received(ada, 2) == [("count", 1), ("notice", "bob is here")]
        assert await received(bob, 1) == [("count", 1)]
        assert [await ada.call("file:ready", 6), await ada.call("file:ready", 7)] == ["no", "yes"]
        assert [await received(ada, 1), await received(bob, 1)] == [[("file", 7)], [("file", 7)]]
        assert await bob.call("remind", 0.001, "tea") is None
        assert await received(bob, 1) == [("notice", "tea")]
        await two.disconnect()
        assert await received(ada, 1) == [("notice", "bob has left")]


def test_the_old_desk_has_the_same_events() -> None:
    (old,), (new,) = OLD["A desk, ported"], NEW["A desk, ported"]
    spelling = {"recv_connect": "connect", "recv_disconnect": "disconnect"}
    assert functions(old) == [spelling.get(name, name.removeprefix("on_")) for name in functions(new)]


# Tables.

READERS = """
    Chat Desk Route StaticFiles answer api auth data f function job json_dumps json_loads logging message name origin
    on_message other_app re_path redis request requests room scope sid socketio task tasks url user work
"""
"""Names in the tables that the reader's program or another library brings."""

ERRORS = frozenset({"handler_error", "invalid_arguments", "no_such_method"})
NO_EXPRESSIONS = frozenset({"await", "async for", "async def"})
COMMANDS = re.compile(r"(asocketio|uvicorn) [a-z]+:app( --port 8000)?|[a-z_]+\.py")

GEVENT_NAMES = """
    add_acl_method allowed_methods broadcast_event broadcast_event_not_me call_method call_method_with_acl connected
    default_error_handler del_acl_method detach disconnect emit emit_to_room environ error exception_handler_decorator
    get_client_msg get_initial_acl get_multiple_client_msgs get_server_msg get_socket heartbeat incr_hits initialize
    is_method_allowed jobs join kill kill_local_jobs leave lift_acl_restrictions ns_name process_event process_packet
    put_client_msg put_server_msg recv_connect recv_disconnect recv_error recv_json recv_message remove_namespace
    request reset_acl send send_packet serve sessid session socket socketio_manage spawn start_accepting stop
    active_ns autodiscover close_timeout handler_class heartbeat_interval heartbeat_timeout log_file monkey
    policy_listener policy_server resource transports ws_handler_class
"""


def tables(text: str) -> list[tuple[str, list[list[str]]]]:
    """Each table: the heading of its second column, and the cells of its rows."""
    found: list[tuple[str, list[list[str]]]] = []
    for table in re.findall(r"^\|.*\n\|---.*\n(?:\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [re.split(r"(?<=\s)\||^\||\|$", line) for line in table.splitlines()]
        found.append((head[2].strip(), [[cell.strip() for cell in row[1:-1]] for row in rows]))
    return found


def spans(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


class Everything(BaseNamespace, RoomsMixin, BroadcastMixin):
    """What ``self`` is in the tables, and the ``packet`` that its handler got."""

    last: ClassVar[Everything]
    packet: Any

    def recv_connect(self) -> None:
        Everything.last = self

    def on_take(self, packet: Any) -> None:
        self.packet = packet

    async def tick(self, seconds: float) -> None: ...


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
                self.setting(node.targets[0].id)
            elif isinstance(node, ast.expr):
                self.value(node)

    def setting(self, name: str) -> None:
        assert name in {"namespaces", "parsers", "path"} | {field.name for field in fields(Config)}, name

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
            for name in keywords:
                self.setting(name)
        if function in (None, SocketIOApp, dict):
            return None
        signature = inspect.signature(function)
        assert set(keywords) <= set(signature.parameters), ast.unparse(node)
        signature.bind(*node.args, **dict.fromkeys(keywords))
        return (
            BroadcastOperator(self.names["app"].server, "")
            if signature.return_annotation == "BroadcastOperator"
            else None
        )


async def test_every_name_in_the_columns_for_asocketio_is_there() -> None:
    app = SocketIOApp(namespaces=dict.fromkeys(["/", "/chat", "/desk", "/admin"], Everything))
    async with TestClient(app, headers={"cookie": "a=b"}) as client:
        await client.connect("/admin")
        await (await client.connect("/chat")).call("take", 1)
        me = Everything.last
        me.session["user"] = "ada"
        looker = Looker(
            {
                **vars(builtins),
                **{name: getattr(me, name) for name in dir(me) if not name.startswith("_")},
                **{name: getattr(asocketio, name) for name in asocketio.__all__},
                "self": me,
                "app": app,
                "asyncio": asyncio,
                "asocketio": asocketio,
                "packet": me.packet,
                "request": SimpleNamespace(scope=me.environ),
            }
        )
        looked = 0
        for heading, rows in tables(GUIDE):
            if heading not in ("asocketio", "SocketIOApp"):
                continue
            for _, new in rows:
                for span in spans(new):
                    if span in NO_EXPRESSIONS or COMMANDS.fullmatch(span):
                        continue
                    try:
                        looker.look(span, settings=heading == "SocketIOApp")
                    except Exception as error:
                        raise AssertionError(f"`{span}` in | {new} |: {error!r}") from error
                    looked += 1
        assert looked > 150


def test_every_name_of_gevent_socketio_has_its_row() -> None:
    old = " ".join(
        row[0] for heading, rows in tables(GEVENT) if heading in ("asocketio", "SocketIOApp") for row in rows
    )
    assert [name for name in GEVENT_NAMES.split() if not re.search(rf"\b{name}\b", old)] == []


def test_links_lead_somewhere() -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", GUIDE, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        linked = (DOCS / name).read_text() if name else GUIDE
        headings = re.findall(r"^#+ (.*)$", linked, re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, target


# What the guide says of differences, where no other test says it.


async def test_the_socket_and_the_session_take_no_assignments() -> None:
    async with TestClient(SocketIOApp(namespaces={"/": Everything})) as client:
        await client.connect()
        me: Any = Everything.last
        with pytest.raises(AttributeError):
            me.socket.user = "ada"
        with pytest.raises(AttributeError):
            me.session = {}


async def test_an_old_recv_disconnect_is_harmless() -> None:
    gone: list[str] = []

    class Old(BaseNamespace, RoomsMixin, BroadcastMixin):
        def recv_disconnect(self) -> None:
            gone.append(self.sid)
            self.broadcast_event("gone")
            self.disconnect(silent=True)

    app = SocketIOApp(namespaces={"/": Old})
    async with TestClient(app) as one, TestClient(app) as two:
        ada, bob = await one.connect(), await two.connect()
        await two.disconnect()
        assert await received(ada, 1) == [("gone",)]
        assert gone == [bob.sid]


async def test_a_handler_that_blocks_is_named(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(BaseNamespace):
        def on_work(self) -> None:
            import time

            time.sleep(0.15)

    caplog.set_level(logging.WARNING, "asocketio")
    async with TestClient(SocketIOApp(namespaces={"/": Slow})) as client:
        await (await client.connect()).call("work")
    assert re.search(r"blocked the event loop for 0\.\d\d s", caplog.text)
