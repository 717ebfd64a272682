"""Clients of every generation that come, talk and leave, each in its own way: the churn of a soak."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.clients.frames import masked, messages, split
from tests.clients.http import request
from tests.clients.tcp import Connection

__all__ = ["GENERATIONS", "LEAVES", "WAYS", "Life"]

GENERATIONS = ("0.9", "3", "4")
WAYS = ("websocket", "polling", "upgrade")
LEAVES = ("clean", "packet", "abrupt")
"""A close of the connection, a goodbye of the protocol, and no word at all."""
ANSWER_WITHIN = 30.0
"""Seconds; a churn that finds a busy machine is slow, not wrong."""
ROOMS = 20
BYTES = bytes(range(64))


@dataclass(frozen=True, slots=True)
class ClientProtocol:
    """How a generation spells what these clients say; ``{}`` is the room."""

    path: str
    polling: str
    websocket: str
    join: str
    echo: str
    heard: str
    say: str
    enter: str
    goodbye: str


_V3 = ClientProtocol(
    "/socket.io/?EIO=3&transport=polling",
    "&sid=",
    "/socket.io/?EIO=3&transport=websocket",
    "",
    '427["echo","a word"]',
    '437["a word"]',
    '42["say","{}",["news",1,2,3]]',
    '42["join","{}"]',
    "1",
)
CLIENT_PROTOCOLS = {
    "0.9": ClientProtocol(
        "/socket.io/1/",
        "xhr-polling/",
        "/socket.io/1/websocket/",
        "",
        '5:7+::{"name":"echo","args":["a word"]}',
        '6:::7+["a word"]',
        '5:::{"name":"say","args":["{}",["news",1,2,3]]}',
        '5:::{"name":"join","args":["{}"]}',
        "0::",
    ),
    "3": _V3,
    "4": ClientProtocol(
        *("/socket.io/?EIO=4&transport=polling", "&sid=", "/socket.io/?EIO=4&transport=websocket", "40"),
        *(_V3.echo, _V3.heard, _V3.say, _V3.enter, _V3.goodbye),
    ),
}


class _Link:
    """A session on whatever carries it."""

    def __init__(self, port: int, generation: str) -> None:
        self.port, self.generation = port, generation
        self.words = CLIENT_PROTOCOLS[generation]
        self.sid = ""
        self.path = ""
        self.carrier: Connection | None = None
        """Its websocket, or the connection of its polls."""
        self.polls = False

    async def open_polling(self) -> None:
        words = self.words
        self.carrier = await Connection.tcp(self.port)
        hello = await self.carrier.ask(request("GET", words.path))
        if self.generation == "0.9":
            self.sid = hello.split(b":")[0].decode()
        else:
            self.sid = hello.split(b'"sid":"')[1].split(b'"')[0].decode()
        self.path = words.path + words.polling + self.sid
        self.polls = True

    async def open_websocket(self, path: str) -> None:
        if self.carrier is not None:
            self.carrier.close()
        self.polls = False
        self.carrier = await Connection.websocket(self.port, path, join="")

    async def send(self, *packets: str | bytes) -> None:
        """Text, and bytes as attachments (by websocket)."""
        assert self.carrier is not None
        if not self.polls:
            await self.carrier.send(messages(*packets), ANSWER_WITHIN)
            return
        for packet in packets:
            text = f"{len(packet)}:{packet}" if self.generation == "3" else str(packet)
            await self.carrier.ask(request("POST", self.path, text))

    async def hear(self, wanted: str) -> None:
        """Read until ``wanted`` has come; answers what the protocol wants answered."""
        async with asyncio.timeout(ANSWER_WITHIN):
            while wanted not in await self._some():
                pass

    async def _some(self) -> str:
        assert self.carrier is not None
        if self.polls:
            text = (await self.carrier.ask(request("GET", self.path))).decode()
            parts = text.split("\x1e")
        else:
            frames, self.carrier.data = split(self.carrier.data)  # what came together with the answer
            if not frames:
                more = await self.carrier.receive()
                if not more:
                    raise ConnectionError("the server has hung up")
                frames, self.carrier.data = split(self.carrier.data + more)
            parts = [payload.decode(errors="replace") for _, payload in frames]
            text = "\n".join(parts)
        if self.generation == "4" and "2" in parts:
            await self.send("3")
        if self.generation == "0.9" and "2::" in text:
            await self.send("2::")
        return text

    def close(self) -> None:
        if self.carrier is not None:
            self.carrier.close()


class Life:
    """One client from its handshake to its end."""

    def __init__(self, port: int, dice: random.Random) -> None:
        self.generation = dice.choice(GENERATIONS)
        self.way = dice.choice(WAYS)
        self.leave = dice.choice(LEAVES)
        self.link = _Link(port, self.generation)
        self._dice = dice
        self._room = f"room {dice.randrange(ROOMS)}"

    def __str__(self) -> str:
        return f"{self.generation} {self.way} {self.leave}"

    async def live(self) -> None:
        """All of it.

        Raises:
            ConnectionError, TimeoutError: the server has not done its part.
        """
        try:
            await _OPENERS[self.way](self.link)
            await self._talk()
            await self._go()
        finally:
            self.link.close()

    async def _talk(self) -> None:
        link, words = self.link, self.link.words
        await link.send(words.enter.replace("{}", self._room))
        for _ in range(self._dice.randrange(1, 4)):
            await link.send(words.say.replace("{}", self._room))
            await link.send(words.echo)
            await link.hear(words.heard)
            await asyncio.sleep(self._dice.random() * 0.5)
        if not link.polls and self.generation != "0.9":
            data = b"\x04" + BYTES if self.generation == "3" else BYTES
            await link.send('451-8["echo",{"_placeholder":true,"num":0}]', data)
            await link.hear('461-8[{"_placeholder":true,"num":0}]')

    async def _go(self) -> None:
        """Leave. What is abrupt for a poller is found out by its silence."""
        link = self.link
        if self.leave == "packet":
            await link.send(link.words.goodbye)
        elif self.leave == "clean" and not link.polls and link.carrier is not None:
            await link.send(b"")  # whatever was said before
            await link.carrier.send(masked((1000).to_bytes(2, "big"), 8))
            await link.carrier.ended(5)


async def _by_polling(link: _Link) -> None:
    await link.open_polling()
    if link.words.join:
        await link.send(link.words.join)
    await link.hear("1::" if link.generation == "0.9" else "40")


async def _by_websocket(link: _Link) -> None:
    if link.generation == "0.9":
        await link.open_polling()
        await link.open_websocket(link.words.websocket + link.sid)
        await link.hear("1::")
        return
    await link.open_websocket(link.words.websocket)
    if link.words.join:
        await link.hear("0{")
        await link.send(link.words.join)
    await link.hear("40")


async def _by_upgrade(link: _Link) -> None:
    """Polls first, and then goes over to a websocket; in 0.9 any request may carry the session on."""
    await _by_polling(link)
    if link.generation == "0.9":
        await link.open_websocket(link.words.websocket + link.sid)
        return
    await link.open_websocket(f"{link.words.websocket}&sid={link.sid}")
    await link.send("2probe")
    await link.hear("3probe")
    await link.send("5")


_OPENERS: dict[str, Callable[[_Link], Awaitable[None]]] = {
    "websocket": _by_websocket,
    "polling": _by_polling,
    "upgrade": _by_upgrade,
}
