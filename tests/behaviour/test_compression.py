"""Compressed polls: who asks gets gzip from ``http_compression`` bytes on, in each generation; nobody else does."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from asocketio import UsageError
from asocketio.testing import settle
from tests.clients.asgi import Call, Client, client_of
from tests.support.worlds import Recorder

GZIP = [(b"host", b"testserver"), (b"accept-encoding", b"deflate, gzip")]
WORDS = "some words, " * 200


class Talk(Recorder):
    async def on_say(self, size: int) -> None:
        await self.emit("said", WORDS[:size])


async def polled(client: Client, size: int, **scope: Any) -> Call:
    """The answer to a poll after a handler has emitted ``size`` characters."""
    frames = client.protocol.event("/", "say", [size])
    await client.post(client.protocol.body(frames, jsonp=False))
    return await client.get(**scope)


def text_of(call: Call) -> str:
    """The body as it was before it was compressed."""
    assert int(call.headers[b"content-length"]) == len(call.content)
    return (gzip.decompress(call.content) if b"content-encoding" in call.headers else call.content).decode()


@pytest.fixture(params=["0.9", "3", "4"])
async def client(request: pytest.FixtureRequest) -> Any:
    made = client_of(Talk, http_compression=1024)
    made = Client(made.app, made.clock, request.param)
    await made.open()
    yield made
    await made.end()


async def test_who_asks_gets_gzip(client: Client) -> None:
    call = await polled(client, 2000, headers=GZIP)
    assert (call.status, call.headers[b"content-encoding"], call.headers[b"vary"]) == (200, b"gzip", b"accept-encoding")
    assert WORDS[:2000] in text_of(call)
    assert len(call.content) < 1000
    assert (await polled(client, 2000, headers=GZIP)).headers[b"content-type"].startswith(b"text/plain")


async def test_by_jsonp_too(client: Client) -> None:
    await client.post(client.protocol.body(client.protocol.event("/", "say", [2000]), jsonp=False))
    path, _, query = client.protocol.polling_path(client.sid, {}, jsonp=True).partition("?")
    call = await client.get(
        headers=[*GZIP, (b"sec-fetch-site", b"same-origin")], path=path, query_string=query.encode()
    )
    assert call.headers[b"content-encoding"] == b"gzip"
    assert call.headers[b"content-type"].startswith(b"text/javascript")
    assert WORDS[:2000] in text_of(call)


@pytest.mark.parametrize("accepted", [None, b"", b"identity", b"gzip;q=0", b"br, deflate", b"*;q=0"])
async def test_who_does_not_ask_gets_plain_text(client: Client, accepted: bytes | None) -> None:
    more = [] if accepted is None else [(b"accept-encoding", accepted)]
    call = await polled(client, 2000, headers=[GZIP[0], *more])
    assert b"content-encoding" not in call.headers
    assert call.headers[b"vary"] == b"accept-encoding"  # for caches: another might be answered otherwise
    assert WORDS[:2000] in text_of(call)


async def test_from_the_threshold_on() -> None:
    made = client_of(Talk, http_compression=1024)
    await made.open()
    try:
        envelope = len('42["said",""]')
        for size, compressed in ((1024 - envelope, True), (1023 - envelope, False)):
            call = await polled(made, size, headers=GZIP)
            assert (b"content-encoding" in call.headers) == compressed
            assert len(text_of(call)) == size + envelope
    finally:
        await made.end()


async def test_by_default_nothing_is_compressed() -> None:
    made = client_of(Talk)
    await made.open()
    call = await polled(made, 2000, headers=GZIP)
    assert not {b"content-encoding", b"vary"} & call.headers.keys()
    await made.end()


async def test_what_gets_no_smaller_is_sent_as_it_is() -> None:
    made = client_of(Talk, http_compression=1)
    await made.open()
    call = await polled(made, 1, headers=GZIP)
    assert b"content-encoding" not in call.headers
    assert call.body == '42["said","s"]'
    await made.end()


async def test_other_answers_are_not_compressed(client: Client) -> None:
    small = client_of(Talk, http_compression=1)
    small = Client(small.app, small.clock, client.generation)
    handshake = await small.get(headers=GZIP)
    assert b"content-encoding" not in handshake.headers
    small.opened(str(small.protocol.split(handshake.content, jsonp=False)[0]))
    post = await small.post(small.protocol.body(small.protocol.event("/", "x", []), jsonp=False), headers=GZIP)
    assert b"content-encoding" not in post.headers
    small.sid = "unknown"
    refused = await small.get(headers=GZIP)
    assert b"content-encoding" not in refused.headers
    await small.end()


async def test_an_answer_of_megabytes_is_whole() -> None:
    made = client_of(Large, http_compression=1024)
    await made.open()
    call = await polled(made, 3_000_000, headers=GZIP)
    while not call.answered:
        await settle()
    assert len(text_of(call)) == 3_000_000 + len('42["said",""]')
    assert len(call.content) < 30_000
    await made.end()


class Large(Recorder):
    async def on_say(self, size: int) -> None:
        self.emit("said", "x" * size)


def test_a_number_of_bytes_or_none() -> None:
    for wrong in (True, 0, -1, "1024", 1.5):
        with pytest.raises(UsageError, match="http_compression"):
            client_of(Talk, http_compression=wrong)
