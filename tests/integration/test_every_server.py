"""The same talk on every server: uvicorn in all its forms, hypercorn, granian, and the command of this package."""

from __future__ import annotations

import httpx
import pytest

from tests.clients.wire import SOCKETIO, Peer, kind_and_value
from tests.conftest import StartServer
from tests.integration.conftest import MeetServer
from tests.support.servers import SERVERS, Server

VIEW = "/view/"
BOTH = pytest.mark.parametrize("path", [SOCKETIO, VIEW])


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, start_module_server: StartServer) -> Server:
    return start_module_server("tests.integration.app:app", request.param)


@pytest.fixture
async def peer(server: Server, meet: MeetServer) -> Peer:
    return await meet(server)


async def test_the_wrapped_application_has_its_requests_and_its_lifespan(server: Server, peer: Peer) -> None:
    answer = await peer.get("/page")
    assert (answer.status_code, answer.text) == (200, "a page")
    answer = await peer.get("/other")
    assert (answer.status_code, answer.text) == (404, "no such page")
    assert "lifespan startup" in server.log()


@BOTH
async def test_polling(peer: Peer, path: str) -> None:
    session = await peer.polling(path)
    await session.send("40")
    kind_and_value(await session.receive(), "40")
    await session.send('420["echo",1,"é😀"]\x1e451-1["echo",{"_placeholder":true,"num":0}]\x1ebAQL/')
    assert await session.receive() == '430[1,"é😀"]\x1e461-1[{"_placeholder":true,"num":0}]\x1ebAQL/'
    poll = await session.waiting()
    await session.send('42["say","now"]')
    assert (await poll).text == '42["said","now"]'
    poll = await session.waiting()
    await session.send("1")
    assert (await poll).text == "6"
    await session.is_over()


@BOTH
async def test_websocket(peer: Peer, path: str) -> None:
    async with peer.opened(path) as websocket:
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        await websocket.send('420["echo",1,"é😀"]', '451-1["echo",{"_placeholder":true,"num":0}]', b"\x01\x02\xff")
        assert await websocket.receive_all(3) == [
            '430[1,"é😀"]',
            '461-1[{"_placeholder":true,"num":0}]',
            b"\x01\x02\xff",
        ]
        for number in range(500):
            await websocket.send(f'42["say",{number}]')
        assert await websocket.receive_all(500) == [f'42["said",{number}]' for number in range(500)]
        await websocket.send("1")
        assert await websocket.closed() == []


@BOTH
async def test_upgrade(peer: Peer, path: str) -> None:
    session = await peer.polling(path)
    await session.send("40")
    kind_and_value(await session.receive(), "40")
    poll = await session.waiting()
    async with session.websocket() as websocket:
        await websocket.send("2probe")
        assert await websocket.receive() == "3probe"
        assert (await poll).text == "6"
        await session.send('42["say","queued"]')
        await websocket.send("5", '42["say","sent"]')
        assert await websocket.receive_all(2) == ['42["said","queued"]', '42["said","sent"]']


@pytest.mark.parametrize("status", [401, 302, 503])
async def test_a_views_refusal_is_the_answer_by_polling(peer: Peer, status: int) -> None:
    answer = await peer.get(VIEW, EIO="4", transport="polling", refuse=str(status))
    assert (answer.status_code, answer.text) == (status, f"refused with {status}")
    assert (answer.headers["x-reason"], answer.headers["location"]) == ("not you", "/login")


@pytest.mark.parametrize("status", [401, 302, 503])
async def test_a_views_refusal_is_the_answer_by_websocket(peer: Peer, status: int) -> None:
    refusal = await peer.refusal(VIEW, f"EIO=4&transport=websocket&refuse={status}")
    assert (refusal.status_code, (refusal.body or b"").decode()) == (status, f"refused with {status}")
    assert (refusal.headers["x-reason"], refusal.headers["location"]) == ("not you", "/login")


async def test_a_view_that_crashes_is_a_500(server: Server, peer: Peer) -> None:
    answer = await peer.get(VIEW, EIO="4", transport="polling", refuse="crash")
    assert answer.status_code == 500
    await server.logs("the view crashed")
    refusal = await peer.refusal(VIEW, "EIO=4&transport=websocket&refuse=crash")
    assert refusal.status_code in (403, 500)  # 403 is what servers say when a websocket is not accepted


@BOTH
async def test_a_broken_connection_is_noticed(server: Server, peer: Peer, path: str) -> None:
    token = f"{path}-broken"
    async with peer.opened(path) as websocket:
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        await websocket.send(f'421["mark","{token}"]')
        assert await websocket.receive() == "431[]"
        websocket.abort()
    await server.logs(f"gone {token} transport close")


async def test_a_message_over_the_limit_closes_the_websocket(peer: Peer) -> None:
    async with peer.opened(SOCKETIO) as websocket:
        await websocket.send("40")
        kind_and_value(await websocket.receive(), "40")
        await websocket.send('42["say","' + "x" * 1_000_000 + '"]')
        assert await websocket.closed() == []


async def test_a_body_over_the_limit_is_413(server: Server, peer: Peer) -> None:
    session = await peer.polling(SOCKETIO)
    try:
        answer = await session.post('42["say","' + "x" * 1_000_000 + '"]')
    except (httpx.ReadError, httpx.WriteError):
        # They close a connection whose body nobody has read to the end, and may do so before the answer is out.
        assert server.name in ("hypercorn", "granian")
    else:
        assert (answer.status_code, answer.content) == (413, b"")
