"""Which methods handle what, how they want to be called, and classes that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio.errors import UsageError
from asocketio.namespace import BaseNamespace
from asocketio.session.handlers import Handler, Handlers, event


def handler(
    name: str = "on_x", least: int = 0, most: int | None = 0, *, wants_packet: bool = False, is_hook: bool = False
) -> Handler:
    return Handler(name, least, most, wants_packet, is_hook)


# ---- reading a class -------------------------------------------------------------------------------------------


def test_methods_called_on_something_and_hooks_are_handlers() -> None:
    class Chat:
        attribute = 1
        on_value = "not callable"

        def on_join(self, room: str, why: str = "") -> None: ...

        async def on_many(self, first: str, *rest: Any) -> None: ...

        def on_packet(self, packet: Any) -> None: ...

        def on_two(self, packet: Any, more: Any) -> None: ...

        def on_quiet(self, *, quiet: bool = False, **more: Any) -> None: ...

        def on_strict(self, a: int, /, b: int) -> None: ...

        def recv_connect(self, auth: Any) -> None: ...

        def recv_disconnect(self) -> None: ...

        def recv_other(self) -> None: ...

        def other(self) -> None: ...

    handlers = Handlers(Chat)
    assert handlers.by_name == {
        "on_join": handler("on_join", 1, 2),
        "on_many": handler("on_many", 1, None),
        "on_packet": handler("on_packet", 1, 1, wants_packet=True),
        "on_two": handler("on_two", 2, 2),
        "on_quiet": handler("on_quiet", 0, 0),
        "on_strict": handler("on_strict", 2, 2),
        "recv_connect": handler("recv_connect", 1, 1, is_hook=True),
        "recv_disconnect": handler("recv_disconnect", 0, 0, is_hook=True),
    }
    assert (handlers.by_event, handlers.catch_all, handlers.message, handlers.decorated) == ({}, None, None, False)


def test_events_are_found_by_mark_then_by_name() -> None:
    class Chat:
        def on_join(self) -> None: ...

        def on_user_message(self) -> None: ...

        @event("file:chunk", "file chunk")
        def chunk(self) -> None: ...

        @event("join")
        def marked(self) -> None: ...

        @event("*")
        def rest(self, name: str, *args: Any) -> None: ...

    handlers = Handlers(Chat)
    names = ["join", "user message", "user_message", "file:chunk", "file chunk", "chunk", "marked", "*", "", "message"]
    assert {name: handlers.find(name) for name in names} == {
        "join": "marked",
        "user message": "on_user_message",
        "user_message": "on_user_message",
        "file:chunk": "chunk",
        "file chunk": "chunk",
        "chunk": None,
        "marked": None,
        "*": None,
        "": None,
        "message": None,
    }
    assert handlers.catch_all == "rest"
    assert handlers.by_name["rest"] == handler("rest", 1, None)


def test_no_name_that_a_client_sends_reaches_another_method() -> None:
    class Chat:
        def recv_connect(self) -> None: ...

        def disconnect(self) -> None: ...

    handlers = Handlers(Chat)
    assert [handlers.find(name) for name in ("disconnect", "recv_connect", "recv connect", "__init__", "../x")] == [
        None
    ] * 5


def test_marks_may_be_stacked() -> None:
    class Chat:
        @event("a")
        @event("b", "c")
        def method(self) -> None: ...

    assert Handlers(Chat).by_event == {"b": "method", "c": "method", "a": "method"}


def test_handlers_are_inherited_and_overridden() -> None:
    class Parent:
        def on_a(self) -> None: ...

        def on_b(self) -> None: ...

        @event("c")
        def marked(self) -> None: ...

    class Child(Parent):
        def on_b(self, more: int = 0) -> None: ...

    handlers = Handlers(Child)
    assert handlers.by_name == {
        "on_a": handler("on_a"),
        "on_b": handler("on_b", 0, 1),
        "marked": handler("marked"),
    }
    assert handlers.find("c") == "marked"


def test_recv_message_hears_messages_unless_it_is_the_one_that_does_nothing() -> None:
    class Silent(BaseNamespace): ...

    class Hearing(BaseNamespace):
        def recv_message(self, data: Any) -> None: ...

    class Preferring(Hearing):
        def on_message(self, data: Any) -> None: ...

    found = [Handlers(cls).find("message") for cls in (BaseNamespace, Silent, Hearing, Preferring)]
    assert found == [None, None, "recv_message", "on_message"]


def test_an_exception_handler_decorator_is_noticed() -> None:
    class Chat:
        def exception_handler_decorator(self, function: Any) -> Any: ...

    assert Handlers(Chat).decorated


# ---- classes that make no sense --------------------------------------------------------------------------------


def test_a_handler_is_a_plain_method() -> None:
    class Static:
        @staticmethod
        def on_x() -> None: ...

    class Class:
        @classmethod
        def on_x(cls) -> None: ...

    class Marked:
        @event("x")
        @staticmethod
        def method() -> None: ...

    messages = []
    for cls in (Static, Class, Marked):
        with pytest.raises(UsageError) as caught:
            Handlers(cls)
        messages.append(str(caught.value).split(".")[-1])
    assert messages == [
        "on_x is a staticmethod: handlers are plain methods",
        "on_x is a classmethod: handlers are plain methods",
        "method is a staticmethod: handlers are plain methods",
    ]


def test_a_mark_inside_of_a_staticmethod_is_noticed() -> None:
    class Chat:
        @staticmethod
        @event("x")
        def method() -> None: ...

    with pytest.raises(UsageError, match=r"method is a staticmethod: handlers are plain methods$"):
        Handlers(Chat)


def test_an_event_has_one_handler() -> None:
    class Chat:
        @event("x")
        def first(self) -> None: ...

        @event("x")
        def second(self) -> None: ...

    with pytest.raises(UsageError, match=r"Chat: both first and second handle the event 'x'$"):
        Handlers(Chat)


def test_a_handler_needs_no_keyword_arguments() -> None:
    class Chat:
        def on_x(self, a: int, *, b: int) -> None: ...

    with pytest.raises(UsageError) as caught:
        Handlers(Chat)
    assert str(caught.value) == ("Chat.on_x needs the keyword argument 'b'; a client can send only positional ones")


@pytest.mark.parametrize("names", [(), (1,), ("a", None)])
def test_event_takes_names(names: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        event(*names)
    assert str(caught.value) == 'event takes the names of events: @event("file:chunk")'


def test_event_without_its_brackets_is_noticed() -> None:
    with pytest.raises(UsageError):
        event(lambda self: None)  # type: ignore[arg-type]


# ---- arguments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "given", "fitted"),
    [
        (handler(least=0, most=0), (), ()),
        (handler(least=0, most=0), (1,), None),
        (handler(least=1, most=2), (), None),
        (handler(least=1, most=2), (1,), (1,)),
        (handler(least=1, most=2), (1, 2), (1, 2)),
        (handler(least=1, most=2), (1, 2, 3), None),
        (handler(least=1, most=None), (), None),
        (handler(least=1, most=None), (1, 2, 3), (1, 2, 3)),
        (handler(least=0, most=0, is_hook=True), (1, 2), ()),
        (handler(least=1, most=1, is_hook=True), (1, 2), (1,)),
        (handler(least=2, most=2, is_hook=True), (1,), None),
        (handler(least=0, most=None, is_hook=True), (1, 2), (1, 2)),
    ],
)
def test_arguments_fit_or_do_not(wanted: Handler, given: tuple[Any, ...], fitted: tuple[Any, ...] | None) -> None:
    assert wanted.fit(given) == fitted


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (0, 0, "0 arguments"),
        (1, 1, "1 argument"),
        (2, 2, "2 arguments"),
        (0, 1, "0 to 1 arguments"),
        (2, 3, "2 to 3 arguments"),
        (2, None, "at least 2 arguments"),
    ],
)
def test_what_a_handler_takes_can_be_said(least: int, most: int | None, words: str) -> None:
    assert handler(least=least, most=most).takes == words


def test_overriding_a_marked_method_keeps_its_events() -> None:
    class Parent:
        @event("x")
        def method(self) -> None: ...

    class Child(Parent):
        def method(self) -> None: ...

    assert Handlers(Child).find("x") == "method"


def test_only_a_plain_argument_named_packet_takes_the_packet() -> None:
    class Chat:
        def on_one(self, packet: Any) -> None: ...

        def on_many(self, *packet: Any) -> None: ...

    handlers = Handlers(Chat).by_name
    assert (handlers["on_one"].wants_packet, handlers["on_many"].wants_packet) == (True, False)
