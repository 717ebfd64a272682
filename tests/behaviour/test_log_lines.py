"""Lines of the log that a stranger can cause: quoted, cut, and few."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest

from asocketio import (
    BaseNamespace,
    ConnectionRefused,
    Disconnected,
    Packet,
    PacketType,
    RoomsMixin,
    SocketIOApp,
    UsageError,
    event,
)
from asocketio.runtime.log import MOST
from asocketio.testing import ClientNamespace, ClientRefused, TestClient, TestClock, settle
from tests.behaviour.test_security import FORGED
from tests.clients.asgi import Call
from tests.support.worlds import GENERATIONS, Way, until

Log = pytest.LogCaptureFixture

TIMES = 20
"""How often each thing is done: enough to tell a handful of lines from a line for each."""
HANDFUL = 4
LONG = FORGED * 3000
SETTINGS: dict[str, Any] = {"rate_limits": {"often": (1, 1000.0), "connect": (10_000, 1.0)}, "max_rooms": 1}


class Trusting(BaseNamespace, RoomsMixin):
    """Does with what it gets what programs do."""

    def on_raise(self, text: str) -> None:
        raise ValueError(text)

    async def on_later(self, text: str) -> None:
        await asyncio.sleep(0)
        raise LookupError(f"no {text}") from KeyError(text)

    async def on_group(self, text: str) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.job(text))

    def on_spawn(self, text: str) -> None:
        self.spawn(self.job, text)

    async def job(self, text: str) -> None:
        raise ValueError(text)

    def on_ask(self, text: str) -> None:
        self.emit("question", text, callback=self.answered)

    def answered(self) -> None:
        pass

    def on_ask_badly(self, text: str) -> None:
        self.emit("question", text, callback=self.fails)

    def fails(self, *args: Any) -> None:
        raise ValueError(args)

    def on_unsendable(self, text: str) -> Any:
        return {text: object()}

    def on_enter(self, text: str) -> None:
        self.join(text)
        self.join(text + "more")

    def on_complain(self, text: str) -> None:
        raise UsageError(text)

    def on_two(self, one: Any, two: Any) -> None:
        pass

    def recv_message(self, data: Any) -> None:
        raise ValueError(data)


class Guarded(BaseNamespace):
    """Refuses in its client's words."""

    async def recv_connect(self, auth: Any) -> None:
        raise ConnectionRefused(FORGED)


class Broken(BaseNamespace):
    def recv_connect(self, auth: Any) -> None:
        raise ValueError(auth.get("name"))


class Wrong(BaseNamespace):
    def recv_connect(self, auth: Any) -> Any:
        return False


class Unsendable(BaseNamespace):
    def recv_connect(self, auth: Any) -> None:
        raise ConnectionRefused(FORGED, object())


class Anything(BaseNamespace):
    @event("*")
    def rest(self, name: str, *args: Any) -> None:
        raise ValueError(name)


class Leaving(BaseNamespace):
    def recv_disconnect(self, reason: str) -> None:
        raise ValueError(FORGED)


CLASSES: dict[str, type[BaseNamespace]] = {
    "/": Trusting, "/guarded": Guarded, "/broken": Broken, "/wrong": Wrong, "/unsendable": Unsendable,
    "/anything": Anything, "/leaving": Leaving,
}  # fmt: skip

Act = Callable[[TestClient, ClientNamespace, str], Awaitable[Any]]


def emits(name: str) -> Act:
    async def act(client: TestClient, namespace: ClientNamespace, text: str) -> None:
        await namespace.emit(name, text)

    return act


def connects(name: str) -> Act:
    async def act(client: TestClient, namespace: ClientNamespace, text: str) -> None:
        with suppress(ConnectionRefused):
            await client.connect(name, {"name": text[:1000]})

    return act


async def names_no_event(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    await namespace.emit(text)


async def gives_too_much(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    await namespace.emit("two", text)


async def gets_what_cannot_be_sent(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    await namespace.call("unsendable", text)


async def sends(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    await namespace.send(text)


async def is_often_there(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    await namespace.emit("often", text)


async def names_any_event(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    other = client.namespaces.get("/anything") or await client.connect("/anything")
    await other.emit(text)


async def comes_and_goes(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    client.namespaces.pop("/leaving", None)
    await (await client.connect("/leaving")).disconnect()


async def asks_for_what_is_not_there(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    with suppress(ConnectionRefused):
        await client.connect("/" + text.replace(",", "").replace("?", "")[:1000])


async def acks_what_was_not_asked(client: TestClient, namespace: ClientNamespace, text: str) -> None:
    await client.post(Packet(PacketType.ACK, "", args=[text], id=5))


ACTS: dict[str, Act] = {
    **{name: emits(name) for name in ("raise", "later", "group", "spawn", "ask", "ask badly", "enter", "complain")},
    **{f"connects to {name}": connects(name) for name in ("/guarded", "/broken", "/wrong", "/unsendable")},
    "no such event": names_no_event, "invalid arguments": gives_too_much, "message": sends, "often": is_often_there,
    "any event": names_any_event, "comes and goes": comes_and_goes, "no such namespace": asks_for_what_is_not_there,
    "unsendable": gets_what_cannot_be_sent, "stray ack": acks_what_was_not_asked,
}  # fmt: skip
QUIET = {"stray ack"}


@pytest.mark.parametrize("act", ACTS)
async def test_what_a_client_does_makes_few_short_lines(act: str, way: Way, caplog: Log) -> None:
    caplog.set_level(logging.INFO, "asocketio")
    app = SocketIOApp(namespaces=CLASSES, **SETTINGS)
    async with TestClient(app, **way) as client:
        namespace = await client.connect(on={"question": lambda text: (text, text, text)})
        secret = client.handshake["sid"]
        for number in range(TIMES):
            await ACTS[act](client, namespace, LONG if number == TIMES - 1 else FORGED)
        await settle()
        seen = len(caplog.records)
    assert (seen > 0) is (act not in QUIET)
    assert_harmless(caplog, secret)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_what_ends_a_session_makes_few_short_lines(generation: Any, caplog: Log) -> None:
    caplog.set_level(logging.INFO, "asocketio")
    app = SocketIOApp(namespaces=CLASSES, **SETTINGS)
    frames = [FORGED, "4" + FORGED, "42" + FORGED, "b4" + FORGED, "99999" + FORGED, '42["connect"]', "5::/" + LONG]
    async with TestClient(app, generation=generation) as first:
        await first.connect()
        for frame in 2 * frames:
            async with TestClient(app, generation=generation) as client:
                await client.connect()
                with suppress(Disconnected):
                    await client.post_frames(frame)
                await settle()
    assert caplog.records != []
    assert_harmless(caplog, handful=len(frames))


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_clients_that_join_nothing_make_one_line(generation: Any, caplog: Log) -> None:
    caplog.set_level(logging.INFO, "asocketio")

    class Slow(BaseNamespace):
        async def recv_connect(self) -> None:
            await asyncio.Event().wait()

    app = SocketIOApp(namespaces={"/": Slow}, connect_timeout=1.0, close_grace=0.1)
    async with TestClient(app, generation=generation) as first:
        await asyncio.wait([asyncio.ensure_future(open_only(app, generation)) for _ in range(TIMES)], timeout=0.01)
        await until(lambda: len(app.server.sockets) == TIMES)
        await first.advance(1.1)
        await first.advance(1.1)
    assert_harmless(caplog)
    assert any("connect_timeout" in message for message in caplog.messages)


async def open_only(app: SocketIOApp, generation: Any) -> None:
    with suppress(ClientRefused):
        async with TestClient(app, generation=generation) as client:
            await client.open()
            await asyncio.sleep(3600)


def assert_harmless(caplog: Log, secret: str = "\0", handful: int = HANDFUL) -> None:
    """Each record is one short line, with a traceback of which each line is one; and they are few."""
    formatter = logging.Formatter("%(message)s %(sid)s %(namespace)s %(event)s", defaults=dict.fromkeys(FIELDS, ""))
    for record in caplog.records:
        lines = formatter.format(record).split("\n")
        assert all(line.isprintable() for line in lines), lines
        assert [line for line in lines[1:] if line.startswith("ERROR")] == []
        assert len(lines[0].encode()) <= 2048
        assert sum(map(len, lines)) <= 10_000
        assert secret not in "".join(lines)
        assert record.exc_info or len(lines) == 1
    assert len(caplog.records) <= handful, caplog.messages


FIELDS = ("sid", "namespace", "event")

# ---- requests -----------------------------------------------------------------------------------------------------


def spelled(sid: str) -> list[tuple[str, str]]:
    """Requests with the id of a session, in all ways in which they may be written: path and query."""
    hexed = "".join(f"%{ord(each):02X}" for each in sid)
    engine = [f"sid={sid}", f"%73id={sid}", f"s%69%64={hexed}", f"%73%69%64={hexed.lower()}", f"SID={sid}", f"t={sid}"]
    found: list[tuple[str, str]] = [("/socket.io/", f"EIO=4&transport=polling&{query}") for query in engine]
    found += [("/socket.io/", query) for query in (f"EIO=4&transport={sid}", f"EIO={sid}", f"EIO=4&j={sid}")]
    found += [("/socket.io/", f"EIO=4&transport=polling&sid={sid}&j={sid}"), ("/elsewhere/", f"sid={sid}")]
    names = ("websocket/", "xhr-polling/", "jsonp-polling/", "nothing/", "", "/")
    found += [(f"/socket.io/1/{name}{each}", "") for name in names for each in (sid, f"{sid}/", f"{sid}/x")]
    return [*found, (f"/elsewhere/1/websocket/{sid}", ""), (f"/1/{sid}", f"disconnect={sid}")]


async def answer_of(app: SocketIOApp, clock: TestClock, **scope: Any) -> Call:
    asked = {
        "type": "http", "method": "GET", "path": "/socket.io/", "query_string": b"", "headers": [(b"host", b"h")],
        "extensions": {"asocketio.clock": clock}, **scope,
    }  # fmt: skip
    call = Call(app, asked)
    call.inbox.put_nowait({"type": "http.request"})
    await until(lambda: len(call.sent) == 2)
    await call.task
    return call


@pytest.mark.parametrize("kept", [True, False], ids=["living", "gone"])
async def test_no_request_has_a_session_id_written_whole(kept: bool, caplog: Log) -> None:
    caplog.set_level(logging.DEBUG, "asocketio")
    app, clock = SocketIOApp(namespaces={"/": Trusting}, cookie="io", pin="cookie"), TestClock()
    for number in range(len(spelled(""))):
        opened = await answer_of(app, clock, query_string=b"EIO=4&transport=polling")
        sid = opened.body.split('"sid":"')[1].split('"')[0]
        if not kept:
            app.server.sockets[sid].close("transport close")
        path, query = spelled(sid)[number]
        await answer_of(app, clock, path=path, query_string=query.encode())
        await answer_of(app, clock, path=path, query_string=query.encode(), method=sid)
        assert sid not in caplog.text
        assert sid not in "".join(str(vars(record)) for record in caplog.records)
    assert len(caplog.records) < 40
    await app.close()


async def test_requests_make_few_short_lines(caplog: Log) -> None:
    caplog.set_level(logging.INFO, "asocketio")
    app, clock = SocketIOApp(namespaces={"/": Trusting}), TestClock()
    text = FORGED.encode()
    requests: list[Callable[[], dict[str, Any]]] = [
        lambda: {"path": "/elsewhere" + LONG, "query_string": b"EIO=4"},
        lambda: {"path": f"/socket.io/1/{LONG}/x"},
        lambda: {"path": f"/socket.io/1/websocket/{LONG}"},
        lambda: {"query_string": b"EIO=4&transport=polling&sid=" + quote(LONG).encode()},
        lambda: {"headers": [(b"origin", text * 100), (b"host", text * 100)]},
        lambda: {"query_string": b"EIO=4&transport=polling&j=0", "headers": [(b"referer", b"http://" + text * 100)]},
        lambda: {"query_string": b"EIO=4&transport=polling", "method": LONG},
    ]
    for request in requests:
        caplog.clear()
        for _ in range(TIMES):
            await answer_of(app, clock, **request())
        assert caplog.records != []
        assert_harmless(caplog, handful=1)
    caplog.clear()
    for number in range(MOST + 20):  # a hundred are told apart, and no more
        await answer_of(app, clock, headers=[(b"origin", b"http://%d" % number), (b"host", b"h")])
    assert_harmless(caplog, handful=MOST + 1)
    await app.close()
