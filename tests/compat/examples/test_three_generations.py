"""Clients of 0.9, 2.x and 4.x in one room: in memory, and as the scripts that browsers load, in Chromium.

The page takes the scripts from a CDN; here the npm packages stand in for it. JSONP is real only in a browser: a script
that runs, a form that turns newlines into pairs, an iframe that loads.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Route, expect

from asocketio import ConnectionRefused
from asocketio.testing import ClientRefused, TestClient
from examples.three_generations.app import MAX_TEXT, Family, app
from tests.compat.examples.conftest import WITHIN
from tests.conftest import StartServer
from tests.support.servers import Server

Generation = Literal["0.9", 3, 4]
ClientTransport = Literal["websocket", "polling", "jsonp"]

GENERATIONS: tuple[Generation, ...] = ("0.9", 3, 4)
CLIENT_TRANSPORTS: tuple[ClientTransport, ...] = ("websocket", "polling", "jsonp")
PAGE = Path(__file__).resolve().parents[3] / "examples" / "three_generations" / "index.html"
SCRIPTS = {  # what the page asks the CDN for -> where the packages of the tests have it
    "socket.io-client@0.9.17/dist/socket.io.min.js": "socket.io-client-0.9.17/dist/socket.io.min.js",
    "socket.io-client@2.5.0/dist/socket.io.js": "socket.io-client-2.5.0/dist/socket.io.js",
    "socket.io-client@4.8.4/dist/socket.io.min.js": "socket.io-client-4/dist/socket.io.min.js",
}
TRANSPORTS: dict[str, dict[ClientTransport, str]] = {  # what each client calls them; 4.x knows no JSONP
    "0.9.17": {"websocket": "websocket", "polling": "xhr-polling", "jsonp": "jsonp-polling"},
    "2.5.0": {"websocket": "websocket", "polling": "polling", "jsonp": "jsonp-polling"},
    "4.8.4": {"websocket": "websocket", "polling": "polling", "jsonp": "polling"},
}
TEXTS = [
    "é😀",
    "a line\u2028and\u2029another",
    "\\n is no newline",
    "but\nthis\n\nis",
    "\\\n \\\\n \\\\\n \\",
    "'single' \"double\" `back`",
    "</script><script>alert(1)</script><!-- &amp;",
    "%41+%2B&d=1;=?#",
    "5:::{} \ufffd3\ufffd4:: 42[] \x1e \x00 \ufeff",
    "👩‍👩‍👧‍👦 𝄞 漢字",
]

# --- in memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", CLIENT_TRANSPORTS)
async def test_every_generation_hears_every_other(transport: ClientTransport) -> None:
    async with AsyncExitStack() as stack:
        clients = {}
        for generation in GENERATIONS:
            carrier = "polling" if transport == "jsonp" and generation == 4 else transport
            opened = await stack.enter_async_context(TestClient(app, generation=generation, transport=carrier))
            clients[generation] = await opened.connect(auth={"client": f"client of {generation}"})
        for speaker, client in clients.items():
            for text in TEXTS:
                assert await client.call("say", text) == {}
            for listener, other in clients.items():
                if other is not client:
                    heard = [await other.receive() for _ in TEXTS]
                    assert heard == [("said", f"client of {speaker}", text) for text in TEXTS], listener
            await client.nothing()


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("auth", [{}, {"client": ""}, {"client": "x" * 41}])
async def test_a_client_that_does_not_say_which_it_is_is_refused(generation: Generation, auth: dict[str, str]) -> None:
    async with TestClient(app, generation=generation) as client:
        with pytest.raises((ConnectionRefused, ClientRefused), match="Say which client you are"):  # 0.9 is, by a 403
            await client.connect(auth=auth)


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_a_message_is_text_of_a_sane_length(generation: Generation) -> None:
    async with TestClient(app, generation=generation) as client, TestClient(app) as other:
        speaker = await client.connect(auth={"client": "speaker"})
        listener = await other.connect(auth={"client": "listener"})
        texts: list[Any] = ["", "x" * (MAX_TEXT + 1), 7, None, ["hello"], {"text": "hello"}]
        for text in texts:
            assert await speaker.call("say", text) == {"error": f"A message has 1 to {MAX_TEXT} characters."}
        await listener.nothing()


# --- in Chromium -----------------------------------------------------------------------------------------------------


class OpenPage(Protocol):
    """Opens an address as somebody new would. What a page throws or complains about fails the test.

    ``forgive`` is a pattern of throttled_log that do not.
    """

    def __call__(self, url: str, *, forgive: str = ...) -> Page: ...


@pytest.fixture
def open_page(browser: Browser, node_modules: Path) -> Iterator[OpenPage]:
    throttled_log: list[str] = []

    def serve_script(route: Route) -> None:
        name = route.request.url.removeprefix("https://cdn.jsdelivr.net/npm/")
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(path=node_modules / SCRIPTS[name], content_type="text/javascript", headers=headers)

    def listener(forgive: str) -> Callable[[ConsoleMessage], None]:
        def listen(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and not re.match(forgive, message.text):
                throttled_log.append(f"{message.text} ({message.location['url']})")

        return listen

    def open_page(url: str, *, forgive: str = "(?!)") -> Page:
        context = browser.new_context()
        context.set_default_timeout(WITHIN)
        context.route("https://cdn.jsdelivr.net/**", serve_script)
        page = context.new_page()
        page.on("pageerror", lambda error: throttled_log.append(str(error)))
        page.on("console", listener(forgive))
        page.goto(url)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert throttled_log == []


@pytest.fixture(scope="module")
def served(start_module_server: StartServer) -> Server:
    return start_module_server("examples.three_generations.app:app", "asocketio")


@pytest.fixture
def server(served: Server) -> Iterator[Server]:
    """What it logs must be that it served."""
    before = len(served.log())
    yield served
    assert complaints_in(served.log()[before:]) == []


def complaints_in(log: str) -> list[str]:
    """The lines that are no news of uvicorn's, and the requests that were not served."""
    return [line for line in log.splitlines() if not line.startswith("INFO:") or re.search(r'HTTP/1.1" [45]\d\d', line)]


def address(server: Server, transport: ClientTransport) -> str:
    return server.url + ("/" if transport == "websocket" else f"/?transport={transport}")


def panels(page: Page, transport: ClientTransport) -> dict[str, Locator]:
    """By the client's version, once all of them are in the room."""
    found = {version: page.get_by_role("region", name=version, exact=True) for version in TRANSPORTS}
    for version, panel in found.items():
        status = f"socket.io-client {version}: {TRANSPORTS[version][transport]}"
        expect(panel.get_by_role("status")).to_have_text(status)
    return found


def say_at_once(panel: Locator, texts: list[str]) -> None:
    """Before the client could send the first of them."""
    panel.evaluate(
        """(panel, texts) => {
            const form = panel.querySelector("form");
            for (const text of texts) {
                form.elements[0].value = text;
                form.requestSubmit();
            }
        }""",
        texts,
    )


def by_all(found: dict[str, Locator], reader: str, texts: list[str]) -> dict[str, list[str]]:
    """``texts``, said by everybody, as the panel of ``reader`` shows them."""
    return {"me" if version == reader else version: texts for version in found}


def log_of(panel: Locator, *, lines: int) -> dict[str, list[str]]:
    """What each has said, in order."""
    expect(panel.get_by_role("listitem")).to_have_count(lines)
    said: dict[str, list[str]] = {}
    for who, text in zip(*(panel.locator(f".{name}").all_text_contents() for name in ("who", "text")), strict=True):
        said.setdefault(who, []).append(text)
    return said


@pytest.mark.parametrize("transport", CLIENT_TRANSPORTS)
def test_what_one_says_appears_in_all_panels(open_page: OpenPage, server: Server, transport: ClientTransport) -> None:
    found = panels(open_page(address(server, transport)), transport)
    lines = 0
    for text in TEXTS[:4]:
        for version, panel in found.items():
            panel.get_by_label("Message").fill(text)
            panel.get_by_role("button", name="Send").click()
            expect(panel.locator(".tick").last).to_have_text("✓ delivered")
            lines += 1
            for reader, other in found.items():
                expect(other.get_by_role("listitem")).to_have_count(lines)
                who = "me" if reader == version else version
                assert other.locator(".who").all_text_contents()[-1] == who
                assert other.locator(".text").all_text_contents()[-1] == text


@pytest.mark.parametrize("transport", CLIENT_TRANSPORTS)
def test_all_talk_at_once(open_page: OpenPage, server: Server, transport: ClientTransport) -> None:
    found = panels(open_page(address(server, transport)), transport)
    rounds = 3
    for _ in range(rounds):
        for panel in found.values():
            say_at_once(panel, TEXTS)
    for version, panel in found.items():
        said = log_of(panel, lines=len(found) * rounds * len(TEXTS))
        assert said == by_all(found, version, TEXTS * rounds)
        expect(panel.locator(".mine .tick", has_text="✓ delivered")).to_have_count(rounds * len(TEXTS))


@pytest.mark.parametrize("transport", CLIENT_TRANSPORTS)
def test_a_long_message_arrives_whole(open_page: OpenPage, server: Server, transport: ClientTransport) -> None:
    found = panels(open_page(address(server, transport)), transport)
    text = ("é😀\u2028\\n\n\"'</" * 125)[:900]
    for panel in found.values():
        say_at_once(panel, [text])
    for version, panel in found.items():
        assert log_of(panel, lines=3) == by_all(found, version, [text])


def test_a_message_that_is_refused_is_not_called_delivered(open_page: OpenPage, server: Server) -> None:
    for panel in panels(open_page(address(server, "jsonp")), "jsonp").values():
        say_at_once(panel, ["x" * (MAX_TEXT + 1)])
        expect(panel.locator(".tick")).to_have_text("A message has 1 to 1000 characters.")


def test_jsonp_is_scripts_and_forms(open_page: OpenPage, server: Server) -> None:
    seen: list[Request] = []
    page = open_page("about:blank")
    page.on("request", lambda request: seen.append(request))
    page.goto(address(server, "jsonp"))
    found = panels(page, "jsonp")
    for panel in found.values():
        say_at_once(panel, TEXTS)
    for panel in found.values():
        log_of(panel, lines=len(found) * len(TEXTS))
    for part in ("/1/jsonp-polling/", "EIO=3"):
        kinds = {(request.method, request.resource_type) for request in seen if part in request.url}
        assert kinds == {("GET", "script"), ("POST", "document")}, part


def test_jsonp_reaches_a_server_on_another_origin(
    open_page: OpenPage, server: Server, start_server: StartServer, tmp_path: Path
) -> None:
    """Which is what it is for. A browser without CORS had 0.9 do the handshake by a script as well."""
    (tmp_path / "elsewhere.py").write_text(
        "from asocketio import SocketIOApp\n"
        f"from {Family.__module__} import Family\n"
        f"app = SocketIOApp(namespaces={{'/': Family}}, cors_allowed_origins=[{server.url!r}])\n"
    )
    elsewhere = start_server("elsewhere:app", "asocketio", cwd=tmp_path)
    page = open_page(address(server, "jsonp"))
    panels(page, "jsonp")
    page.evaluate(
        """(url) => {
            io09.util.ua.hasCORS = false;
            const jsonp = { transports: ["polling"], forceJSONP: true };
            window.far = {
                "0.9.17": io09.connect(url, { query: "client=0.9.17" }),
                "2.5.0": io2(url, { ...jsonp, query: { client: "2.5.0" } }),
            };
            window.heard = [];
            for (const [version, socket] of Object.entries(far)) {
                socket.on("connect", () => heard.push([version, "is in"]));
                socket.on("said", (who, text) => heard.push([version, who, text]));
            }
        }""",
        elsewhere.url,
    )
    page.wait_for_function("heard.length === 2")
    for version, other in (("0.9.17", "2.5.0"), ("2.5.0", "0.9.17")):
        page.evaluate("heard.length = 0")
        page.evaluate(
            """async ([version, texts]) => {
                const say = (text) => new Promise((answered) => far[version].emit("say", text, answered));
                await Promise.all(texts.map(say));
            }""",
            [version, TEXTS],
        )
        page.wait_for_function("(count) => heard.length === count", arg=len(TEXTS))
        assert page.evaluate("heard") == [[other, version, text] for text in TEXTS]
    assert complaints_in(elsewhere.log()) == []
    assert re.search(r'"GET /socket.io/1/\?\S*jsonp=\d', elsewhere.log())


@pytest.mark.parametrize("transport", CLIENT_TRANSPORTS)
def test_every_client_comes_back_to_a_server_that_was_away(
    open_page: OpenPage, start_server: StartServer, transport: ClientTransport
) -> None:
    server = start_server("examples.three_generations.app:app", "asocketio")
    page = open_page(address(server, transport), forgive="Failed to load resource|WebSocket connection to")
    found = panels(page, transport)
    server.kill()
    for version, panel in found.items():
        lost = f"socket.io-client {version}: connection lost, reconnecting…"
        expect(panel.get_by_role("status")).to_have_text(lost)
        expect(panel.get_by_role("button", name="Send")).to_be_disabled()
    with server:
        panels(page, transport)
        for panel in found.values():
            say_at_once(panel, ["Here again", "é😀\n"])
        for version, panel in found.items():
            said = log_of(panel, lines=len(found) * 2)
            assert said == by_all(found, version, ["Here again", "é😀\n"])
        page.context.close()


def test_the_page_pins_the_clients_that_it_is_tested_with(node_modules: Path) -> None:
    html = PAGE.read_text()
    assert re.findall(r'src="(.*?)"', html) == [
        f"https://cdn.jsdelivr.net/npm/{name}" for name in sorted(SCRIPTS, reverse=True)
    ]
    for name, path in SCRIPTS.items():
        digest = base64.b64encode(hashlib.sha384((node_modules / path).read_bytes()).digest()).decode()
        assert f'{name}"\n  integrity="sha384-{digest}"' in html
