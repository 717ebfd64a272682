"""What is told before a server ends its connections."""

from __future__ import annotations

from typing import Any

from asocketio.servers.shutdown import call_at_shutdown


class Protocol:
    """As uvicorn's: each request knows it by ``on_response``."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def shutdown(self) -> None:
        self.log.append("shutdown")

    def on_response_complete(self) -> None: ...


class Request:
    def __init__(self, protocol: Protocol) -> None:
        self.on_response = protocol.on_response_complete

    async def receive(self) -> Any: ...


class App:
    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def begin_close(self) -> None:
        self.log.append(self.name)


def test_each_app_is_told_once_and_before_the_connection_ends() -> None:
    log: list[str] = []
    protocol, one, other = Protocol(log), App("one", log), App("other", log)
    for app in (one, other, one):
        call_at_shutdown(Request(protocol).receive, app.begin_close)
    protocol.shutdown()
    assert sorted(log[:-1]) == ["one", "other"]
    assert log[-1] == "shutdown"


def test_other_servers_are_left_alone() -> None:
    async def receive() -> Any: ...

    call_at_shutdown(receive, lambda: None)
    call_at_shutdown(Request.receive.__get__(object()), lambda: None)
