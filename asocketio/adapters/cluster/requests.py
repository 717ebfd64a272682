"""Questions: what this server has asked the others, and waits to be told."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from asocketio.adapters.ack_collector import AckCollector
from asocketio.adapters.cluster.engine import Engine, Outgoing
from asocketio.adapters.cluster.messages import (
    Ack,
    Answer,
    Body,
    ClientCount,
    Gone,
    Message,
)
from asocketio.adapters.cluster.publisher import Publisher
from asocketio.errors import BusDown
from asocketio.runtime.awaitables import COMPLETED

__all__ = ["Questions", "new_request_id"]

_COUNTING = object()
"""Stands for the other servers as long as it is not known how many they are."""


def new_request_id() -> str:
    """The name of a question, as Node has it: 16 hexadecimal digits."""
    return secrets.token_hex(8)


OfClients = ClientCount | Ack | Gone
"""What answers a question for the acks of clients."""


class Question:
    """One question. ``read`` makes of an answer of a server what the collector wants; None: clients answer."""

    __slots__ = ("answers", "expected", "finished", "heard", "read", "unnamed")

    def __init__(self, answers: AckCollector, read: Callable[[Any], Any] | None) -> None:
        self.answers = answers
        self.read = read
        self.expected: set[str] | None = None
        """The servers that are asked; None where only their number is known."""
        self.unnamed: list[object] | None = None
        """Of those whose number alone is known, one for each that has not been heard yet. None: not counted yet."""
        self.heard: set[str] = set()
        self.finished: set[tuple[str, str | None]] = set()
        """The answers that are in, by server and client: they may come twice."""

    def expect(self, others: set[str]) -> None:
        """These other servers are asked."""
        self.expected = others
        for uid in others:
            self.answers.expect_server(uid)

    def count(self, others: int) -> None:
        """So many other servers are asked."""
        self.unnamed = [object() for _ in range(others - len(self.heard))]
        for each in self.unnamed:
            self.answers.expect_server(each)
        self.answers.server_answered(_COUNTING)

    def admits(self, uid: str) -> bool:
        """Whether the server is one of those that were asked."""
        if self.expected is not None:
            return uid in self.expected
        if uid not in self.heard:
            if self.unnamed is not None and not self.unnamed:
                return False
            self.heard.add(uid)
            self.answers.expect_server(uid)
            if self.unnamed is not None:
                self.answers.server_answered(self.unnamed.pop())
        return True

    def take(self, uid: str, body: Answer) -> None:
        """An answer of a server that was asked."""
        if isinstance(body, OfClients) != (self.read is None):
            return
        is_of_client = isinstance(body, Ack | Gone)
        sid = body.sid if isinstance(body, Ack | Gone) else None
        if not is_of_client or sid is not None:
            if (uid, sid) in self.finished:
                return
            self.finished.add((uid, sid))
        if isinstance(body, ClientCount):
            self.answers.server_asked(uid, body.clients)
        elif isinstance(body, Ack):
            self.answers.client_answered(uid, body.args)
        elif isinstance(body, Gone):
            self.answers.client_gone(uid)
        elif self.read is not None:
            self.answers.server_answered(uid, self.read(body))


class Questions:
    """The questions of this server that have not been answered by all."""

    def __init__(self, engine: Engine, publisher: Publisher, members: Callable[[str], set[str]]) -> None:
        self._engine = engine
        self._publisher = publisher
        self._members = members
        self._open: dict[str, tuple[str, Question]] = {}
        """By their names: the namespace, and the question."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Wait for nobody any more."""
        self._open.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def is_asked_in(self, namespace: str) -> bool:
        """Whether an answer in this namespace is awaited."""
        return any(where == namespace for where, _ in self._open.values())

    def ask(
        self,
        namespace: str,
        body: Body,
        request_id: str,
        answers: AckCollector,
        read: Callable[[Any], Any] | None,
        *,
        here: Callable[[], None] | None = None,
        entered: Awaitable[None] = COMPLETED,
    ) -> None:
        """Ask all other servers. ``here`` asks this one: before, and when it is sure that the others can be asked.

        Nothing is sent before this server is ``entered``, where answers reach it.

        Raises:
            UsageError: the question has no form on the bus. Nobody was asked.
            Overflow: it is too large. Nobody was asked.
        """
        outgoing = self._publisher.encode(namespace, body)
        if here is not None:
            here()
        question = Question(answers, read)
        is_ready = entered is COMPLETED or (isinstance(entered, asyncio.Future) and entered.done())
        is_counted = self._engine.membership == "counted"
        if is_ready and not is_counted:
            question.expect(self._members(namespace))
            if not question.expected:
                return
        else:
            question.expected = None if is_counted else set()
            answers.expect_server(_COUNTING)
        self._open[request_id] = namespace, question
        answers.when_closed(lambda: self._forget(request_id))
        if is_ready:
            self._publisher.put(outgoing)
        if is_counted or not is_ready:
            self._spawn(self._begin(namespace, question, entered, None if is_ready else outgoing))

    def take(self, message: Message) -> None:
        """An answer has come. One that is late, or that nobody here asked for, is ignored."""
        body = message.body
        assert isinstance(body, Answer)
        found = self._open.get(body.request_id)
        if found is None or found[0] != message.namespace or not found[1].admits(message.uid):
            return
        found[1].take(message.uid, body)

    def heard(self, request_id: str) -> set[str]:
        """The servers that have said something to an open question, where only their number was known."""
        found = self._open.get(request_id)
        return set() if found is None else set(found[1].heard)

    def member_gone(self, uid: str, namespace: str | None = None) -> None:
        """Nobody waits for the answer of a server that has left; in all namespaces, or in one."""
        for where, question in list(self._open.values()):
            if namespace in (None, where):
                question.answers.server_gone(uid)

    def _forget(self, request_id: str) -> None:
        self._open.pop(request_id, None)

    async def _begin(
        self, namespace: str, question: Question, entered: Awaitable[None], outgoing: Outgoing | None
    ) -> None:
        """Wait until answers can come, and until it is known whose."""
        await entered
        if question.expected is not None:
            question.expect(self._members(namespace))
            question.answers.server_answered(_COUNTING)
        if outgoing is not None:
            self._publisher.put(outgoing)
        if question.expected is None:
            try:
                question.count(await self._engine.count(namespace))
            except BusDown:
                pass  # nobody answers: it ends by its time-out

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="ask the cluster")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
