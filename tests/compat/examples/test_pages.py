"""The examples' pages in a real browser, each example served by uvicorn in a process of its own.

Chromium is driven by Playwright. The pages load the client from its CDN; here the npm package stands in for it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.compat.examples.conftest import WITHIN
from tests.conftest import StartServer

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TRANSPORTS = ("websocket", "polling")

OpenPage = Callable[[str], Page]


@pytest.fixture
def open_page(browser: Browser, client_bundle: Path) -> Iterator[OpenPage]:
    """Opens an address as somebody new would: no cookies, no storage. What a page throws fails the test."""
    errors: list[str] = []

    def serve_client(route: Route) -> None:
        route.fulfill(path=client_bundle, content_type="text/javascript", headers={"Access-Control-Allow-Origin": "*"})

    def open_page(url: str) -> Page:
        context = browser.new_context()
        context.set_default_timeout(WITHIN)
        context.route("https://cdn.socket.io/**", serve_client)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert errors == []


# --- the chat --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chat(start_module_server: StartServer) -> str:
    return start_module_server("examples.chat.app:app").url


def address(chat: str, room: str, transport: str = "websocket") -> str:
    return f"{chat}/{'?transport=polling' if transport == 'polling' else ''}#{room}"


def enter(page: Page, nickname: str, room: str) -> Page:
    page.get_by_label("Nickname").fill(nickname)
    page.get_by_role("button", name="Enter the chat").click()
    expect(page.locator("#room")).to_have_text(room)
    return page


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def texts(page: Page) -> list[str]:
    return page.locator("#log .text").all_text_contents()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_two_pages_talk(open_page: OpenPage, chat: str, transport: str) -> None:
    room = f"talk-{transport}"
    ada = enter(open_page(address(chat, room, transport)), f"Ada {transport}", room)
    grace = enter(open_page(address(chat, room, transport)), f"Grace {transport}", room)
    expect(ada.locator("#log .notice")).to_have_text(f"Grace {transport} joined")
    for page in (ada, grace):
        expect(page.locator("#transport")).to_have_text(transport)
        expect(page.locator("#people-list .person")).to_have_text([f"Ada {transport}", f"Grace {transport}"])

    say(ada, "Is this <b>bold</b>?")
    expect(grace.locator("#log .message .text")).to_have_text(["Is this <b>bold</b>?"])
    expect(ada.locator("#log .mine .tick")).to_have_text(["Delivered"])
    say(grace, "It is not.")
    expect(ada.locator("#log .message .text")).to_have_text(["Is this <b>bold</b>?", "It is not."])

    grace.get_by_role("button", name="Leave the chat").click()
    expect(ada.locator("#log .notice").last).to_have_text(f"Grace {transport} left")
    expect(ada.locator("#people-list .person")).to_have_text([f"Ada {transport}"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_typing_is_shown_until_the_message_comes(open_page: OpenPage, chat: str, transport: str) -> None:
    room = f"typing-{transport}"
    ada = enter(open_page(address(chat, room, transport)), f"Typist {transport}", room)
    grace = enter(open_page(address(chat, room, transport)), f"Reader {transport}", room)
    expect(ada.locator("#people-list .person")).to_have_count(2)
    # Typing goes out once a second, volatile: any single one may be lost on the way.
    ada.get_by_label("Message", exact=True).press_sequentially("a few words", delay=200)
    expect(grace.locator("#typing")).to_have_text(f"Typist {transport} is typing")
    ada.get_by_role("button", name="Send").click()
    expect(grace.locator("#log .message .text")).to_have_text(["a few words"])
    expect(grace.locator("#typing")).to_be_empty()


def test_a_room_hears_its_own_messages_only_and_newcomers_read_back(open_page: OpenPage, chat: str) -> None:
    ada = enter(open_page(address(chat, "garden")), "Gardener", "garden")
    grace = enter(open_page(address(chat, "workshop")), "Builder", "workshop")
    say(ada, "Roses")
    expect(ada.locator("#log .tick")).to_have_text(["Delivered"])
    say(grace, "Hammers")
    expect(grace.locator("#log .tick")).to_have_text(["Delivered"])
    assert texts(ada) == ["Roses"]
    assert texts(grace) == ["Hammers"]

    grace.get_by_role("link", name="garden").click()
    expect(grace.locator("#room")).to_have_text("garden")
    expect(grace.locator("#log .text")).to_have_text(["Roses"])
    expect(ada.locator("#people-list .person")).to_have_text(["Builder", "Gardener"])


def test_a_room_can_be_opened_by_name(open_page: OpenPage, chat: str) -> None:
    ada = enter(open_page(address(chat, "workshop")), "Opener", "workshop")
    ada.get_by_label("Name of a new room").fill("Café Ólé!")
    ada.get_by_role("button", name="Open this room").click()
    expect(ada.locator("#room")).to_have_text("cafe-ole")
    expect(ada.locator("#room-list a[aria-current] .room-name")).to_have_text("cafe-ole")
    assert ada.url.endswith("#cafe-ole")


def test_a_nickname_that_is_taken_or_empty_is_refused_at_the_door(open_page: OpenPage, chat: str) -> None:
    enter(open_page(address(chat, "door")), "Turing", "door")
    late = open_page(address(chat, "door"))
    late.get_by_role("button", name="Enter the chat").click()
    expect(late.get_by_role("alert")).to_have_text("Choose a nickname.")
    late.get_by_label("Nickname").fill("  TURING ")
    late.get_by_role("button", name="Enter the chat").click()
    expect(late.get_by_role("alert")).to_have_text("That nickname is taken.")
    enter(late, "Church", "door")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reloaded_page_is_back_in_its_room(open_page: OpenPage, chat: str, transport: str) -> None:
    room = f"reloaded-{transport}"
    ada = enter(open_page(address(chat, room, transport)), f"Again {transport}", room)
    ada.reload()
    expect(ada.locator("#room")).to_have_text(room)
    expect(ada.locator("#transport")).to_have_text(transport)


def test_on_a_phone_the_rooms_and_the_people_are_in_drawers(open_page: OpenPage, chat: str) -> None:
    ada = open_page(address(chat, "phone"))
    ada.set_viewport_size({"width": 390, "height": 844})
    enter(ada, "Caller", "phone")
    assert ada.evaluate("document.documentElement.scrollWidth") == 390
    ada.get_by_role("button", name="People in this room").click()
    expect(ada.get_by_text("Caller", exact=True).last).to_be_visible()
    ada.keyboard.press("Escape")
    expect(ada.locator("#people")).to_be_hidden()
    ada.get_by_role("button", name="Rooms").click()
    ada.get_by_role("link", name="garden").click()
    expect(ada.locator("#room")).to_have_text("garden")
    expect(ada.locator("#rooms")).to_be_hidden()


def test_a_lost_connection_is_shown_and_comes_back(open_page: OpenPage, start_server: StartServer) -> None:
    server = start_server("examples.chat.app:app")
    ada = enter(open_page(address(server.url, "lobby")), "Ada", "lobby")
    server.kill()
    expect(ada.get_by_text("Connection lost. Reconnecting…")).to_be_visible()
    expect(ada.locator("#transport")).to_have_text("offline")
    expect(ada.get_by_role("button", name="Send")).to_be_disabled()
    with server:
        expect(ada.get_by_text("Back online")).to_be_attached()
        expect(ada.get_by_role("button", name="Send")).to_be_enabled()
        say(ada, "Here again")
        expect(ada.locator("#log .tick").last).to_have_text("Delivered")
        ada.context.close()


# --- the others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_live_cpu_draws_points(open_page: OpenPage, start_server: StartServer, transport: str) -> None:
    server = start_server("examples.live_cpu.app:app")
    page = open_page(server.url + ("/?transport=polling" if transport == "polling" else "/"))
    page.get_by_label("¼ s").check()
    expect(page.locator("#state")).to_have_text("live, every 0.25 s")
    expect(page.locator("#line")).to_have_attribute("data-points", re.compile(r"^([5-9]|\d\d)$"))
    expect(page.locator("#line")).to_have_attribute("d", re.compile(r"^M[\d.]+ [\d.]+(L[\d.]+ [\d.]+){4}"))
    expect(page.locator("#now")).to_have_text(re.compile(r"^\d+$"))
    assert page.locator("#cores li").count() >= 1


@pytest.fixture(scope="module")
def django_chat(start_module_server: StartServer) -> str:
    return start_module_server("examples.django_chat.asgi:application").url


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_django_chat_takes_the_name_from_the_session(open_page: OpenPage, django_chat: str, transport: str) -> None:
    pages = []
    for name in ("Ada", "Grace"):
        page = open_page(django_chat)
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Come in").click()
        if transport == "polling":
            page.goto(f"{django_chat}/?transport=polling")
        expect(page.get_by_role("status")).to_have_text(f"you are {name}")
        pages.append(page)
    ada, grace = pages
    expect(ada.locator(".notice").last).to_have_text("Grace is here")
    grace.get_by_label("Your message").fill("Is this <b>bold</b>?")
    grace.get_by_role("button", name="Send").click()
    expect(ada.locator(".theirs")).to_have_text("GraceIs this <b>bold</b>?")
    expect(grace.get_by_label("Your message")).to_be_empty()
    grace.goto("about:blank")
    expect(ada.locator(".notice").last).to_have_text("Grace has left", timeout=60_000)


def test_django_chat_refuses_a_stranger_with_the_views_own_answer(open_page: OpenPage, django_chat: str) -> None:
    stranger = open_page(django_chat)
    answer = stranger.request.get(f"{django_chat}/socket.io/?EIO=4&transport=polling")
    assert (answer.status, answer.text()) == (403, "Tell the page your name first.")
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"{django_chat.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"),
    ):
        pass
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"Tell the page your name first.")


def test_echo_page_shows_what_was_said(open_page: OpenPage, start_server: StartServer) -> None:
    page = open_page(start_server("examples.echo:app").url)
    for words in ("Hello", "<b>again</b>"):
        page.get_by_label("Say something").fill(words)
        page.get_by_label("Say something").press("Enter")
    expect(page.locator("#log li")).to_have_text(["Hello", "<b>again</b>"])


def test_ack_page_asks_and_is_asked(open_page: OpenPage, start_server: StartServer) -> None:
    page = open_page(start_server("examples.ack:app").url)
    page.get_by_role("button", name="Greet me").click()
    expect(page.locator("#greeting")).to_have_text("Hello, Ada!")
    page.get_by_role("button", name="Divide").click()
    expect(page.locator("#division")).to_have_text("3, and 2 left over")
    page.get_by_label("by", exact=True).fill("0")
    page.get_by_role("button", name="Divide").click()
    expect(page.locator("#division")).to_have_text("That cannot be divided.")
    page.get_by_role("button", name="Ring me").click()
    expect(page.locator("#heard")).to_have_text("The server heard: Hello?")

    page.get_by_role("button", name="Ask me something").click()
    page.get_by_label("What is 6 × 7?").fill("42")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator("#verdict")).to_have_text("Right!")
    page.get_by_role("button", name="Ask me something").click()  # and not answered
    expect(page.locator("#verdict")).to_have_text("Time is up: it is 42.")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_observability_page_shows_the_scrape(open_page: OpenPage, start_server: StartServer, transport: str) -> None:
    page = open_page(start_server("examples.observability.app:app").url + f"/?transport={transport}")
    page.get_by_label("Say something").fill("Hello")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#log li")).to_have_text(["Hello"])
    page.get_by_role("button", name="Fail").click()
    for series in (
        'socketio_handler_failures_total{event="fail",namespace="/"} 1.0\n',
        f'socketio_sockets{{generation="4",transport="{transport}"}} 1.0\n',
    ):
        expect(page.locator("#metrics")).to_contain_text(series)
    expect(page.locator("#metrics")).not_to_contain_text("_bucket")


def test_every_page_pins_the_client_that_it_is_tested_with(client_bundle: Path) -> None:
    digest = base64.b64encode(hashlib.sha384(client_bundle.read_bytes()).digest()).decode()
    pages = [
        path for path in EXAMPLES.rglob("*") if path.suffix in {".html", ".py"} and "<script src" in path.read_text()
    ]
    assert len(pages) == 7
    for page in pages:
        assert f'integrity="sha384-{digest}"' in page.read_text(), page
