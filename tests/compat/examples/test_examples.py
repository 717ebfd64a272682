"""What the examples' servers do, without a server process and without a page (those are in ``test_pages``).

The Django example is not here: its settings would hold for every other test of this process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from asocketio import ConnectionRefused
from asocketio.testing import ClientNamespace, ClientRefused, TestClient
from examples import ack, auth_fastapi, echo
from examples.chat import app as chat
from examples.live_cpu import app as live_cpu
from examples.live_cpu import meter
from examples.observability import app as observability
from examples.observability.lines import JsonLines
from tests.support.worlds import until

Transport = Literal["websocket", "polling"]
TRANSPORTS: tuple[Transport, ...] = ("websocket", "polling")


def web(app: Any) -> httpx.AsyncClient:
    """What a browser or curl gets from ``app``."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://testserver")


async def hear(client: ClientNamespace, event: str) -> tuple[Any, ...]:
    """The arguments of the next ``event``; what comes before it is dropped."""
    while True:
        name, *args = await client.receive()
        if name == event:
            return tuple(args)


async def settled(client: ClientNamespace) -> None:
    """Drop what has come so far. A client's events are handled in order: after this answer, all of it has."""
    await client.call("say", None)
    client.pending.clear()


# --- echo -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_echo_answers_and_emits_what_it_got(transport: Transport) -> None:
    async with TestClient(echo.app, transport=transport) as client:
        anyone = await client.connect()
        assert await anyone.call("any event", 1, b"raw", {"a": []}) == (1, b"raw", {"a": []})
        assert await anyone.receive() == ("any event", 1, b"raw", {"a": []})
        await anyone.send("a message")
        assert await anyone.receive() == ("message", "a message")


async def test_echo_serves_its_page() -> None:
    async with web(echo.app) as browser:
        answer = await browser.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.content == echo.PAGE


# --- chat -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def chatting(*nicknames: str, room: str = "lobby") -> AsyncIterator[list[ClientNamespace]]:
    """One client for each nickname, all in ``room``, with nothing left to receive."""
    async with AsyncExitStack() as stack:
        clients: list[ClientNamespace] = []
        for nickname in nicknames:
            opened = await stack.enter_async_context(TestClient(chat.app))
            clients.append(await opened.connect(auth={"nickname": nickname}))
        for client in clients:
            await client.call("join", room)
        for client in clients:
            await settled(client)
        yield clients
    assert chat.online == {}
    chat.history.clear()


@pytest.mark.parametrize(
    ("auth", "message", "code"),
    [
        (None, "Choose a nickname.", "empty"),
        ({}, "Choose a nickname.", "empty"),
        ({"nickname": 7}, "Choose a nickname.", "empty"),
        ({"nickname": " \n "}, "Choose a nickname.", "empty"),
        ({"nickname": "x" * 21}, "At most 20 characters, please.", "long"),
        ({"nickname": "ada\u202e"}, "Use characters that can be seen.", "unprintable"),
        ({"nickname": "  ADA "}, "That nickname is taken.", "taken"),
    ],
)
async def test_chat_refuses_a_nickname(auth: Any, message: str, code: str) -> None:
    async with chatting("ada"), TestClient(chat.app) as client:
        with pytest.raises(ConnectionRefused) as refused:
            await client.connect(auth=auth)
        assert (refused.value.message, refused.value.data) == (message, {"code": code})


async def test_chat_tells_a_room_who_comes_and_who_goes() -> None:
    async with chatting("ada") as [ada]:
        async with TestClient(chat.app) as client:
            grace = await client.connect(auth={"nickname": "  Grace   Hopper "})
            answer = await grace.call("join", "lobby")
            assert answer == {"room": "lobby", "members": ["ada", "Grace Hopper"], "history": []}
            assert await ada.receive() == ("joined", "Grace Hopper", ["ada", "Grace Hopper"])
            assert await ada.receive() == ("rooms", {"lobby": 2, "garden": 0, "workshop": 0})

            await grace.call("join", "attic")
            assert await ada.receive() == ("left", "Grace Hopper", ["ada"])
            assert await ada.receive() == ("rooms", {"lobby": 1, "garden": 0, "workshop": 0, "attic": 1})
        assert await ada.receive() == ("rooms", {"lobby": 1, "garden": 0, "workshop": 0})


async def test_chat_passes_a_message_to_the_others_in_the_room_and_acknowledges_it() -> None:
    async with chatting("ada", "grace", "alan") as clients:
        ada, grace, alan = clients
        await alan.call("join", "garden")
        for client in clients:
            await settled(client)
        answer = await ada.call("say", " hello\n")
        assert await grace.receive() == ("said", {"nickname": "ada", "text": "hello", "at": answer["at"]})
        await ada.nothing()
        await alan.nothing()


@pytest.mark.parametrize("text", ["", "  \n", "x" * 1001, 7, None, ["hello"], {"text": "hello"}, b"hello"])
async def test_chat_passes_on_nothing_but_text_of_a_sane_length(text: Any) -> None:
    async with chatting("ada", "grace") as [ada, grace]:
        assert await ada.call("say", text) == {"error": "A message has 1 to 1000 characters."}
        await grace.nothing()
        assert not chat.history["lobby"]


async def test_chat_wants_a_room_before_a_message() -> None:
    async with TestClient(chat.app) as client:
        ada = await client.connect(auth={"nickname": "ada"})
        assert await ada.call("say", "hello") == {"error": "Join a room first."}
        await ada.emit("typing", True)


@pytest.mark.parametrize("room", ["", "Lobby", "a room", "-", "x" * 25, "lobby\n", 1, None, ["lobby"]])
async def test_chat_refuses_a_rooms_name_and_leaves_one_where_one_is(room: Any) -> None:
    async with chatting("ada", "grace") as [ada, grace]:
        assert await ada.call("join", room) == {"error": "A room's name has 1 to 24 of a-z, 0-9 and the hyphen."}
        await ada.call("say", "still here")
        assert (await hear(grace, "said"))[0]["text"] == "still here"


async def test_chat_remembers_the_last_fifty_messages_of_a_room() -> None:
    async with chatting("ada") as [ada]:
        for number in range(53):
            await ada.call("say", f"message {number}")
        await ada.call("join", "garden")
        answer = await ada.call("join", "lobby")
        assert [message["text"] for message in answer["history"]] == [f"message {n}" for n in range(3, 53)]


async def test_chat_forgets_a_room_that_was_opened_by_its_guests_and_is_empty() -> None:
    async with chatting("ada", room="attic") as [ada]:
        await ada.call("say", "dusty")
        assert (await ada.call("join", "lobby"))["history"] == []
        assert "attic" not in chat.history
        assert (await ada.call("join", "attic"))["history"] == []


async def test_chat_shows_the_others_who_is_typing() -> None:
    async with chatting("ada", "grace") as [ada, grace]:
        for typing in (True, "yes", False):
            await ada.emit("typing", typing)
        assert await grace.receive() == ("typing", "ada", True)
        assert await grace.receive() == ("typing", "ada", False)
        await ada.nothing()


async def test_chat_frees_the_nickname_of_a_client_that_fell_silent() -> None:
    async with chatting("ada", "grace") as [ada, grace]:
        ada.client.answers_pings = False
        await ada.client.advance(10.0 + 5.0)
        assert await hear(grace, "left") == ("ada", ["grace"])
        async with TestClient(chat.app) as client:
            await client.connect(auth={"nickname": "ada"})


async def test_chat_serves_its_page() -> None:
    async with web(chat.app) as browser:
        answers = [await browser.get(path) for path in ("/", "/chat.js", "/chat.css", "/app.py")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]


# --- auth_fastapi -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guess"}])
async def test_auth_refuses_the_handshake_with_the_dependencys_401(
    transport: Transport, headers: dict[str, str]
) -> None:
    async with TestClient(auth_fastapi.app, transport=transport, headers=headers) as client:
        with pytest.raises(ClientRefused) as refused:
            await client.connect()
    assert (refused.value.status, refused.value.body) == (401, b'{"detail":"Who are you?"}')
    assert refused.value.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_auth_knows_the_user_by_header_and_by_cookie(transport: Transport) -> None:
    bearer = {"Authorization": "Bearer sesame"}
    async with TestClient(auth_fastapi.app, transport=transport, headers=bearer) as client:
        assert await (await client.connect()).call("whoami") == "ada"
    cookie = {"cookie": "token=abracadabra"}
    async with TestClient(auth_fastapi.app, transport=transport, headers=cookie) as client:
        assert await (await client.connect()).call("whoami") == "grace"


async def test_auth_announces_to_the_sockets_from_a_view() -> None:
    ada_s, grace_s = {"cookie": "token=sesame"}, {"cookie": "token=abracadabra"}
    async with TestClient(auth_fastapi.app, headers=ada_s) as client, web(auth_fastapi.app) as browser:
        ada = await client.connect()
        assert (await browser.post("/announce", params={"text": "Lunch"})).status_code == 401
        answer = await browser.post("/announce", params={"text": "Lunch"}, headers=grace_s)
        assert answer.status_code == 204
        assert await ada.receive() == ("announcement", "grace: Lunch")
        await ada.nothing()


# --- ack --------------------------------------------------------------------------------------------------------------


async def test_ack_answers_what_a_client_asks() -> None:
    async with TestClient(ack.app) as client:
        player = await client.connect()
        assert await player.call("greet", "Ada") == "Hello, Ada!"
        assert await player.call("divide", 17, 5) == (3, 2)


async def test_ack_of_a_handler_that_raised_carries_an_error() -> None:
    async with TestClient(ack.app) as client:
        player = await client.connect()
        assert (await player.call("divide", 1, 0))["error"]["name"] == "handler_error"
        assert (await player.call("divide", 1))["error"]["name"] == "invalid_arguments"


@pytest.mark.parametrize(("answer", "verdict"), [(42, "Right!"), (41, "No, it is 42."), ("42", "No, it is 42.")])
async def test_ack_judges_what_the_client_answers(answer: Any, verdict: str) -> None:
    async with TestClient(ack.app) as client:
        player = await client.connect()
        player.on("question", lambda question: answer)
        assert await player.call("quiz") == verdict


async def test_ack_goes_on_when_the_client_does_not_answer_in_time() -> None:
    async with TestClient(ack.app) as client:
        player = await client.connect()
        verdict = asyncio.create_task(player.call("quiz"))
        assert await player.receive() == ("question", "What is 6 × 7?")
        await client.advance(ack.THINKING_TIME)
        assert await verdict == "Time is up: it is 42."


async def test_ack_calls_back_when_the_client_has_answered() -> None:
    async with TestClient(ack.app) as client:
        player = await client.connect()
        player.on("ring", lambda: "Hello?")
        await player.emit("ring")
        assert await player.receive() == ("heard", "Hello?")


async def test_ack_serves_its_page() -> None:
    async with web(ack.app) as browser:
        assert "<title>Acknowledgements</title>" in (await browser.get("/")).text


# --- live_cpu ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_live_cpu_feeds_each_client_until_it_leaves(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_cpu.Cpu, "interval", 0.01)
    async with TestClient(live_cpu.app, transport=transport) as client:
        screen = await client.connect("/cpu")
        readings = [(await hear(screen, "reading"))[0] for _ in range(3)]
    assert [reading["at"] for reading in readings] == sorted(reading["at"] for reading in readings)
    assert all(reading["cores"] and 0 <= min(reading["cores"]) <= max(reading["cores"]) <= 100 for reading in readings)
    assert [task for task in asyncio.all_tasks() if "feed" in task.get_name()] == []


async def test_live_cpu_keeps_the_pace_within_bounds() -> None:
    async with TestClient(live_cpu.app) as client:
        screen = await client.connect("/cpu")
        wishes = [2, 0, -1, 99, 10**400, "fast", None, [1]]
        assert [await screen.call("interval", wish) for wish in wishes] == [2.0, 0.2, 0.2, 10.0, 10.0, 10.0, 10.0, 10.0]


async def test_live_cpu_serves_its_page() -> None:
    async with web(live_cpu.app) as browser:
        answers = [await browser.get(path) for path in ("/", "/cpu.js", "/cpu.css", "/app.py")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404]


def test_the_meter_reads_proc_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "STAT", tmp_path / "stat")
    meter.STAT.write_text(
        "cpu  30 0 0 170 0 0 0 0 0 0\ncpu0 10 0 0 90 0 0 0 0 0 0\ncpu1 20 0 0 80 0 0 0 0 0 0\nintr 1\n"
    )
    cpu = meter.CpuMeter()
    # The first: 30 ticks of work, 60 idle, 10 waiting for a disk. The second: nothing but idle.
    meter.STAT.write_text("cpu  60 0 0 330 10 0 0 0 0 0\ncpu0 30 5 5 150 10 0 0 0 0 0\ncpu1 20 0 0 180 0 0 0 0 0 0\n")
    assert cpu.read() == [30.0, 0.0]
    assert cpu.read() == [0.0, 0.0]  # no tick has passed


def test_the_meter_measures_its_own_process_where_there_is_no_proc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "STAT", tmp_path / "nothing")
    [load] = meter.CpuMeter().read()
    assert 0.0 <= load <= 100.0


# --- observability ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_observability_counts_what_happens(transport: Transport) -> None:
    before = observability.raised["fail"]
    async with TestClient(observability.app, transport=transport) as client, web(observability.app) as browser:
        ada = await client.connect()
        assert [await ada.call("say", text) for text in ("Hello", "", 5)] == [True, False, False]
        assert await ada.receive() == ("said", "Hello")
        assert (await ada.call("fail"))["error"]["name"] == "handler_error"
        answer = await browser.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert f'\nsocketio_sockets{{generation="4",transport="{transport}"}} 1.0\n' in answer.text
    assert '\nsocketio_handler_seconds_count{event="say",namespace="/"} ' in answer.text
    assert observability.raised["fail"] == before + 1


async def waits_counted(browser: httpx.AsyncClient) -> dict[str, float]:
    """Handlers of ``wait`` by the seconds that they took at most; in other tests of this process too."""
    lines = re.findall(
        r'_seconds_bucket\{event="wait",le="([^"]+)",namespace="/"\} (\S+)\n', (await browser.get("/metrics")).text
    )
    return defaultdict(float, {bound: float(count) for bound, count in lines})


async def test_observability_waits_in_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observability, "WAIT", 0.06)
    async with TestClient(observability.app) as client, web(observability.app) as browser:
        ada = await client.connect()
        before = await waits_counted(browser)
        waiting = asyncio.create_task(ada.call("wait"))
        await until(lambda: observability.registry.get_sample_value("socketio_running_handlers") == 1)
        assert await waiting is None
        after = await waits_counted(browser)
    assert [after[bound] - before[bound] for bound in ("0.05", "30.0")] == [0, 1]


async def test_observability_serves_its_page() -> None:
    async with web(observability.app) as browser:
        assert "<title>Observability</title>" in (await browser.get("/")).text


async def test_observability_logs_lines_of_json(caplog: pytest.LogCaptureFixture) -> None:
    async with TestClient(observability.app) as client:
        ada = await client.connect()
        await ada.call("fail")
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    line = json.loads(JsonLines().format(record))
    assert (line["sid"], line["namespace"], line["event"]) == (ada.sid, "/", "fail")
    assert line["exception"].endswith("RuntimeError: on purpose")
    assert ada.sid in line["message"]
    plain = logging.makeLogRecord({"name": "asocketio", "levelname": "INFO", "msg": "hello"})
    assert json.loads(JsonLines().format(plain)) == {"level": "INFO", "logger": "asocketio", "message": "hello"}


def test_observability_has_a_configuration_that_the_standard_library_understands() -> None:
    path = Path(observability.__file__).with_name("logging.json")
    configuration = logging.config.DictConfigurator(json.loads(path.read_text()))
    handlers = configuration.config["handlers"]
    assert handlers["all"]["formatter"] in configuration.config["formatters"]
    formatter = configuration.resolve(configuration.config["formatters"]["json"]["()"])
    assert formatter is JsonLines
