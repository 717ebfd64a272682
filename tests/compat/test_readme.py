"""Every program of the README runs, in the order of reading."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Mount

from asocketio import Config, ConnectionRefused, SocketIOApp, socketio_accept, socketio_manage
from asocketio.testing import ClientRefused, TestClient
from examples import auth_fastapi
from tests.conftest import StartServer
from tests.support.pages import python_blocks
from tests.support.worlds import Recorder, Way, until

README = Path(__file__).resolve().parents[2] / "README.md"


def programs() -> dict[str, list[str]]:
    """The Python blocks under each heading."""
    found: dict[str, list[str]] = {}
    for section in README.read_text().split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        found[heading] = python_blocks(text)
    return {heading: blocks for heading, blocks in found.items() if blocks}


PROGRAMS = programs()


def run(heading: str, index: int = 0, **names: Any) -> dict[str, Any]:
    """What a block defines."""
    world: dict[str, Any] = {"__name__": "readme", **names}
    exec(compile(PROGRAMS[heading][index], f"README: {heading}", "exec"), world)
    return world


def test_each_block_has_its_test() -> None:
    source = Path(__file__).read_text()
    missing = [heading for heading in PROGRAMS if f'"{heading}"' not in source]
    assert missing == []
    assert {heading: len(blocks) for heading, blocks in PROGRAMS.items() if len(blocks) > 1} == {
        "The smallest program": 3,
        "Let the framework guard the door": 3,
        "Rooms and broadcasts": 2,
    }


ARGUMENTS = {"path", "parser", "parsers"}
"""Settings that are arguments of `SocketIOApp` of their own, not fields of `Config`."""


def test_the_settings_have_the_defaults_that_they_say() -> None:
    table = README.read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE)
    said: dict[str, Any] = {"path": None}
    for names, defaults in rows:
        values = ast.literal_eval(f"[{re.sub('(?<=[0-9]) (?=[0-9])', '', defaults).replace('`', '')}]")
        found = re.findall(r"`(\w+)`", names)
        said |= dict(zip(found, values if len(found) == len(values) else [tuple(values)], strict=True))
    fields = {field.name: field.default for field in dataclasses.fields(Config)}
    wrong = {name: value for name, value in said.items() if name not in ARGUMENTS and fields.get(name) != value}
    assert (wrong, set(fields) - set(said)) == ({}, set())


async def test_the_smallest_program() -> None:
    async with TestClient(run("The smallest program")["app"]) as client:
        echo = await client.connect()
        assert await echo.call("echo", "hello") == "thanks"
        assert await echo.receive() == ("heard", "hello")


def echo_with_its_page(folder: Path) -> None:
    """The files as README says to save them."""
    program, _, pages = PROGRAMS["The smallest program"]
    (folder / "app.py").write_text(program.rpartition("\napp =")[0] + "\n" + pages)
    (folder / "static").mkdir()
    (folder / "static" / "index.html").write_text(re.findall(r"```html\n(.*?)```", README.read_text(), re.DOTALL)[0])


@pytest.mark.parametrize("server", ["asocketio", "uvicorn-httptools-websockets-sansio"])
async def test_the_client_in_python(
    server: str, start_server: StartServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    echo_with_its_page(tmp_path)
    await run("The smallest program", 1)["main"](start_server("app:app", server, cwd=tmp_path).url)
    assert capsys.readouterr().out == "thanks\n['heard', 'hello']\n"


def test_nothing_is_installed_from_where_it_is_not_yet() -> None:
    """``pip install asocketio`` is said once the version is out."""
    texts = [README, *README.parent.glob("docs/*.md"), *README.parent.glob("examples/*.md")]
    released = "(unreleased)" not in (README.parent / "CHANGELOG.md").read_text()
    said = [text.name for text in texts if re.search(r"pip install (-\S+ )*'?asocketio", text.read_text())]
    assert said == [] or released


async def test_fastapi_guards_the_door() -> None:
    api = run("Let the framework guard the door", 0)["api"]
    async with TestClient(api) as stranger:
        with pytest.raises(ClientRefused, match="401"):
            await stranger.connect("/chat")
    async with TestClient(api, headers={"cookie": "session=sesame"}) as client:
        assert await (await client.connect("/chat")).call("whoami") == "ada"


async def test_django_decides() -> None:
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="secret", ROOT_URLCONF=__name__, MIDDLEWARE=[], DEBUG=True)
        django.setup()
    from django.contrib.sessions.backends.signed_cookies import SessionStore
    from django.test import override_settings

    with override_settings(
        ALLOWED_HOSTS=["*"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    ):
        world = run("Let the framework guard the door", 1)
        session = SessionStore()
        session["name"] = "ada"
        session.save()
        with override_settings(ROOT_URLCONF=tuple(world["urlpatterns"])):
            async with TestClient(world["application"]) as stranger:
                with pytest.raises(ClientRefused, match="403"):
                    await stranger.connect("/chat")
                await until(lambda: not world["application"].server.active_sessions)
            headers = {"cookie": f"sessionid={session.session_key}"}
            async with TestClient(world["application"], headers=headers) as client:
                assert await (await client.connect("/chat")).call("whoami") == "ada"


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io"])
async def test_mounted(path: str, way: Way) -> None:
    async with TestClient(run("Let the framework guard the door", 2)["app"], path=path, **way) as client:
        assert await (await client.connect("/chat")).call("echo", 1) == 1


@pytest.mark.parametrize("path", ["/live/socket.io/", "/live/socket.io"])
async def test_mounted_below_a_path(path: str, way: Way) -> None:
    app = run("Let the framework guard the door", 2)["app"]
    async with TestClient(Starlette(routes=[Mount("/live", app)]), path=path, **way) as client:
        assert await (await client.connect("/chat")).call("echo", 1) == 1


async def test_a_mount_of_the_path_itself_has_no_slashless_one(transport: Any) -> None:
    mount = run("Let the framework guard the door", 2)["app"].routes[0]
    app = Starlette(routes=[Mount("/socket.io", mount.app)])
    async with TestClient(app, transport=transport) as client:
        assert await (await client.connect("/chat")).call("echo", 1) == 1
    async with TestClient(app, path="/socket.io", transport=transport) as client:
        with pytest.raises(ClientRefused, match=r"307|403|404"):
            await client.connect("/chat")


@pytest.mark.parametrize("guard", [False, True], ids=["stays", "decides"])
@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io"])
async def test_a_view_is_found_without_the_slash(path: str, guard: bool, way: Way) -> None:
    api = FastAPI()

    @api.get("/socket.io/{_:path}", include_in_schema=False)
    async def view(request: Request) -> None:
        if guard:
            socketio_accept(request.scope, request=request)
        else:
            await socketio_manage(request.scope, {"/": Recorder}, request=request)

    view.__annotations__["request"] = Request
    app = SocketIOApp(api, namespaces={"/": Recorder}, guard=True) if guard else SocketIOApp(api)
    async with TestClient(app, path=path, **way) as client:
        assert await (await client.connect()).call("echo", 1) == 1


def test_the_route_of_the_sockets_is_in_no_schema() -> None:
    """It is no operation of the API, and clients that are made of the schema have no use for it."""
    for api in (run("Let the framework guard the door", 0)["api"], auth_fastapi.api):
        assert "socket.io" not in json.dumps(api.openapi())


async def test_refuse_a_client() -> None:
    async with TestClient(run("Refuse a client, or tell who it is")["app"]) as client:
        with pytest.raises(ConnectionRefused, match="who are you"):
            await client.connect("/members")
        member = await client.connect("/members", auth={"password": "sesame", "name": "ada"})
        assert await member.call("whoami") == "ada"


async def test_events() -> None:
    async with TestClient(run("Events")["app"]) as client:
        files = await client.connect()
        assert await files.call("user message", "hi") is None
        assert await files.call("file:chunk", b"123") == 3
        assert await files.call("else", 1) == ("unknown", "else")


async def test_ask_a_client() -> None:
    async with TestClient(run("Ask a client")["app"]) as client:
        asking = await client.connect(on={"add": lambda *numbers: sum(numbers)})
        assert await asking.call("sum", 1, 2, 3) == 6
        await asking.emit("later")
        assert await asking.receive() == ("got", 3)


async def test_rooms_and_broadcasts() -> None:
    world = run("Rooms and broadcasts", 0)
    app = world["app"]
    later = run("Rooms and broadcasts", 1, app=app)
    async with TestClient(app) as one, TestClient(app) as two:
        ada = await one.connect(on={"ready?": lambda: "yes"})
        bob = await two.connect()
        assert await ada.call("join", "red") == []
        assert await ada.receive() == ("news", "to everybody, me included")
        assert [await bob.receive(), await bob.receive()] == [
            ("news", "to everybody, me included"), ("news", "to everybody else"),
        ]  # fmt: skip
        assert await bob.call("join", "red") == ["yes"]
        received = [await ada.receive() for _ in range(5)]
        assert received == [
            ("joined", bob.sid), ("news", "to everybody, me included"), ("news", "to everybody else"),
            ("colours",), ("cursor", 1, 2),
        ]  # fmt: skip

        class Request:
            scope: ClassVar = {"asocketio": app}

        await later["announce"](Request)
        assert await ada.receive() == ("news", "from a request")
        await later["later"]()
        assert await ada.receive() == ("news", "by whoever holds the app")


async def test_jobs() -> None:
    async with TestClient(run("Jobs, and the end of a client")["app"]) as client:
        ticker = await client.connect()
        await ticker.emit("start", 0.001)
        assert [await ticker.receive(), await ticker.receive()] == [("tick",), ("tick",)]
        await ticker.emit("leave")
        assert await ticker.disconnected() == "io server disconnect"


async def test_allow_methods_and_test_without_a_server() -> None:
    app = run("Allow methods one by one")["app"]
    await run("Test without a server", app=app)["test_kick"]()


async def test_serve_old_clients_too() -> None:
    app = run("Serve old clients too")["app"]
    async with (
        TestClient(app, generation="0.9", transport="polling") as oldest,
        TestClient(app, generation=3) as old,
        TestClient(app) as new,
    ):
        here = [await client.connect("/", {"name": "ada"}) for client in (oldest, old, new)]
        for speaker in here:
            await speaker.send("é😀")
            for other in here:
                if other is not speaker:
                    assert await other.receive() == ("said", "ada", "é😀")


def test_the_settings_are_the_config() -> None:
    from dataclasses import fields

    from asocketio import Config

    table = README.read_text().split("## Settings")[1].split("## Run it")[0]
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))
    assert named - ARGUMENTS == {field.name for field in fields(Config)}
