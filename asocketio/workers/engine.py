"""WorkersEngine: carries the messages of a cluster between the workers of one host, over their links. No broker.

Each worker keeps a link to each sibling, and sends by it alone, so that its messages arrive in their order. A worker
that starts connects to those that are there; each of them connects back when it hears of it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Collection, Sequence
from typing import Any, NamedTuple

from asocketio.adapters.cluster.engine import Engine, EngineHost, Outgoing
from asocketio.adapters.cluster.messages import Message, is_droppable
from asocketio.adapters.cluster.wire import decode, encode
from asocketio.errors import MalformedMessage
from asocketio.runtime.awaitables import COMPLETED
from asocketio.runtime.log import log
from asocketio.workers.link import Frame, Link, LinkLost, connect
from asocketio.workers.names import NAME
from asocketio.workers.siblings import SiblingFolder

__all__ = ["MESH", "WorkersEngine"]

MESH = 20
"""The first frame of a link of an engine: whose it is."""
_ENTER, _LEAVE, _MESSAGE = 21, 22, 23

DRAIN_TIMEOUT = 5.0
"""Seconds for which a sibling may take nothing; then its link is cut, and it misses what is sent."""
PAUSE = 1.0
"""Seconds until a sibling whose link was lost is tried again."""


class _Sibling(NamedTuple):
    """What another worker has said of itself."""

    uid: str
    entered: set[str]


class WorkersEngine(Engine):
    """Knows its siblings by their links. Alone until `join`."""

    membership = "known"
    _host: EngineHost

    def __init__(self) -> None:
        self._uid = secrets.token_hex(8)
        self._entered: dict[str, None] = {}
        self._name = ""
        self._folder: SiblingFolder | None = None
        self._links: dict[str, Link] = {}
        """To the siblings, by their names."""
        self._siblings: dict[str, _Sibling] = {}
        """Those that have connected to this one, by their names."""
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._readers: set[asyncio.Task[None]] = set()

    @property
    def uid(self) -> str:
        return self._uid

    def start(self, host: EngineHost) -> None:
        self._host = host
        self._entered.clear()
        self._links.clear()
        self._siblings.clear()
        self._keepers.clear()
        self._readers.clear()

    async def stop(self) -> None:
        self._folder = None
        tasks = [*self._keepers.values(), *self._readers]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._keepers.clear()

    def join(self, folder: SiblingFolder, name: str) -> None:
        """This worker has a name now, and listens: connect to its siblings."""
        self._folder, self._name = folder, name
        for sibling in folder.names():
            self._keep(sibling)

    def serve(self, link: Link, hello: Frame) -> None:
        """A sibling has connected."""
        self._watch(asyncio.get_running_loop().create_task(self._read(link, hello)))

    def _watch(self, task: asyncio.Task[None]) -> None:
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    # To the siblings.

    def _keep(self, name: str) -> None:
        """See to it that there is a link to a sibling, as long as that lives."""
        if name != self._name and name not in self._keepers and self._folder is not None:
            task = asyncio.get_running_loop().create_task(self._keep_link(self._folder, name))
            self._keepers[name] = task
            task.add_done_callback(lambda _: self._keepers.pop(name, None))

    async def _keep_link(self, folder: SiblingFolder, name: str) -> None:
        path = folder.path_of(name)
        while True:
            try:
                link = await connect(path)
            except (ConnectionRefusedError, FileNotFoundError):
                return  # it has ended
            except OSError as error:
                log.debug("worker %r cannot be reached: %r", name, error)
            else:
                await self._hold(link, name)
            await asyncio.sleep(PAUSE)

    async def _hold(self, link: Link, name: str) -> None:
        try:
            link.write(MESH, json.dumps([self._uid, self._name, list(self._entered)]).encode())
            self._links[name] = link
            await link.read()  # a sibling says nothing here: it is the end
        except LinkLost:
            pass
        finally:
            self._links.pop(name, None)
            link.close()
            if name in self._siblings:
                self._host.member_gone(self._siblings[name].uid)

    def encode(self, message: Message) -> Outgoing:
        data = encode(message)
        return Outgoing((message.to, data), len(data), is_droppable(message.body))

    async def send(self, batch: Sequence[Outgoing]) -> None:
        for outgoing in batch:
            to, data = outgoing.content
            for name, link in list(self._links.items()):
                sibling = self._siblings.get(name)
                if to is None or (sibling is not None and sibling.uid == to):
                    await self._send(link, _MESSAGE, data)

    async def _send(self, link: Link, kind: int, data: bytes) -> None:
        try:
            link.write(kind, data)
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await link.drain()
        except TimeoutError:
            log.error("a worker took nothing for %s s: what is sent to it is lost", DRAIN_TIMEOUT)
            link.abort()
        except LinkLost:
            pass  # it has gone, and whoever holds the link says so

    def members(self, namespace: str) -> Collection[str]:
        return [each.uid for name, each in self._siblings.items() if namespace in each.entered and name in self._links]

    def enter(self, namespace: str) -> Awaitable[None]:
        self._entered[namespace] = None
        self._tell(_ENTER, namespace)
        return COMPLETED  # siblings send all messages to all

    def leave(self, namespace: str) -> None:
        self._entered.pop(namespace, None)
        self._tell(_LEAVE, namespace)

    def _tell(self, kind: int, namespace: str) -> None:
        for link in list(self._links.values()):
            if not link.lost:
                try:
                    link.write(kind, namespace.encode("utf-8", "surrogatepass"))
                except LinkLost:
                    pass  # as in `_send`

    # From the siblings.

    async def _read(self, link: Link, hello: Frame) -> None:
        name, sibling = "", _Sibling("", set())
        try:
            name, sibling = _parsed(hello)
            self._siblings[name] = sibling
            self._keep(name)
            while (frame := await link.read()) is not None:
                self._take(sibling, frame)
        except MalformedMessage as error:
            self._host.refuse(error)
        finally:
            link.close()
            if self._siblings.get(name) is sibling:  # else it has connected anew
                del self._siblings[name]
                self._host.member_gone(sibling.uid)

    def _take(self, sibling: _Sibling, frame: Frame) -> None:
        kind, payload = frame
        if kind == _MESSAGE:
            try:
                message = decode(payload, self._host.config.max_publish_queue)
            except MalformedMessage as error:
                self._host.refuse(error)
                return
            if message.namespace in self._entered:
                self._host.receive(message)
        elif kind == _ENTER:
            sibling.entered.add(payload.decode("utf-8", "surrogatepass"))
        elif kind == _LEAVE:
            sibling.entered.discard(payload.decode("utf-8", "surrogatepass"))
        else:
            raise MalformedMessage(f"a frame of kind {kind} from a worker")


def _parsed(hello: Frame) -> tuple[str, _Sibling]:
    try:
        value: Any = json.loads(hello.payload)
        uid, name, entered = value
        if not (isinstance(uid, str) and isinstance(name, str) and NAME.fullmatch(name)):
            raise ValueError
        return name, _Sibling(uid, {str(namespace) for namespace in entered})
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedMessage("a worker that does not say who it is") from error
