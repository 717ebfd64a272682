"""Config: every limit and interval of a server, checked once at its start."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypedDict

from asocketio.errors import UsageError
from asocketio.metrics import Metrics

__all__ = ["Config", "OriginPattern", "Origins", "Settings", "origin_pattern"]

Transports = Sequence[Literal["polling", "websocket"]]
_TRANSPORTS = ("polling", "websocket")
Generations = Sequence[Literal["0.9", 3, 4]]
_GENERATIONS = ("0.9", 3, 4)
Scope = MutableMapping[str, Any]
Origins = Sequence[str] | str | Callable[[str, Scope], object] | None
Subprotocols = Sequence[str] | Callable[[Sequence[str], Scope], str | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The intervals and time-outs of a server, in seconds."""

    ping_interval: float = 25.0
    """From an answered ping to the next."""
    ping_timeout: float = 20.0
    """A ping not answered for this long ends the socket."""
    heartbeat_interval: float = 25.0
    """0.9 on a websocket: from one heartbeat to the next."""
    heartbeat_timeout: float = 60.0
    """0.9 on a websocket: a heartbeat not answered for this long ends the socket."""
    close_timeout: float = 60.0
    """0.9 by polling: how long a client may stay away between two requests. After as long a silence it leaves."""
    polling_duration: float = 20.0
    """0.9 by polling: how long a poll waits before it is answered with nothing."""
    connect_timeout: float = 45.0
    """By then a view must have called ``socketio_manage`` (or have ended, with ``guard=True``), and then a client have
    joined a namespace."""
    upgrade_timeout: float = 10.0
    """A websocket that has not taken over from polling by then is closed; polling goes on."""
    send_timeout: float = 30.0
    """The longest wait for room to send, and for a POST to be taken in."""
    close_grace: float = 5.0
    """What running handlers, and ``recv_disconnect``, may take when the socket has ended."""
    close_window: float = 1.0
    """A server that closes spreads the ends of a thousand sockets, or more, over this time: they all come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Timing):
    """What a client, an address and a process may use; sizes in bytes."""

    max_payload: int = 1_000_000
    """The largest polling body or websocket message taken from a client."""
    max_head: int = 20_000
    """Bytes of the URL and the header fields of the request that opens a session or a websocket; each field counts 100
    more."""
    max_attachments: int = 10
    """Binary values in one packet."""
    max_attachment_bytes: int = 3_000_000
    """Binary values of one packet, together. With ``max_payload`` they fit into ``max_outbox``."""
    max_backlog: int = 1_000_000
    """Bytes of memory that a client's packets may take while they wait to be handled."""
    max_backlog_packets: int = 1000
    """Packets of a client that may wait to be handled."""
    max_outbox: int = 4_000_000
    """Bytes queued for one client before it counts as too slow and is closed; each packet counts 100 more. A single
    packet that is larger is an `Overflow` at the call, and goes to nobody."""
    max_pending_acks: int = 1000
    """Answers awaited from one client at a time."""
    max_rooms: int = 10_000
    """Rooms that one client may be in, in one namespace."""
    max_room_bytes: int = 6_000_000
    """Bytes of memory that the rooms of one client may take, in all its namespaces: each counts 450, and one for each
    character of its name, or four where not all of them are ASCII."""
    max_namespaces: int = 100
    """Namespaces that one client may be in at a time. Patterns serve any number of names."""
    max_sessions: int = 100_000
    """Sessions of this process; beyond, handshakes are answered 503 with ``Retry-After``."""
    recovery: float | None = None
    """Seconds for which a client of 4.6 or later may be away, and miss nothing. ``None``: whoever comes back is new."""
    recovery_events: int = 10_000
    """Events that are kept for all clients that may have missed them; each client that is away counts as one."""
    recovery_bytes: int = 16_000_000
    """Bytes of memory that these take, together."""
    max_publish_queue: int = 16_000_000
    """Bytes that wait to be sent to the other servers of a cluster; each message counts 200 more. Beyond, the oldest
    broadcasts are dropped, for the clients of other servers only. A larger message of another server is refused."""
    max_sessions_per_address: int | None = None
    """The same for one client address. ``None``: no limit, for behind a proxy all may have the same one."""
    rate_limits: Mapping[str, tuple[int, float]] | None = None
    """How often one client may send events: ``{"*": (100, 1.0), "message": (5, 10.0)}`` is at most 100 at once and 100
    a second of all together, and 5 at once and 5 in 10 s of ``message``. What comes beyond is dropped; an awaited ack
    says ``rate_limited``. ``"connect"`` is the joining of namespaces, which is refused then."""
    concurrency: int = 1
    """Handlers of one socket that may run at a time. 1 keeps its events in strict order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Limits):
    """The settings of a `SocketIOApp`: its `Timing`, its `Limits`, and who may connect in which way."""

    transports: Transports = ("polling", "websocket")
    generations: Generations = ("0.9", 3, 4)
    """Clients served: ``"0.9"``; 3, which is 1.x and 2.x; 4, which is 3.x and 4.x (by their ``EIO=``)."""
    cors_allowed_origins: Origins = None
    """Origins of other sites whose pages may connect, patterns such as ``"https://*.example.com"`` among them; ``"*"``
    for all; ``None``: the same origin only. Or a plain function ``(origin, scope) -> bool``. Origins are compared as
    RFC 6454 writes them: in lower case, without the scheme's own port, and without a path."""
    cors_allowed_headers: Sequence[str] | None = None
    """Request headers those pages may send; ``None``: whatever they ask for."""
    http_compression: int | None = None
    """Bytes from which on the answer to a poll is compressed (gzip) for clients that ask for that; ``None``: never.
    Node's are 1024. Not where answers hold secrets beside text that others choose (docs/deployment.md)."""
    polls: Literal["server", "asgi"] = "server"
    """Who serves the polls of a session that is open: the ``asocketio`` command's server by itself, where it can, or
    the application, as every request, so that its middleware sees them."""
    subprotocols: Subprotocols = None
    """Which of the subprotocols that a websocket's client offers is answered: the first that is in this list, or what a
    plain function ``(offered, scope) -> str | None`` returns. ``None``: the first one. Browsers that offer some leave
    where none is answered."""
    cookie: str | None = None
    """Name of a cookie that carries the session id, for load balancers that stick to it."""
    pin: Literal["address", "cookie"] | None = None
    """Requests with a session's id count only from the client address that opened it, or with the cookie it was given
    (``cookie=``, which carries a secret of its own then)."""
    on_exception: Callable[[BaseException, Mapping[str, str]], object] | None = None
    """Called with each exception of a handler, job or callback, and ``sid``, ``namespace`` and ``event``."""
    on_cluster_change: Callable[[Any], object] | None = None
    """Called, plain or async, with a `ClusterChange` when the other servers of a cluster cannot be reached, and when
    they can again; when messages were dropped; when a server comes or goes."""
    middleware: Sequence[Callable[[Any, Any], Awaitable[Any]]] = ()
    """Coroutine functions ``(call, call_next)`` round each connect, event and disconnect of all clients."""
    metrics: Metrics | None = None
    """Is told what happens, see `asocketio.metrics`."""
    workers: str | None = None
    """Processes of this user on this host that were given the same name here are workers of one server. ``None``:
    those that one supervisor started (``--workers``)."""
    worker: str | None = None
    """The name of this worker, with which the ids of its sessions begin: four letters, digits, ``-`` or ``_``, for the
    map of a proxy. The variable ``ASOCKETIO_WORKER`` does the same. ``None``: a random one, where there are several."""

    def __post_init__(self) -> None:
        _check_timing(self)
        _check_limits(self)
        _check_choices(self)
        _check_access(self)
        _check_hooks(self)
        _check_workers(self.workers, self.worker)

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Config:
        """The Config of keyword arguments.

        Raises:
            UsageError: a name or value is wrong; it says which, and what was expected.
        """
        names = [f.name for f in fields(cls)]
        for name in settings:
            if name not in names:
                names = ["namespaces", "path", "parsers", "parser", *names]
                close = [_ELSEWHERE[name]] if name in _ELSEWHERE else difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
                raise UsageError(f"SocketIOApp has no setting {name!r}: {hint}")
        return cls(**settings)


class _TimingSettings(TypedDict, total=False):
    ping_interval: float
    ping_timeout: float
    heartbeat_interval: float
    heartbeat_timeout: float
    close_timeout: float
    polling_duration: float
    connect_timeout: float
    upgrade_timeout: float
    send_timeout: float
    close_grace: float
    close_window: float


class _LimitSettings(_TimingSettings, total=False):
    max_payload: int
    max_head: int
    max_attachments: int
    max_attachment_bytes: int
    max_backlog: int
    max_backlog_packets: int
    max_outbox: int
    max_pending_acks: int
    max_rooms: int
    max_room_bytes: int
    max_namespaces: int
    max_sessions: int
    recovery: float | None
    recovery_events: int
    recovery_bytes: int
    max_publish_queue: int
    max_sessions_per_address: int | None
    rate_limits: Mapping[str, tuple[int, float]] | None
    concurrency: int


class Settings(_LimitSettings, total=False):
    """The fields of `Config` as keyword arguments, for type checkers."""

    transports: Transports
    generations: Generations
    cors_allowed_origins: Origins
    cors_allowed_headers: Sequence[str] | None
    http_compression: int | None
    polls: Literal["server", "asgi"]
    subprotocols: Subprotocols
    cookie: str | None
    pin: Literal["address", "cookie"] | None
    on_exception: Callable[[BaseException, Mapping[str, str]], object] | None
    on_cluster_change: Callable[[Any], object] | None
    middleware: Sequence[Callable[[Any, Any], Awaitable[Any]]]
    metrics: Metrics | None
    workers: str | None
    worker: str | None


# What other servers call them.
_ELSEWHERE = {"resource": "path", "max_http_buffer_size": "max_payload", "maxHttpBufferSize": "max_payload"}


_COUNTS = (
    "max_payload",
    "max_head",
    "max_attachments",
    "max_backlog",
    "max_backlog_packets",
    "max_outbox",
    "max_attachment_bytes",
    "max_pending_acks",
    "max_rooms",
    "max_room_bytes",
    "max_namespaces",
    "max_sessions",
    "recovery_events",
    "recovery_bytes",
    "max_publish_queue",
    "concurrency",
)


_WORKER = re.compile(r"[A-Za-z0-9_-]{4}")

_SECONDS = {"close_window": "1.0", "close_timeout": "60.0"}
"""Examples where 25 seconds would be none."""


def _check_timing(timing: Timing) -> None:
    for field in fields(Timing):
        value = getattr(timing, field.name)
        if field.name == "close_window" and value == 0:
            continue
        expected = "a number of seconds, or 0" if field.name == "close_window" else "a number of seconds above 0"
        _check(field.name, value, float, expected, _SECONDS.get(field.name, "25.0"))
    for name in ("heartbeat_interval", "polling_duration"):
        if getattr(timing, name) >= timing.close_timeout:
            raise UsageError(
                f"{name}={getattr(timing, name)!r}: 0.9 clients leave when they hear nothing for "
                f"close_timeout={timing.close_timeout!r}, so it must be less than that"
            )


def _check_limits(limits: Limits) -> None:
    for name in _COUNTS:
        _check(name, getattr(limits, name), int, "a whole number above 0", "1000")
    if limits.max_sessions_per_address is not None:
        _check("max_sessions_per_address", limits.max_sessions_per_address, int, "a whole number above 0", "100")
    if limits.recovery is not None:
        _check("recovery", limits.recovery, float, "a number of seconds above 0, or None", "120.0")
    _check_rates(limits.rate_limits)


def _check_choices(config: Config) -> None:
    if not _is_some_of(config.transports, _TRANSPORTS):
        raise UsageError(
            f"transports={config.transports!r}: expected one or both of {_TRANSPORTS}, "
            "for example transports=('websocket',)"
        )
    if not _is_some_of(config.generations, _GENERATIONS) or any(isinstance(each, float) for each in config.generations):
        raise UsageError(
            f"generations={config.generations!r}: expected some of {_GENERATIONS}, for example generations=(4,)"
        )


def _check_access(config: Config) -> None:
    _check_origins(config.cors_allowed_origins)
    headers: Any = config.cors_allowed_headers
    if headers is not None and not (_is_list(headers) and all(isinstance(name, str) for name in headers)):
        raise UsageError(f"cors_allowed_headers={headers!r}: expected a list, for example ['x-token']")
    _check_subprotocols(config.subprotocols)
    if config.polls not in ("server", "asgi"):
        raise UsageError(f"polls={config.polls!r}: expected 'server' or 'asgi', for example polls='asgi'")
    if config.pin not in (None, "address", "cookie") or (config.pin == "cookie" and config.cookie is None):
        raise UsageError(f"pin={config.pin!r}: expected 'address', or 'cookie' with cookie='io', or None")
    if config.cookie is not None and not _is_name(config.cookie):
        raise UsageError(f"cookie={config.cookie!r}: expected a plain name such as 'io', or None")


def _check_workers(workers: object, worker: object) -> None:
    if workers is not None and not (isinstance(workers, str) and workers):
        raise UsageError(f"workers={workers!r}: expected a name that the processes of one server share, or None")
    if worker is not None and not (isinstance(worker, str) and _WORKER.fullmatch(worker)):
        raise UsageError(f"worker={worker!r}: expected four letters, digits, '-' or '_', for example 'wk00', or None")


def _check_hooks(config: Config) -> None:
    if config.http_compression is not None:
        _check("http_compression", config.http_compression, int, "a number of bytes above 0, or None", "1024")
    hook = config.on_exception
    if hook is not None and (not callable(hook) or inspect.iscoroutinefunction(hook)):
        raise UsageError(f"on_exception={hook!r}: expected a plain function (exception, about)")
    if config.on_cluster_change is not None and not callable(config.on_cluster_change):
        raise UsageError(f"on_cluster_change={config.on_cluster_change!r}: expected a function of one argument")
    check_middleware("middleware", config.middleware)
    if config.metrics is not None and not isinstance(config.metrics, Metrics):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"metrics={config.metrics!r}: expected an instance of asocketio.metrics.Metrics")


def check_middleware(where: str, given: Any) -> tuple[Any, ...]:
    """The middleware in a list.

    Raises:
        UsageError: it is no list, or one of it is no coroutine function of two arguments; ``where`` is its name.
    """
    wanted = "a list of coroutine functions, as async def timing(call, call_next)"
    if not isinstance(given, list | tuple):
        raise UsageError(f"{where}={given!r}: expected {wanted}")
    for each in given:
        function: Any = getattr(each, "__func__", each)  # a staticmethod, within the class
        called = function if inspect.isroutine(function) else getattr(type(function), "__call__", None)  # noqa: B004
        if isinstance(each, type) or not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)):
            raise UsageError(f"{where} has {each!r}, which is no coroutine function: expected {wanted}")
        try:
            inspect.signature(function).bind(None, None)
        except TypeError:
            raise UsageError(
                f"{where} has {each!r}, which does not take (call, call_next): expected {wanted}"
            ) from None
    return tuple(getattr(each, "__func__", each) for each in given)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value) is not None  # RFC 6265, token


def _is_list(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes)


def _is_some_of(value: Any, known: Sequence[Any]) -> bool:
    return _is_list(value) and bool(value) and all(each in known for each in value)


def _check(name: str, value: Any, kind: type, expected: str, example: str) -> None:
    number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    if not number or not 0 < value < float("inf"):
        raise UsageError(f"{name}={value!r}: expected {expected}, for example {name}={example}")


def _check_rates(limits: Any) -> None:
    if limits is None:
        return
    good = isinstance(limits, Mapping)
    for event, limit in limits.items() if good else ():
        good = good and isinstance(event, str) and isinstance(limit, tuple) and len(limit) == 2
        good = (
            good and isinstance(limit[0], int) and limit[0] > 0 and isinstance(limit[1], int | float) and limit[1] > 0
        )
    if not good:
        raise UsageError(
            f"rate_limits={limits!r}: expected (count, seconds) by event, "
            "for example {'*': (100, 1.0)} for all of them together"
        )


class OriginPattern(NamedTuple):
    """A pattern of origins, in its parts: ``before`` and ``after`` are those of the host, round its ``*``."""

    scheme: str
    before: str
    star: str
    after: str
    port: str

    @property
    def whole(self) -> bool:
        """The ``*`` stands for whole labels of the host, one or more."""
        return self.before[-1:] in ("", ".") and self.after.startswith(".")


_PATTERN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]*)(\*?)([a-z0-9._-]*)(?::([0-9]+|\*))?/?")


def origin_pattern(text: str) -> OriginPattern | None:
    """The pattern in ``text``; None where it is none: ``*`` may stand once in the host, and for any port."""
    found = _PATTERN.fullmatch(text.lower())
    return None if found is None else OriginPattern(*found.groups(default=""))


def _check_plain(name: str, function: Any, signature: str) -> None:
    call = getattr(function, "__call__", None)  # noqa: B004  (of an object that is no function)
    if isinstance(function, type) or inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call):
        raise UsageError(f"{name}={function!r}: expected a plain function {signature}")


def _check_subprotocols(names: Any) -> None:
    if callable(names):
        _check_plain("subprotocols", names, "(offered, scope) -> str | None")
    elif names is not None and not (_is_list(names) and all(map(_is_name, names))):
        raise UsageError(f"subprotocols={names!r}: expected a list of plain names, for example ['chat.v2', 'chat.v1']")


def _check_origins(origins: Any) -> None:
    if origins is None or origins == "*":
        return
    if callable(origins):
        _check_plain("cors_allowed_origins", origins, "(origin, scope) -> bool")
        return
    example = "for example ['https://example.com'], or '*' for all"
    if not _is_list(origins):
        raise UsageError(f"cors_allowed_origins={origins!r}: expected a list, {example}")
    for origin in origins:
        pattern = isinstance(origin, str) and "*" in origin and origin != "*"
        if not isinstance(origin, str) or not origin.strip() or (pattern and origin_pattern(origin) is None):
            raise UsageError(
                f"cors_allowed_origins has {origin!r}: an origin is scheme://host[:port] without a path, {example}"
            )
        if pattern:
            _check_pattern(origin)


def _check_pattern(origin: str) -> None:
    """Refuse a pattern that matches domains which anybody can register: ``https://*example.com``."""
    found = origin_pattern(origin)
    if found is None or not found.star or not (found.before or found.after):
        return
    domain = found.after.partition(".")[2].strip(".")
    if domain.count(".") < (0 if found.whole else 1) or not domain:
        raise UsageError(
            f"cors_allowed_origins has {origin!r}, which matches domains of others: the * stands for the labels before "
            "a domain, for example 'https://*.example.com'"
        )
