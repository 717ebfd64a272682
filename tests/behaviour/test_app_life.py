"""What belongs to the app and to no client: its lifespan, its jobs, the script that it serves, how it is found."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import asocketio
from asocketio import BaseNamespace, SocketIOApp, UsageError
from asocketio.runtime.worker_lock import WorkerLock
from asocketio.testing import TestClient, settle
from tests.clients.asgi import Call
from tests.support.worlds import Recorder, until

ROOT = Path(asocketio.__file__).parents[1]

# ---- lifespan -----------------------------------------------------------------------------------------------------


class Life:
    """Writes down what happens, in order."""

    def __init__(self, state: Any = None) -> None:
        self.events: list[str] = []
        self.state = state

    @asynccontextmanager
    async def lifespan(self, app: SocketIOApp) -> AsyncIterator[Any]:
        assert isinstance(app, SocketIOApp)
        self.events.append("enter")
        try:
            yield self.state
        finally:
            await asyncio.sleep(0)
            self.events.append("exit")

    async def inner(self, scope: Any, receive: Any, send: Any) -> None:
        """A wrapped application that knows lifespans."""
        for what in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{what}"
            self.events.append(what)
            await send({"type": f"lifespan.{what}.complete"})


class Server:
    """Calls an app as a server does for a lifespan."""

    def __init__(self, app: Any, **scope: Any) -> None:
        self.scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}, **scope}
        self.call = Call(app, self.scope)

    async def tell(self, what: str) -> Any:
        """A message, and all answers to it."""
        known = len(self.call.sent)
        self.call.inbox.put_nowait({"type": f"lifespan.{what}"})
        await until(lambda: len(self.call.sent) > known or self.call.task.done())
        await settle()
        return [message["type"] for message in self.call.sent[known:]]


async def test_a_lifespan_goes_round_that_of_the_wrapped_application() -> None:
    life = Life({"pool": 1})

    class Chat(Recorder):
        async def recv_disconnect(self, reason: str) -> None:
            life.events.append(reason)

    app = SocketIOApp(life.inner, namespaces={"/": Chat}, lifespan=life.lifespan)
    async with TestClient(app) as client:
        await client.connect()
        assert client._context.state == {"pool": 1}
        assert Chat.last.environ["state"] == {"pool": 1}
        assert life.events == ["enter", "startup"]
    assert life.events == ["enter", "startup", "transport close", "shutdown", "exit"]


async def test_the_end_is_told_when_the_lifespan_has_ended() -> None:
    life = Life()
    server = Server(SocketIOApp(life.inner, namespaces={"/": Recorder}, lifespan=life.lifespan))
    assert await server.tell("startup") == ["lifespan.startup.complete"]
    assert await server.tell("shutdown") == ["lifespan.shutdown.complete"]
    assert life.events == ["enter", "startup", "shutdown", "exit"]


@pytest.mark.parametrize("hears", [False, True])
@pytest.mark.parametrize("raises", [False, True])
async def test_a_wrapped_application_may_know_nothing_of_lifespans(hears: bool, raises: bool) -> None:
    async def plain(scope: Any, receive: Any, send: Any) -> None:
        if hears:
            await receive()
        if raises:
            raise AssertionError("http only")

    life = Life()
    server = Server(SocketIOApp(plain, namespaces={"/": Recorder}, lifespan=life.lifespan))
    assert await server.tell("startup") == ["lifespan.startup.complete"]
    assert await server.tell("shutdown") == ["lifespan.shutdown.complete"]
    assert life.events == ["enter", "exit"]


async def test_without_a_lifespan_an_application_that_fails_does_so_as_ever() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("no database")

    server = Server(SocketIOApp(failing, namespaces={"/": Recorder}))
    assert await server.tell("startup") == []
    with pytest.raises(ValueError, match="no database"):
        await server.call.task


@asynccontextmanager
async def fails_first(app: Any) -> AsyncIterator[None]:
    raise ValueError("no database")
    yield


@asynccontextmanager
async def fails_last(app: Any) -> AsyncIterator[None]:
    yield
    raise ValueError("no database")


@asynccontextmanager
async def yields_text(app: Any) -> AsyncIterator[Any]:
    yield "text"


async def no_manager(app: Any) -> None:
    """Not decorated."""


@pytest.mark.parametrize(
    ("lifespan", "started", "error"),
    [
        (fails_first, ["lifespan.startup.failed"], "no database"),
        (fails_last, ["lifespan.startup.complete"], "no database"),
        (yields_text, ["lifespan.startup.failed"], "expected a dict"),
        (no_manager, ["lifespan.startup.failed"], "asynccontextmanager"),
    ],
)
async def test_a_lifespan_that_fails_is_told(lifespan: Any, started: list[str], error: str) -> None:
    server = Server(SocketIOApp(namespaces={"/": Recorder}, lifespan=lifespan))
    assert await server.tell("startup") == started
    if started == ["lifespan.startup.complete"]:
        assert await server.tell("shutdown") == ["lifespan.shutdown.failed"]
    assert error in server.call.sent[-1]["message"]
    with pytest.raises((ValueError, UsageError), match=error):
        await server.call.task


async def test_the_failure_of_the_wrapped_application_is_told_once() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise ValueError("no database")

    life = Life()
    server = Server(SocketIOApp(failing, namespaces={"/": Recorder}, lifespan=life.lifespan))
    assert await server.tell("startup") == ["lifespan.startup.failed"]
    with pytest.raises(ValueError, match="no database"):
        await server.call.task
    assert life.events == ["enter", "exit"]


async def test_a_failure_at_the_end_of_the_wrapped_application_is_told_once() -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "no database"})
        raise ValueError("no database")

    life = Life()
    server = Server(SocketIOApp(failing, namespaces={"/": Recorder}, lifespan=life.lifespan))
    assert await server.tell("startup") == ["lifespan.startup.complete"]
    assert await server.tell("shutdown") == ["lifespan.shutdown.failed"]
    with pytest.raises(ValueError, match="no database"):
        await server.call.task
    assert life.events == ["enter", "exit"]


async def test_state_needs_a_server_that_has_some() -> None:
    server = Server(SocketIOApp(namespaces={"/": Recorder}, lifespan=Life({"pool": 1}).lifespan))
    del server.scope["state"]
    assert await server.tell("startup") == ["lifespan.startup.failed"]
    with pytest.raises(UsageError, match="this server has none"):
        await server.call.task


def test_a_lifespan_is_a_function() -> None:
    with pytest.raises(UsageError, match="lifespan=1"):
        SocketIOApp(namespaces={"/": Recorder}, lifespan=1)  # type: ignore[arg-type]


async def test_a_lifespan_that_nobody_runs_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, lifespan=Life().lifespan)

    async def mount(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)

    for _ in range(2):
        async with TestClient(mount) as client:
            await client.connect()
    assert caplog.text.count("lifespan= was not run") == 1


# ---- jobs of the app ----------------------------------------------------------------------------------------------


async def test_jobs_are_cancelled_when_the_app_closes_and_their_exceptions_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[Any] = []
    heard: list[Any] = []

    async def tick(*args: Any) -> None:
        seen.append(args)
        try:
            await asyncio.sleep(3600)
        finally:
            seen.append("cancelled")

    def plain() -> None:
        raise ValueError("oh")

    @asynccontextmanager
    async def lifespan(app: SocketIOApp) -> AsyncIterator[None]:
        app.spawn(tick, 1, 2)
        yield
        seen.append("left")

    app = SocketIOApp(
        namespaces={"/": Recorder}, lifespan=lifespan, on_exception=lambda error, about: heard.append(repr(error))
    )
    async with TestClient(app) as client:
        await client.connect()
        job = app.spawn(plain)
        await asyncio.wait([job])
        assert (job.exception(), heard) == (None, ["ValueError('oh')"])
        assert app.server.jobs.names == [f"job {tick.__qualname__}"]
    assert seen == [(1, 2), "cancelled", "left"]
    assert "plain raised ValueError('oh')" in caplog.text
    with pytest.raises(UsageError, match="has closed"):
        app.spawn(tick)


async def test_a_job_may_run_before_the_first_socket_and_end_the_app() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    closed = asyncio.Event()

    async def end() -> None:
        await app.close()
        closed.set()

    app.spawn(end)
    await asyncio.wait_for(closed.wait(), 5)


async def test_a_job_that_does_not_end_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, close_grace=0.01)
    go = asyncio.Event()

    async def stubborn() -> None:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                pass

    job = app.spawn(stubborn)
    await settle()
    await app.close()
    assert "these do not end when cancelled: job " in caplog.text
    go.set()
    await job


@pytest.mark.parametrize("what", [1, None, "tick"])
async def test_what_is_no_function_is_no_job(what: Any) -> None:
    with pytest.raises(UsageError, match="spawn takes the function and its arguments"):
        SocketIOApp(namespaces={"/": Recorder}).spawn(what)


async def test_a_coroutine_is_no_job() -> None:
    async def tick() -> None: ...

    with pytest.raises(UsageError, match="spawn takes the function and its arguments"):
        SocketIOApp(namespaces={"/": Recorder}).spawn(tick())  # type: ignore[arg-type]


def test_a_job_needs_a_loop() -> None:
    with pytest.raises(UsageError, match="a running event loop"):
        SocketIOApp(namespaces={"/": Recorder}).spawn(print)


async def test_once_alone_is_at_once() -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    done: list[int] = []
    await app.spawn(done.append, 1, once=True)
    assert done == [1]
    await app.close()


WORKER = """
import asyncio, multiprocessing, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from asocketio import BaseNamespace, SocketIOApp
import asocketio.runtime.worker_lock as locks
locks.PAUSE = 0.01

async def main(folder, number):
    app = SocketIOApp(namespaces={{"/": BaseNamespace}})
    async def job():
        (folder / f"ran {{number}}").touch()
    app.spawn(job, once=True)
    (folder / f"up {{number}}").write_text(str(multiprocessing.current_process().pid))
    while not (folder / f"stop {{number}}").exists():
        await asyncio.sleep(0.01)
    await app.close()

def work(folder, number):
    asyncio.run(main(folder, number))

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    processes = [multiprocessing.get_context("spawn").Process(target=work, args=(folder, n)) for n in range(3)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
"""


async def test_once_is_in_one_worker_and_another_takes_it_over(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(WORKER.format(root=str(ROOT)))
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(program), str(tmp_path), env={**os.environ, "TMPDIR": str(tmp_path)}
    )

    def pid_of(number: int) -> int:
        return int((tmp_path / f"up {number}").read_text())

    def locks() -> list[Path]:
        return list(tmp_path.glob("asocketio-*/*"))

    def ran() -> set[int]:
        return {int(path.name.split()[1]) for path in tmp_path.glob("ran *")}

    try:
        await until(lambda: len(list(tmp_path.glob("up *"))) == 3 and len(ran()) == 1, 30)
        [first] = ran()
        os.kill(pid_of(first), signal.SIGKILL)
        await until(lambda: len(ran()) == 2, 30)
        [second] = ran() - {first}
        (tmp_path / f"stop {second}").touch()
        await until(lambda: len(ran()) == 3, 30)
        [third] = ran() - {first, second}
        (tmp_path / f"stop {third}").touch()
        await asyncio.wait_for(server.wait(), 30)
    finally:
        if server.returncode is None:
            server.kill()
            await server.wait()
    assert locks() == []


def test_a_lock_that_its_owner_removes_meanwhile_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = WorkerLock(tmp_path / "lock")
    lockf = fcntl.lockf

    def removed(file: int, how: int) -> None:
        lockf(file, how)
        lock.path.unlink()

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "lockf", removed)
        assert not lock.try_acquire()
    assert lock.try_acquire()
    lock.release()
    lock.release()
    assert not lock.path.exists()


def test_the_folder_of_locks_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asocketio.runtime import worker_lock

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(worker_lock, "find_supervisor", lambda: os.getpid())
    lock = worker_lock.worker_lock("x")
    assert lock is not None
    folder = lock.path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="remove it"):
        worker_lock.worker_lock("x")
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="remove it"):
        worker_lock.worker_lock("x")


# ---- the client's script ------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("socket.io.js", "socket.io.esm.min.js", "socket.io.js.map", "secret.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


async def get(app: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    fields = [(b"host", b"testserver"), *((k.replace("_", "-").encode(), v.encode()) for k, v in headers.items())]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": fields, "root_path": ""}
    call = Call(app, scope)
    await call.task
    found = {name.decode(): value.decode() for name, value in call.sent[0]["headers"]}
    return call.status, call.content, found


async def test_the_script_is_served(folder: Path) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, client_files=folder, cors_allowed_origins=["http://a.example"])
    for name, kind in (
        ("socket.io.js", "text/javascript"),
        ("socket.io.esm.min.js", "text/javascript"),
        ("socket.io.js.map", "application/json"),
    ):
        status, content, headers = await get(app, f"/socket.io/{name}")
        assert (status, content, headers["content-type"]) == (200, name.encode(), f"{kind}; charset=utf-8")
    tag = headers["etag"]
    status, content, headers = await get(app, "/socket.io/socket.io.js.map", if_none_match=tag)
    assert (status, content, headers["etag"]) == (304, b"", tag)
    assert (await get(app, "/socket.io/socket.io.js", "POST"))[0] == 405
    assert (await get(app, "/socket.io/socket.io.js", "HEAD"))[0] == 200
    for origin, allowed in (("http://a.example", "http://a.example"), ("http://b.example", None)):
        status, _, headers = await get(app, "/socket.io/socket.io.js", origin=origin)
        assert (status, headers.get("access-control-allow-origin")) == (200, allowed)


@pytest.mark.parametrize(
    "name",
    ["secret.txt", "../socket.io.js", "x/socket.io.js", "socket.io.msgpack.min.js", "socket.io.js\n", "socket.io..js",
     "socket.io.js/", "socket.io/../secret.js", "SOCKET.IO.JS"],
)  # fmt: skip
async def test_nothing_else_is(folder: Path, name: str) -> None:
    app = SocketIOApp(namespaces={"/": Recorder}, client_files=str(folder), path="/socket.io/")
    assert (await get(app, f"/socket.io/{name}"))[0] == 404


async def test_without_it_one_line_says_where_the_script_is(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketIOApp(namespaces={"/": Recorder})
    for _ in range(2):
        assert (await get(app, "/socket.io/socket.io.js"))[0] == 404
    assert (
        caplog.text.count("the npm package socket.io-client, or from https://cdn.socket.io, or write client_files=")
        == 1
    )


@pytest.mark.parametrize("files", ["/nowhere", "", 1, ["x"], b"/nowhere"])
def test_a_folder_without_the_script_is_refused_at_start(files: Any) -> None:
    with pytest.raises(UsageError, match="client_files="):
        SocketIOApp(namespaces={"/": Recorder}, client_files=files)


# ---- of() ---------------------------------------------------------------------------------------------------------


async def test_the_app_is_found_from_a_request_and_from_what_it_wraps() -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    found: list[Any] = []

    async def view(request: Request) -> Response:
        found.extend(asocketio.of(each, "/chat") for each in (request, request.scope, dict(request.scope)))
        return Response()

    class DjangoRequest:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        found.append(asocketio.of(DjangoRequest(scope), "/chat"))

    api = Starlette(routes=[Route("/", view)])
    for wrapped, count in ((api, 3), (bare, 1)):
        app = SocketIOApp(wrapped, namespaces={"/chat": Recorder})
        call = Call(app, {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
        await call.task
        assert found == [app.of("/chat")] * count == [asocketio.of(wrapped, "/chat")] * count
        found.clear()


@pytest.mark.parametrize("what", [{}, {"asocketio": 1}, {"type": "http"}, type("R", (), {"scope": {}})()])
def test_a_request_that_passed_through_no_app(what: Any) -> None:
    with pytest.raises(UsageError, match="passed through no SocketIOApp"):
        asocketio.of(what, "/")


@pytest.mark.parametrize("what", [None, 1, "app", BaseNamespace, object(), []])
def test_what_is_no_app(what: Any) -> None:
    with pytest.raises(UsageError, match="no SocketIOApp wraps"):
        asocketio.of(what, "/")


def test_nothing_is_left_of_an_app(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    import weakref

    app = SocketIOApp(namespaces={"/": Recorder}, lifespan=Life().lifespan)
    namespace = app.of("/")
    namespace.on_room("joined")(lambda room, sid: None)
    namespace.on_server_event("x")(lambda: None)
    gone = weakref.ref(app)
    del app, namespace
    gc.collect()
    assert gone() is None
