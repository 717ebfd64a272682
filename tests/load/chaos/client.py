"""One session of a raw client: it does what its script says, and holds the server to the model."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.clients.protocols import Frame, Packet
from tests.load.chaos.actions import Actions
from tests.load.chaos.plan import STEPS, Script
from tests.load.chaos.proxy import Faults, Proxy
from tests.load.chaos.transports import Http, Lost, Polling, WebSocket, stop

__all__ = ["Session"]

PATIENCE = 25.0
"""Seconds in which a gentle session must have all its answers."""


class Session(Actions):
    """From the handshake to the end."""

    def __init__(self, script: Script, proxy: Proxy, counts: Counter[str], complain: Callable[[str], None]) -> None:
        super().__init__(script, counts, complain)
        self._proxy = proxy
        self._faults = itertools.cycle(script.faults)
        self._transport: WebSocket | Polling
        self._second: WebSocket | None = None
        self._packet: Packet | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._interval = 0.0
        self._joined: dict[str, asyncio.Event] = {}
        self._asked: set[int] = set()
        self._figures: dict[str, asyncio.Event] = {}
        """Whose figures have come, or never will."""

    async def run(self) -> None:
        """Live."""
        self._counts[f"sessions {self.script.generation} {self.script.mode}"] += 1
        try:
            async with asyncio.timeout(None if self.script.gentle else self.script.lifetime + 1):
                await self._open()
                await self._live()
        except (Lost, OSError, TimeoutError) as error:
            self._lost(f"{error!r}")
        finally:
            await stop(*self._tasks)
            await self._close(self.script.ending if not self._over.is_set() else "fin")

    # ---- the beginning

    def _next_faults(self) -> Faults:
        return next(self._faults)

    async def _open(self) -> None:
        script, protocol = self.script, self._protocol
        fields = {"who": script.name, "marks": ".".join(script.marks)}
        if script.mode == "websocket" and not protocol.allows_transport_switch:
            transport = WebSocket(self._proxy, self._next_faults(), self._rng)
            self._transport = transport
            await transport.ask(protocol.path("websocket", "", fields))
            await transport.answered()
            greeting = str(await transport.first())
        elif script.mode == "websocket":
            http = Http(self._proxy, self._next_faults)
            try:
                status, body = await http.ask("GET", protocol.path("polling", "", fields))
            finally:
                http.close("fin")
            if status != 200:
                raise Lost(f"handshake: {status} {body!r}")
            greeting = body.decode()
            transport = WebSocket(self._proxy, self._next_faults(), self._rng)
            self._transport = transport
            await transport.ask(protocol.path("websocket", protocol.handshake(greeting)[0], {}))
            await transport.answered()
        else:
            polling = Polling(protocol, self._proxy, self._next_faults, jsonp=script.mode == "jsonp")
            self._transport = polling
            greeting = await polling.open(fields, self._rng)
            polling.sloppy = script.sloppy
            polling.gap = self._gap
        sid, self._interval = protocol.handshake(greeting)
        if isinstance(self._transport, Polling):
            self._transport.sid = sid
        self._sid = sid
        self._listen_to(self._transport)
        if protocol.pings:
            self._do(self._ping())

    def _listen_to(self, transport: WebSocket | Polling) -> None:
        transport.frames, transport.lost = self._frames, self._lost
        transport.listen()

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self._send(["2"])

    def _send(self, frames: list[Frame]) -> None:
        self._transport.send(frames)

    def _gap(self) -> None:
        self._note("a poll broke")
        self._counts["gaps"] += 1
        self.model.gap()
        if self.script.gentle:
            self._wrong("a poll broke")

    def _lost(self, why: str) -> None:
        if self._over.is_set():
            return
        self._note(f"lost: {why}")
        self._counts["lost"] += 1
        self._over.set()
        if not self._may_end:
            self._wrong(f"ended without a cause: {why}")

    # ---- what comes

    def _frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            if self._over.is_set():
                return
            self.trail.append(f"< {frame[:60]!r}")
            packet = self._protocol.read(frame)
            if packet.kind == "bytes":
                if self._packet is None:
                    self._wrong(f"bytes without a packet: {frame!r}")
                    continue
                self._packet.got += packet.got
                packet = self._packet
            elif self._packet is not None and "loose" not in self.script.marks:
                self._wrong(f"{frame!r} where an attachment is due")
            if packet.due > len(packet.got):
                self._packet = packet
                continue
            self._packet = None
            packet.args = [_restored(arg, packet.got) for arg in packet.args]
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        kind, namespace = packet.kind, packet.namespace
        if kind == "ping":
            self._send([self._protocol.pong()])
        elif kind == "connect":
            self.model.joined(namespace)
            self._joined.setdefault(namespace, asyncio.Event()).set()
        elif kind == "event":
            self._event(packet)
        elif kind == "ack":
            self.model.acked(namespace, packet.number, packet.args)
        elif kind == "disconnect":
            self.model.left(namespace)
            if namespace in self._figures:
                self._figures[namespace].set()
            if self._protocol.allows_transport_switch and namespace == "/":
                self._lost("thrown out")
            elif not self._may_end and "leave me" not in self.script.extra_actions:
                self._wrong(f"thrown out of {namespace}")
        elif kind == "close" or (kind == "error" and packet.args == ["1+0"]):
            self._lost(f"told so: {kind}")
        elif kind == "error":
            self._joined.setdefault(namespace, asyncio.Event()).set()
            if namespace != "/closed" and "refuse" not in self.script.marks and not self._may_end:
                self._wrong(f"error in {namespace}: {packet.args}")
        elif kind not in ("pong", "noop"):
            self._wrong(f"a packet of an unknown kind: {kind}")

    def _event(self, packet: Packet) -> None:
        name, args = packet.args[0], packet.args[1:]
        if name != "ask":
            if name in ("tick", "base", "news"):
                self.model.heard(packet.namespace, name, args)
            elif name != "error":
                self._wrong(f"an event {name!r}")
            return
        number = packet.number
        if number is None or (number in self._asked and "loose" not in self.script.marks):
            self._wrong(f"asked twice, or without a number: {number}")
            return
        self._asked.add(number)
        answer = self._protocol.ack(packet.namespace, number, [2 * args[0]])
        how = self._rng.random()
        if how < 0.7:
            self._send([answer])
        elif how < 0.8:
            self._send([answer, answer])  # the second must be taken for nothing
        elif how < 0.95:
            loop = asyncio.get_running_loop()
            loop.call_later(self._rng.random() * 2, self._send_late, answer)

    def _send_late(self, answer: str) -> None:
        if not self._over.is_set():
            self._send([answer])

    # ---- what it does

    async def _live(self) -> None:
        script = self.script
        for namespace in script.namespaces:
            await self._join(namespace)
        if script.mode in ("upgrade", "roam"):
            self._do(self._change())
        actions = list(script.extra_actions)
        end = asyncio.get_running_loop().time() + script.lifetime
        while (left := end - asyncio.get_running_loop().time()) > 0 and not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, self._rng.expovariate(1 / script.pace))):
                    await self._over.wait()
            if actions and self._rng.random() < 0.2:
                await self._act(actions.pop())
            else:
                self._usual()
        if script.gentle and not self._over.is_set():
            await self._settle()

    async def _join(self, namespace: str) -> None:
        auth = {"who": self.script.name, "marks": ".".join(self.script.marks)}
        event = self._joined[namespace] = self._joined.get(namespace, asyncio.Event())
        if not (self._protocol.opens and namespace == "/"):
            event.clear()
            self._note(f"> join {namespace}")
            self._send([self._protocol.connect(namespace, auth)])
        await self._until(event, f"an answer to the join of {namespace}")

    async def _until(self, event: asyncio.Event, what: str) -> None:
        """Wait for ``event``, or the end."""
        either = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._over.wait())]
        try:
            done, _ = await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in either:
                each.cancel()
        if not done:
            if self.script.gentle:
                self._wrong(f"in vain: {what}")
            raise Lost(f"in vain: {what}")

    # ---- changes of what carries it

    async def _change(self) -> None:
        """Go from polling to a websocket."""
        await asyncio.sleep(self._rng.random() * 0.5)
        polling = self._transport
        assert isinstance(polling, Polling)
        cut = self.script.upgrade_cut
        faults = Faults() if cut or self.script.gentle else self._next_faults()
        websocket = self._second = WebSocket(self._proxy, faults, self._rng)
        try:
            if self._protocol.allows_transport_switch:
                await self._roam(polling, websocket)
            else:
                await self._upgrade(polling, websocket, cut)
        except (Lost, OSError, TimeoutError) as error:
            if self.script.gentle and not cut:
                self._wrong(f"the upgrade failed: {error!r}")
            self._lost(f"upgrade: {error!r}")

    async def _roam(self, polling: Polling, websocket: WebSocket) -> None:
        """0.9: the newest request carries the session. What a poll was answered meanwhile still counts."""
        polling.hold()
        left: list[Frame] = []
        if self.script.gentle:  # a poll that comes after the websocket's request would take the session back
            left += await polling.pause()
        else:
            self.model.gap()
        await websocket.ask(self._protocol.path("websocket", self._sid, {}))
        await websocket.answered()
        left += await polling.pause()
        self._transport, self._second = websocket, None
        self._listen_to(websocket)
        websocket.send(left)

    async def _upgrade(self, polling: Polling, websocket: WebSocket, cut: str) -> None:
        await websocket.ask(self._protocol.path("websocket", self._sid, {}))
        if self._cut_here(websocket, cut, STEPS[0]):
            return
        await websocket.answered()
        if self._cut_here(websocket, cut, STEPS[1]):
            return
        websocket.send(["2probe"])
        if self._cut_here(websocket, cut, STEPS[2]):
            return
        pong = await websocket.first()
        if pong != "3probe":
            raise Lost(f"the answer to the probe is {pong!r}")
        if self._cut_here(websocket, cut, STEPS[3]):
            return
        left = await polling.pause()
        if self._over.is_set():
            return
        websocket.send(["5"])
        self._transport, self._second = websocket, None
        self._listen_to(websocket)
        websocket.send(left)
        self._note("upgraded")
        self._counts["upgrades"] += 1
        self._cut_here(websocket, cut, STEPS[4])

    def _cut_here(self, websocket: WebSocket, cut: str, step: str) -> bool:
        if cut != step:
            return False
        self._note(f"cut {step}")
        self._counts[f"upgrade cut {step}"] += 1
        websocket.link.cut(self.script.upgrade_cut_how)
        return True

    # ---- the end

    async def _settle(self) -> None:
        """All is well, so nothing may be lost."""
        for namespace in self._places():
            if namespace not in self._places():
                continue  # it was thrown out meanwhile
            done = self._figures[namespace] = asyncio.Event()

            def seen(args: list[Any], namespace: str = namespace, done: asyncio.Event = done) -> None:
                self.model.seen(namespace, args)
                done.set()

            self._emit(namespace, "seen", [], seen)
            await self._until(done, f"the server's figures for {namespace}")
        if self.model.pending and not self._over.is_set():
            self._wrong(f"acks that did not come: {self.model.pending}")
        self._counts["sessions that came through"] += 1

    async def _close(self, how: str) -> None:
        self._over.set()
        self._note(f"ends: {how}")
        transport = getattr(self, "_transport", None)
        if self._second is not None:
            await self._second.close("reset")
        if transport is None:
            return
        if how in ("leave", "bye") and hasattr(self, "_sid"):
            frames = [self._protocol.disconnect(namespace) for namespace in self._places()]
            transport.send([*frames, self._protocol.close()] if how == "bye" else frames)
            await asyncio.sleep(0.1)
        await transport.close(how)


def _restored(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, dict) and value.get("_placeholder"):
        return attachments[value["num"]]
    return value
