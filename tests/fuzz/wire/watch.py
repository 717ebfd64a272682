"""The watch over a server: what it writes, whether its loop turns, what it still holds at the end."""

from __future__ import annotations

import http.client
import json
import os
import re
import threading
import time
from pathlib import Path

from tests.fuzz.wire.app import LIFE
from tests.support.servers import Server

__all__ = ["KNOWN", "Health", "LogWatch", "form_of", "leftovers", "stats"]

ALARMS = re.compile(
    r"Traceback \(most recent call last\)|Exception in ASGI application|exception was never retrieved|never awaited"
    r"|Exception in callback|Fatal error|Logging error|Exception ignored|Unhandled exception|^ERROR|^CRITICAL"
    r"|was destroyed but it is pending|ResourceWarning|\[ERROR\]",
    re.MULTILINE,
)
KNOWN: dict[str, str] = {
    "ASGI callable returned without completing handshake": (
        "uvicorn's own websockets-sansio class says so after each websocket that was refused by an answer; "
        "docs/deployment.md"
    ),
    "ASGI callable returned without completing response": (
        "uvicorn answers 400 to what comes behind a request, or breaks off its body, and no longer takes the answer to "
        "the request itself; of requests in a pipeline only the last one hears that the client has gone"
    ),
    "assert self.conn.close_sent is not None": (
        "uvicorn's websockets-sansio class stumbles over frames that break the protocol before it has answered"
    ),
    "role=SERVER and state=MUST_CLOSE": (
        "uvicorn's h11 class answers 400 to a body that breaks off in disorder, also where the request has its answer"
    ),
    "Invalid UTF-8 sequence received from client": (
        "uvicorn's websockets-sansio class writes a traceback when it closes a websocket for that, as it should"
    ),
}
"""A piece of an entry in the log -> why it is no fault of ours."""
_ENTRY = re.compile(r"^(?=(?:INFO|WARNING|ERROR|CRITICAL|DEBUG)\b|\[20|gone )", re.MULTILINE)
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')
EVERY = 0.1  # seconds between two questions
MARGIN = {"tasks": 3, "files": 6}  # what the server itself may have more than at the start


class LogWatch:
    """Reads the log as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self.known: dict[str, int] = {}

    def alarms(self) -> list[str]:
        """The entries since the last look that tell of a fault."""
        if os.path.getsize(self._path) <= self._at:
            return []
        with self._path.open("rb") as log:
            log.seek(self._at)
            new = log.read()
        if ALARMS.search(new.decode(errors="replace")) is None:
            self._at += new.rfind(b"\n") + 1
            return []
        time.sleep(0.2)  # the rest of a traceback
        with self._path.open("rb") as log:
            log.seek(self._at)
            new = log.read()
        self._at += len(new)
        return [entry for entry in _ENTRY.split(new.decode(errors="replace")) if self._is_fault(entry)]

    def _is_fault(self, entry: str) -> bool:
        if ALARMS.search(entry) is None:
            return False
        for piece in KNOWN:
            if piece in entry:
                self.known[piece] = self.known.get(piece, 0) + 1
                return False
        return True


def signature(entry: str) -> str:
    """What entries of the same fault have in common: where it was raised, and what."""
    frames = _FRAME.findall(entry)
    if not frames:
        return next(re.sub("[0-9]+", "N", line)[:80] for line in entry.splitlines() if ALARMS.search(line))
    behind = entry[entry.rindex('File "') :].splitlines()[1:]
    last = next((line for line in behind if line and not line[0].isspace()), "")
    return f"{Path(frames[-1][0]).name}:{frames[-1][1]} {frames[-1][2]} {last.partition(':')[0]}"


class Health(threading.Thread):
    """Asks the server again and again how it is, from a thread: the fuzzer's own loop may be busy."""

    def __init__(self, port: int, limit: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._limit = limit
        self._over = threading.Event()
        self.slowest = 0.0
        self.asked = 0
        self.fault = ""

    def run(self) -> None:
        while not self._over.wait(EVERY) and not self.fault:
            begun = time.monotonic()
            try:
                _get(self._port, "/health", self._limit)
            except OSError as error:
                if not self._over.is_set():
                    self.fault = f"/health was not answered within {self._limit} s: {error!r}"
                return
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def stop(self) -> None:
        """No more questions."""
        self._over.set()
        self.join()


def stats(server: Server, *, collect: bool = False) -> dict[str, int]:
    """What the server holds."""
    found: dict[str, int] = json.loads(_get(server.port, "/stats?collect" if collect else "/stats", 20))
    return found


def form_of(server: Server) -> dict[str, str]:
    """What the server runs on, see `tests.support.forms.served`."""
    found: dict[str, str] = json.loads(_get(server.port, "/form", 20))
    return found


def leftovers(server: Server, before: dict[str, int], within: float = 5 * LIFE) -> tuple[dict[str, int], str]:
    """What the server holds when everybody has gone, and what of that should not be there."""
    deadline = time.monotonic() + within
    while True:
        now = stats(server, collect=True)
        left = {
            name: now[name]
            for name in ("sockets", "active_sessions", "members", "rooms", "tasks", "files")
            if now[name] > (before[name] + MARGIN[name] if name in MARGIN else 0)
        }
        if not left:
            return now, ""
        if time.monotonic() > deadline:
            return now, f"left over after {within} s: {left}; at the start there was {before}"
        time.sleep(0.2)


def _get(port: int, path: str, timeout: float) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    except http.client.HTTPException as error:
        raise OSError(f"{error!r}") from error
    finally:
        connection.close()
