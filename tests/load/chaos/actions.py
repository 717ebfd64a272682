"""What a session does of its own accord: events, actions, and the notes that are shown when something is wrong."""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from tests.clients.protocols import CLIENT_PROTOCOLS, Frame
from tests.load.chaos.model import Model
from tests.load.chaos.plan import Script

__all__ = ["Actions"]

TEXTS = ("", "plain", "é 😀 𝄞", "x" * 200, "\u2028\\n\"'", "y" * 3000)


class Actions(ABC):
    """The part of a session that needs no connection, only a way to send."""

    def __init__(self, script: Script, counts: Counter[str], complain: Callable[[str], None]) -> None:
        self.script = script
        self.trail: deque[str] = deque(maxlen=25)
        """The last things that happened."""
        self.acts: deque[str] = deque(maxlen=25)
        """The last that it did, with the time."""
        self.model = Model(self._wrong, counts, loose="loose" in script.marks)
        self._counts = counts
        self._complain = complain
        self._complained = False
        self._protocol = CLIENT_PROTOCOLS[script.generation]
        self._rng = random.Random(f"session {script.name}")
        self._over = asyncio.Event()
        self._may_end = not script.gentle

    @abstractmethod
    def _send(self, frames: list[Frame]) -> None:
        """Give frames to what carries the session."""

    @abstractmethod
    async def _join(self, namespace: str) -> None:
        """Ask for a namespace, and wait for the answer."""

    def _note(self, what: str) -> None:
        self.trail.append(what)
        self.acts.append(f"{time.monotonic() % 1000:.2f} {what}")

    def _wrong(self, what: str) -> None:
        if self._complained:
            return  # the first says all
        self._complained = True
        trail = "\n    ".join([*self.acts, "and of all:", *self.trail])
        self._complain(f"client {self.script}\n  {what}\n  last:\n    {trail}")

    def _places(self) -> list[str]:
        return [namespace for namespace, place in self.model.places.items() if place.open]

    def _usual(self) -> None:
        places = self._places()
        if not places or self._over.is_set():
            return
        namespace = self._rng.choice(places)
        text = self._rng.choice(TEXTS)
        kind = self._rng.choices(("say", "told", "think", "boom", "bytes", "ask me"), (6, 3, 2, 1, 2, 1))[0]
        if kind == "bytes" and not self._protocol.carries_bytes:
            kind = "told"
        number = self.model.next_number(namespace)
        answer: Any = None
        args: list[Any] = [number]
        if kind in ("say", "told"):
            args.append(text)
            answer = [number, text] if kind == "told" else None
            kind = "say"
        elif kind == "think":
            args.append(self._rng.choice((0, 0.001, 0.05, 0.3)))
            answer = [number]
        elif kind == "bytes":
            args.append(self._rng.randbytes(self._rng.choice((0, 5, 300))))
            answer = [number, args[1]]
        elif kind == "boom":
            error = {"name": "handler_error", "message": "The handler of 'boom' failed"}
            answer = [{"error": error}]
        else:
            answer = [number]
        self._emit(namespace, kind, args, answer)

    def _emit(self, namespace: str, name: str, args: list[Any], answer: Any = None) -> None:
        number = None if answer is None else self.model.expect(namespace, answer)
        self._note(f"> {namespace} {name} {str(args)[:60]} ack {number}")
        self._send(self._protocol.event(namespace, name, args, number))

    async def _act(self, action: str) -> None:
        places = self._places()
        if not places or self._over.is_set():
            return
        self._counts[f"action {action}"] += 1
        namespace = places[-1]
        if action == "burst":
            for _ in range(40):
                number = self.model.next_number(namespace)
                self._emit(namespace, "say", [number, ""], [number, ""] if number % 3 else None)
        elif action == "closed":
            await self._join("/closed")
        elif action == "rejoin" and namespace != "/":
            self.model.left(namespace)
            self._send([self._protocol.disconnect(namespace)])
            await self._join(namespace)
        elif action in ("leave me", "quit") and (namespace != "/" or action == "quit"):
            self._may_end = self._may_end or action == "quit"
            self._emit(namespace, action, [self.model.next_number(namespace)])
        elif action.endswith("bulk"):
            number = self.model.next_number(namespace)
            count, size = (40, 1000) if action == "bulk" else (400, 10_000)
            self._emit(namespace, "bulk", [number, count, size], [number])
        elif action == "rude":
            self._send([self._rng.choice(("4x", "9", "42[", "451-[]", '42/nowhere,["x"]'))])
        elif action == "long think":
            self._emit(namespace, "think", [self.model.next_number(namespace), 3])
