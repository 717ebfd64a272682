"""What a namespace class may not hide of BaseNamespace, and what it overrides on purpose."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import pytest

from asocketio import BaseNamespace, BroadcastMixin, RoomsMixin, UsageError, event
from asocketio.session.own_names import OF_OBJECTS
from asocketio.testing import TestClient
from tests.support.worlds import serve

OWN = [name for name in vars(BaseNamespace) if not (name.startswith("__") and name.endswith("__"))]
VALUES = [name for name in OWN if isinstance(vars(BaseNamespace)[name], property)] + sorted(OF_OBJECTS)
METHODS = [name for name in OWN if callable(vars(BaseNamespace)[name]) and not name.startswith("_")]
HOOKS = ("recv_connect", "recv_disconnect", "recv_message", "recv_json", "recv_error")
SETTINGS = ("middleware",)


def made(*bases: type, **attributes: Any) -> type:
    return type("Wrong", (*bases, BaseNamespace), attributes)


def test_the_lists_are_what_they_say() -> None:
    """A name that is new in BaseNamespace is in one of them by itself."""
    assert {"data", "handshake", "namespace", "params", "sid", "rooms", "session", "recovered", "request"} <= {*VALUES}
    assert {"emit", "call", "to", "join", "leave", "spawn", "disconnect", "error", "process_packet"} <= {*METHODS}
    assert [name for name in OWN if name not in (*VALUES, *METHODS, *SETTINGS) and not name.startswith("_")] == []


def test_what_objects_are_given_is_in_the_list() -> None:
    names = set(BaseNamespace.__init__.__code__.co_names)
    assert names >= OF_OBJECTS


@pytest.mark.parametrize("value", [None, 1, "x", {}, ["x"]])
@pytest.mark.parametrize("name", [*VALUES, *METHODS])
def test_a_class_attribute_hides_no_method_and_no_value(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^Wrong.{name} (hides|is no method|would never)"):
        made(**{name: value})


@pytest.mark.parametrize("name", [*VALUES, *METHODS, *SETTINGS])
def test_the_method_of_an_event_hides_none(name: str) -> None:
    if name in HOOKS:
        made(**{name: event("x")(lambda self, packet=None: None)})
        return
    with pytest.raises(UsageError, match=f"^Wrong.{name} hides what BaseNamespace has by that name: name the method"):
        made(**{name: event("x")(lambda self: None)})


@pytest.mark.parametrize("name", VALUES)
def test_a_plain_method_hides_no_value(name: str) -> None:
    with pytest.raises(UsageError, match=f"^Wrong.{name} hides a value"):
        made(**{name: lambda self: None})


@pytest.mark.parametrize("name", [name for name in OWN if name.startswith("_")])
def test_the_inside_is_its_own(name: str) -> None:
    with pytest.raises(UsageError, match=f"^Wrong.{name} hides a part of BaseNamespace"):
        made(**{name: lambda self: None})


def test_slots_hide_no_value() -> None:
    with pytest.raises(UsageError, match=r"^Wrong.data hides a value"):
        made(__slots__=("data",))


def test_a_base_that_is_no_namespace_hides_none_either() -> None:
    class Helper:
        data: ClassVar[Any] = {}

    with pytest.raises(UsageError, match=r"^Wrong.data hides a value"):
        made(Helper)
    type("Right", (BaseNamespace, Helper), {})  # BaseNamespace comes first: nothing is hidden


def test_what_overrides_on_purpose_is_taken() -> None:
    class Chat(BaseNamespace, RoomsMixin, BroadcastMixin):
        middleware = ()
        data: dict[str, Any]

        @property
        def session(self) -> dict[str, Any]:
            return {}

        @functools.cached_property
        def params(self) -> Any:
            return {}

        def emit(self, name: str, *args: Any, **kwargs: Any) -> Any:
            return super().emit(name, *args, **kwargs)

        join_lobby = functools.partialmethod(BaseNamespace.join, "lobby")
        leave = functools.partialmethod(BaseNamespace.leave)  # type: ignore[assignment]

        @event("join")
        def on_join_event(self) -> None: ...

        def recv_message(self, data: Any) -> None: ...

    class Child(Chat):
        def error(self, *args: Any, **kwargs: Any) -> None: ...

    assert Child._handlers.find("join") == "on_join_event"


async def test_an_override_is_not_called_by_the_package_itself() -> None:
    """What it does for a verb it does by its own parts."""

    class Chat(BaseNamespace, RoomsMixin, BroadcastMixin):
        def initialize(self) -> None:
            self.joined: list[str] = []

        def join(self, room: str) -> Any:
            self.joined.append(room)
            return super().join(room)

        def broken(self, *args: Any, **kwargs: Any) -> Any:
            raise AssertionError

        leave = send = call = to = except_ = timeout = disconnect = kill_local_jobs = broken  # type: ignore[assignment]
        lift_acl_restrictions = add_acl_method = del_acl_method = broken  # type: ignore[assignment]

        @property
        def rooms(self) -> Any:
            raise AssertionError

        sid = handshake = namespace = params = recovered = recoverable = local = volatile = rooms  # type: ignore[assignment]

        async def on_enter(self) -> list[str]:
            await self.join("lobby")
            await self.emit_to_room("lobby", "x")
            await self.broadcast_event("y")
            return self.joined

        async def on_ask(self, sid: str) -> Any:
            [peer] = await self.environ["asocketio"].of("/").sockets()
            return sorted(peer.rooms)

    client: TestClient
    async with serve(Chat) as client:
        namespace = await client.connect()
        assert await namespace.call("enter") == ["lobby"]
        assert await namespace.receive() == ("y",)
        assert await namespace.call("ask", "") == ["lobby"]
        assert (await namespace.call("unheard of"))["error"]["name"] == "no_such_method"
