"""Handlers as people write them: decorated, made by functools, set on the class or on one object, after the fact."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pytest

from asocketio import BaseNamespace, ConnectionRefused, SocketIOApp, UsageError, event
from asocketio.testing import TestClient
from tests.support.worlds import Way, serve, until

Log = pytest.LogCaptureFixture

# ---- decorators -------------------------------------------------------------------------------------------------


def bare(function: Any) -> Any:
    async def wrapper(*args: Any) -> Any:
        result = function(*args)
        return await result if hasattr(result, "__await__") else result

    return wrapper


def bare_with_self(function: Any) -> Any:
    async def wrapper(self: Any, *args: Any, **named: Any) -> Any:
        result = function(self, *args, **named)
        return await result if hasattr(result, "__await__") else result

    return wrapper


def wrapping(function: Any) -> Any:
    return functools.wraps(function)(bare(function))


def wrapping_with_self(function: Any) -> Any:
    return functools.wraps(function)(bare_with_self(function))


def adding(function: Any) -> Any:
    """Gives the function one argument more."""

    @functools.wraps(function)
    async def wrapper(self: Any, *args: Any) -> Any:
        return await function(self, "db", *args)

    return wrapper


def adding_exactly(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(self: Any, text: Any) -> Any:
        return await function(self, "db", text)

    return wrapper


def taking_away(function: Any) -> Any:
    """Takes the first argument for itself."""

    @functools.wraps(function)
    async def wrapper(self: Any, token: Any, *args: Any) -> Any:
        return token, await function(self, *args)

    return wrapper


class Binding:
    """A decorator that is a class, and a descriptor."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return functools.partial(self.function, instance)


class Answering:
    """A callable that needs no namespace."""

    def __call__(self, text: str) -> str:
        return f"object {text}"


class AnsweringPacket:
    def __call__(self, packet: Any) -> Any:
        return packet["args"]


def said(text: str, more: str = "") -> str:
    return f"function {text}{more}"


class Desk(BaseNamespace):
    """One handler of each kind; each tells what it got."""

    @bare
    async def on_bare(self, text: str) -> Any:
        return self.ns_name, text

    @bare_with_self
    def on_bare_with_self(self, text: str) -> Any:
        return self.ns_name, text

    @wrapping
    async def on_wrapping(self, text: str) -> Any:
        return self.ns_name, text

    @wrapping_with_self
    @bare
    @wrapping
    async def on_wrapping_twice(self, text: str) -> Any:
        return self.ns_name, text

    @adding
    async def on_adding(self, db: str, text: str) -> Any:
        return db, text

    @adding_exactly
    async def on_adding_exactly(self, db: str, text: str) -> Any:
        return db, text

    @taking_away
    async def on_taking_away(self) -> Any:
        return "nothing left"

    @wrapping_with_self
    async def on_packet(self, packet: Any) -> Any:
        return packet["args"]

    async def tell(self, kind: str, text: str, more: str = "") -> Any:
        return self.ns_name, kind, text

    on_partial = functools.partialmethod(tell, "kind")
    on_partial_by_name = functools.partialmethod(tell, more="more")

    @functools.singledispatchmethod
    async def on_dispatch(self, value: Any) -> Any:
        return "any", value

    @on_dispatch.register
    async def _(self, value: int, more: int = 0) -> Any:
        return "int", value, more

    @Binding
    async def on_descriptor(self, text: str) -> Any:
        return self.ns_name, text

    on_object = Answering()
    on_object_packet = AnsweringPacket()
    on_function_partial = functools.partial(said, more="!")
    on_builtin = len
    on_no_signature = max

    @event("dotted.partial")
    @wrapping
    async def marked_on_top(self, text: str) -> Any:
        return self.ns_name, text

    @wrapping
    @event("dotted.below")
    async def marked_below(self, text: str) -> Any:
        return self.ns_name, text


NAMESPACE = "/desk"
CALLS: list[tuple[str, tuple[Any, ...], Any]] = [
    ("bare", ("a",), (NAMESPACE, "a")),
    ("bare with self", ("a",), (NAMESPACE, "a")),
    ("wrapping", ("a",), (NAMESPACE, "a")),
    ("wrapping_twice", ("a",), (NAMESPACE, "a")),
    ("adding", ("a",), ("db", "a")),
    ("adding_exactly", ("a",), ("db", "a")),
    ("taking_away", ("a",), ("a", "nothing left")),
    ("packet", ("a",), ["a"]),
    ("partial", ("a",), (NAMESPACE, "kind", "a")),
    ("partial_by_name", ("a", "b"), (NAMESPACE, "a", "b")),
    ("dispatch", ("a",), ("any", "a")),
    ("dispatch", (1,), ("int", 1, 0)),
    ("dispatch", (1, 2), ("int", 1, 2)),
    ("descriptor", ("a",), (NAMESPACE, "a")),
    ("object", ("a",), "object a"),
    ("object_packet", ("a",), ["a"]),
    ("function_partial", ("a",), "function a!"),
    ("builtin", ("abc",), 3),
    ("no_signature", (1, 3, 2), 3),
    ("dotted.partial", ("a",), (NAMESPACE, "a")),
    ("dotted.below", ("a",), (NAMESPACE, "a")),
]
MISFITS: list[tuple[str, tuple[Any, ...]]] = [
    ("adding_exactly", ()),
    ("adding_exactly", ("a", "b")),
    ("taking_away", ()),
    ("partial", ()),
    ("partial", ("a", "b", "c")),
    ("dispatch", ()),
    ("dispatch", (1, 2, 3)),
    ("descriptor", ()),
    ("object", ()),
    ("object", ("a", "b")),
    ("function_partial", ()),
    ("builtin", ()),
]


def error_of(answer: Any) -> str:
    name: str = answer["error"]["name"]
    return name


async def test_a_handler_gets_what_it_accepts(way: Way) -> None:
    async with serve(Desk, name=NAMESPACE, **way) as client:
        desk = await client.connect(NAMESPACE)
        answers = [await desk.call(name, *args) for name, args, _ in CALLS]
    assert answers == [answer for _, _, answer in CALLS]


async def test_what_a_handler_does_not_accept_is_said(way: Way) -> None:
    async with serve(Desk, name=NAMESPACE, **way) as client:
        desk = await client.connect(NAMESPACE)
        answers = [error_of(await desk.call(name, *args)) for name, args in MISFITS]
    assert answers == ["invalid_arguments"] * len(MISFITS)


# ---- hooks ------------------------------------------------------------------------------------------------------


async def without(self: Any) -> None:
    self.session["auth"] = "none"


async def with_auth(self: Any, auth: Any) -> None:
    self.session["auth"] = auth["name"]


async def with_db(self: Any, db: str, auth: Any) -> None:
    self.session["auth"] = auth["name"]


async def keeping_auth(self: Any, auth: Any, /) -> None:
    self.session["auth"] = auth["name"]
    await without_function(self)


async def without_function(self: Any) -> None: ...


HOOKS: list[tuple[Callable[..., Any], str]] = [
    (bare(with_auth), "ada"),
    (bare_with_self(with_auth), "ada"),
    (wrapping(with_auth), "ada"),
    (wrapping(without), "none"),
    (wrapping_with_self(without), "none"),
    (wrapping(bare(with_auth)), "ada"),
    (adding(with_db), "ada"),
    (adding_exactly(with_db), "ada"),
    (functools.wraps(without_function)(keeping_auth), "ada"),
    (functools.partialmethod(with_db, "db"), "ada"),
    (Binding(with_auth), "ada"),
]


@pytest.mark.parametrize(("hook", "heard"), HOOKS)
async def test_recv_connect_gets_what_it_accepts(hook: Any, heard: str) -> None:
    class Door(BaseNamespace):
        recv_connect = hook

        def on_heard(self) -> Any:
            return self.session["auth"]

    async with serve(Door) as client:
        assert await (await client.connect("/", auth={"name": "ada"})).call("heard") == heard


@pytest.mark.parametrize("decorator", [bare, bare_with_self, wrapping, wrapping_with_self, Binding])
async def test_the_other_hooks_get_what_they_accept(decorator: Any) -> None:
    heard: list[Any] = []

    class Door(BaseNamespace):
        @decorator
        async def recv_disconnect(self, reason: str) -> None:
            heard.append(reason)

        @decorator
        async def recv_message(self, data: Any) -> None:
            heard.append(data)

    async with serve(Door) as client:
        door = await client.connect()
        await door.send("text")
        await door.disconnect()
        await until(lambda: len(heard) == 2)
    assert heard == ["text", "client namespace disconnect"]


def test_what_wraps_a_hook_of_ours_is_an_override() -> None:
    class Chat(BaseNamespace):
        process_event = wrapping(BaseNamespace.process_event)
        recv_message = wrapping(BaseNamespace.recv_message)

    assert (Chat._handlers.plain, Chat._handlers.find("message")) == (False, "recv_message")


# ---- set afterwards ---------------------------------------------------------------------------------------------


async def late(self: Any, text: str) -> Any:
    return "late", self.ns_name, text


async def late_packet(self: Any, packet: Any) -> Any:
    return "late", packet["args"]


class Base(BaseNamespace):
    def on_old(self) -> str:
        return "old"


async def test_a_method_set_on_a_class_is_a_handler(way: Way) -> None:
    class Parent(Base): ...

    class Child(Parent): ...

    Child.on_new = late
    Parent.on_old = late_packet
    Parent.marked = event("dotted.name")(lambda self, text: ("marked", text))
    async with serve(Child, name="/late", **way) as client:
        child = await client.connect("/late")
        assert await child.call("new", "a") == ("late", "/late", "a")
        assert await child.call("old", "a", "b") == ("late", ["a", "b"])
        assert await child.call("dotted.name", "a") == ("marked", "a")


async def test_a_method_set_while_clients_are_there_is_a_handler() -> None:
    class Chat(Base): ...

    async with serve(Chat) as client:
        chat = await client.connect()
        assert error_of(await chat.call("new", "a")) == "no_such_method"
        Chat.on_new = late
        Chat.on_old = late
        assert await chat.call("new", "a") == ("late", "", "a")
        assert await chat.call("old", "a") == ("late", "", "a")
        del Chat.on_new
        await chat.call("nobody")
        assert error_of(await chat.call("new", "a")) == "no_such_method"


def test_what_was_set_and_cannot_be_called_is_refused_by_the_app() -> None:
    class Chat(Base): ...

    Chat.on_new = staticmethod(said)
    with pytest.raises(UsageError, match=r"^Chat\.on_new is a staticmethod: handlers are plain methods$"):
        SocketIOApp(namespaces={"/": Chat})


class Own(Base):
    """Sets its handlers in ``initialize``; ``recv_connect`` and `on_more` set others."""

    def initialize(self) -> None:
        self.on_new = self.tell
        self.on_packet = lambda packet: packet["args"]
        self.on_old = self.tell
        self.chunk = event("file:chunk")(lambda data: ("chunk", data))

    def tell(self, text: str) -> Any:
        return self.ns_name, text

    def recv_connect(self) -> None:
        self.on_admitted = functools.partial(self.tell, "admitted")

    def on_more(self) -> None:
        self.on_late = self.tell
        self.on_new = lambda: "replaced"


async def test_functions_set_on_an_object_are_its_handlers(way: Way) -> None:
    async with serve(Own, name="/own", **way) as client:
        own = await client.connect("/own")
        assert await own.call("new", "a") == ("/own", "a")
        assert await own.call("packet", "a", "b") == ["a", "b"]
        assert await own.call("old", "a") == ("/own", "a")
        assert await own.call("file:chunk", "a") == ("chunk", "a")
        assert await own.call("admitted") == ("/own", "admitted")
        assert error_of(await own.call("late", "a")) == "no_such_method"
        await own.call("more")
        assert await own.call("late", "a") == ("/own", "a")
        assert await own.call("new") == "replaced"
        assert "on_new" not in Own._handlers.by_name


async def test_objects_with_the_same_functions_share_their_handlers() -> None:
    app = SocketIOApp(namespaces={"/": Own})
    found = []
    for _ in range(2):
        async with TestClient(app) as client:
            await client.connect()
            (socket,) = app.server.sockets.values()
            found.append(socket[""]._handlers)
    assert found[0] is found[1] is not Own._handlers


async def test_a_class_is_read_again_only_where_its_methods_changed() -> None:
    class Counting(Base):
        clients = 0

        def initialize(self) -> None:
            type(self).clients += 1

    handlers = Counting._handlers
    for _ in range(2):
        async with serve(Counting) as client:
            await client.connect()
    assert (Counting.clients, Counting._handlers is handlers) == (2, True)
    Counting.on_old = late_packet
    async with serve(Counting) as client:
        assert await (await client.connect()).call("old", 1) == ("late", [1])
    assert Counting._handlers is not handlers


async def test_an_object_takes_a_handler_away() -> None:
    class Closed(Base):
        def initialize(self) -> None:
            self.on_old = None
            self.on_other = self.repr

        def repr(self) -> str:
            return "other"

    async with serve(Closed) as client:
        closed = await client.connect()
        assert error_of(await closed.call("old")) == "no_such_method"
        assert await closed.call("other") == "other"


async def test_hooks_set_on_an_object_are_its_hooks() -> None:
    heard: list[Any] = []

    class Chat(Base):
        def initialize(self) -> None:
            self.recv_connect = lambda auth: heard.append(auth)
            self.recv_message = lambda data: heard.append(data)
            self.recv_disconnect = lambda: heard.append("end")
            self.process_event = self.watch

        def watch(self, packet: Any) -> Any:
            heard.append(packet.name)
            return BaseNamespace.process_event(self, packet)

    async with serve(Chat) as client:
        chat = await client.connect("/", auth={"a": 1})
        await chat.call("old")
        await chat.send("text")
        await chat.disconnect()
        await until(lambda: "end" in heard)
    assert heard == [{"a": 1}, "old", "message", "text", "end"]


async def test_a_namespace_may_delegate_by_getattr() -> None:
    class Delegating(Base):
        def __getattr__(self, name: str) -> Any:
            if name == "on_told":
                return lambda text: ("told", text)
            raise AttributeError(name)

        @property
        def on_property(self) -> Any:
            return lambda: "property"

        @property
        def on_value(self) -> bool:
            return True

    async with serve(Delegating) as client:
        chat = await client.connect()
        assert await chat.call("told", "a") == ("told", "a")
        assert error_of(await chat.call("told")) == "invalid_arguments"
        assert await chat.call("property") == "property"
        assert [error_of(await chat.call(name)) for name in ("value", "nobody")] == ["no_such_method"] * 2


async def test_handlers_of_an_object_that_cannot_be_called_refuse_the_client(caplog: Log) -> None:
    class Chat(Base):
        def initialize(self) -> None:
            def needing(*, b: int) -> None: ...

            self.on_needing = needing

    async with serve(Chat) as client:
        with pytest.raises(ConnectionRefused):
            await client.connect()
    assert "Chat.on_needing needs the keyword argument 'b'" in caplog.text


async def test_a_class_whose_base_forgets_init_subclass_has_its_own_handlers() -> None:
    known: list[type] = []

    class Registered(Base):
        def __init_subclass__(cls) -> None:  # without super().__init_subclass__()
            known.append(cls)

    class Chat(Registered):
        def on_new(self) -> str:
            return "new"

    async with serve(Chat) as client:
        chat = await client.connect()
        assert [await chat.call(name) for name in ("old", "new")] == ["old", "new"]
    assert (known, "on_new" in Base._handlers.by_name) == ([Chat], False)


async def test_an_abstract_base_is_no_obstacle() -> None:
    class Abstract(BaseNamespace, ABC):
        @abstractmethod
        def on_told(self, text: str) -> str: ...

    class Chat(Abstract):
        def on_told(self, text: str) -> str:
            return f"told {text}"

    async with serve(Chat) as client:
        assert await (await client.connect()).call("told", "a") == "told a"


# ---- initialize -------------------------------------------------------------------------------------------------


async def test_initialize_may_be_made_by_functools() -> None:
    class Chat(Base):
        def set_up(self, name: str) -> None:
            self.name = name

        initialize = functools.partialmethod(set_up, "ada")

        def on_name(self) -> str:
            return self.name

    async with serve(Chat) as client:
        assert await (await client.connect()).call("name") == "ada"


async def test_an_initialize_that_turns_out_to_be_a_coroutine_is_refused(caplog: Log) -> None:
    def plain(function: Any) -> Any:
        return lambda self: function(self)

    class Chat(Base):
        @plain
        async def initialize(self) -> None: ...

    async with serve(Chat) as client:
        with pytest.raises(ConnectionRefused):
            await client.connect()
    assert "Chat.initialize is a plain method: what it would await belongs into recv_connect" in caplog.text


# ---- classes that make no sense ---------------------------------------------------------------------------------


class Unbound:
    """A decorator that is a class and no descriptor: nobody gives it ``self``."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def forgetting(function: Any) -> None:
    """A decorator that returns nothing."""


def write(names: Callable[[], dict[str, Any]]) -> str:
    """What the creation of a class with these names says; ``names`` is written as in its body."""
    with pytest.raises(UsageError) as caught:
        type("Chat", (BaseNamespace,), {**names(), "__module__": __name__, "__qualname__": "Chat"})
    return str(caught.value)


def method(function: Any) -> Any:
    """``function``, as if it had been written in the body of ``Chat``."""
    function.__qualname__ = f"Chat.{function.__name__}"
    return function


async def on_x(self: Any, text: str) -> None: ...


def generator(self: Any) -> Any:
    yield 1


async def async_generator(self: Any) -> Any:
    yield 1


class Raising:
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        raise RuntimeError("not yet")


WRONG: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"on_x": lambda: None}, "Chat.on_x takes no self: write it as a method"),
    (lambda: {"on_x": lambda **named: None}, "Chat.on_x takes no self: write it as a method"),
    (
        lambda: {"on_x": generator},
        "Chat.on_x is a generator: nobody would run it; emit what it yields, or return a list",
    ),
    (
        lambda: {"on_x": functools.partialmethod(async_generator)},
        "Chat.on_x is a generator: nobody would run it; emit what it yields, or return a list",
    ),
    (lambda: {"on_x": forgetting(on_x)}, "Chat.on_x is None: does its decorator return a function?"),
    (lambda: {"recv_connect": None}, "Chat.recv_connect is no method, but NoneType: it is never called"),
    (lambda: {"recv_connect": property(on_x)}, "Chat.recv_connect is no method, but property: it is never called"),
    (
        lambda: {"on_x": functools.partial(method(on_x), "a")},
        "Chat.on_x: partial calls on_x without self; use functools.partialmethod",
    ),
    (
        lambda: {"on_x": Unbound(method(on_x))},
        "Chat.on_x: Unbound calls on_x without self; use a function as the decorator, or give it __get__",
    ),
    (
        lambda: {"on_x": Raising()},
        "Chat.on_x: Raising does not say how it is called (RuntimeError('not yet')); write a method",
    ),
    (
        lambda: {"chunk": bare(event("file:chunk")(method(on_x)))},
        "Chat.on_x: a decorator above @event returns a function without its mark; write @event above that decorator, "
        "or functools.wraps in it",
    ),
]


@pytest.mark.parametrize(("names", "message"), WRONG)
def test_what_cannot_be_a_handler_is_said_when_the_class_is_created(names: Any, message: str) -> None:
    assert write(names) == message


def test_none_may_be_meant() -> None:
    class Chat(Base):
        on_old = None
        on_later: Any = None

    assert [Chat._handlers.find(name) for name in ("old", "later")] == [None, None]


def test_a_mark_that_another_method_serves_is_not_missed() -> None:
    class Chat(BaseNamespace):
        @event("file:chunk")
        def chunk(self) -> None: ...

        @event("file:chunk")
        def chunk(self, data: Any) -> None: ...  # noqa: F811

    assert Chat._handlers.find("file:chunk") == "chunk"


def test_event_marks_what_can_be_marked() -> None:
    with pytest.raises(UsageError, match=r"^event\('x',\) marks methods, not <built-in function len>: write a method"):
        event("x")(len)


def test_a_parameter_named_packet_is_noted_once(caplog: Log) -> None:
    caplog.set_level("INFO", "asocketio")

    class Post(BaseNamespace):
        def on_parcel(self, packet: Any) -> None: ...

        def on_letter(self, text: Any) -> None: ...

        def recv_error(self, packet: Any) -> None: ...

        @event("a:parcel")
        def other(self, packet: Any) -> None: ...

    class Office(Post): ...

    assert Office._handlers.by_name["on_parcel"].wants_packet
    assert [record.getMessage() for record in caplog.records] == [
        f"Post.{name} has one parameter, packet, and gets the whole packet: packet['args'] are the client's arguments; "
        "to get those themselves, name it otherwise"
        for name in ("on_parcel", "other")
    ]
