"""Which processes are the workers of one server, and their sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asocketio import UsageError
from asocketio.workers import siblings
from asocketio.workers.siblings import Claim, SiblingFolder, named_key, supervised_key


@pytest.fixture(autouse=True)
def folder(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(short_path))
    return short_path / f"asocketio-{os.getuid()}"


@pytest.fixture
def claims() -> Iterator[list[Claim]]:
    made: list[Claim] = []
    yield made
    for claim in made:
        claim.listener.close()


KEY = "0123456789abcdef"


def test_a_claim_listens_and_is_found_by_its_name(folder: Path, claims: list[Claim]) -> None:
    ours = SiblingFolder(KEY)
    claims += [ours.claim("wk00"), ours.claim(), SiblingFolder("f" * 16).claim("wk02")]
    assert claims[0].name == "wk00"
    assert ours.names() == sorted([claims[0].name, claims[1].name])
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.connect(ours.path_of(claims[1].name))
    ours.give_back("wk00")
    ours.give_back("wk00")
    assert ours.names() == [claims[1].name]


def test_sockets_of_the_dead_are_removed_and_nothing_else_is(folder: Path, claims: list[Claim]) -> None:
    ours = SiblingFolder(KEY)
    dead, dead_elsewhere = ours.claim("dead"), SiblingFolder("f" * 16).claim("dead")
    claims.append(ours.claim("live"))
    dead.listener.close()
    dead_elsewhere.listener.close()
    (folder / "job.lock").touch()
    claims.append(ours.claim("dead"))  # the name is free again
    assert sorted(os.listdir(folder)) == [f"{KEY}.dead", f"{KEY}.live", "job.lock"]


def test_a_name_that_a_living_worker_has_is_not_taken_from_it(
    claims: list[Claim], caplog: pytest.LogCaptureFixture
) -> None:
    ours = SiblingFolder(KEY)
    claims += [ours.claim("wk00"), ours.claim("wk00")]
    assert claims[1].name != "wk00"
    assert "two workers are called 'wk00'" in caplog.text
    assert ours.names() == sorted(claim.name for claim in claims)


def test_a_worker_that_is_too_busy_to_take_connections_is_not_dead(
    claims: list[Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "BACKLOG", 0)
    ours = SiblingFolder(KEY)
    claims.append(ours.claim("busy"))
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    try:
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(ours.path_of("busy"))
        claims.append(ours.claim("next"))
    finally:
        for each in waiting:
            each.close()
    assert ours.names() == ["busy", "next"]


def test_a_folder_with_too_long_a_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(long))
    with pytest.raises(UsageError, match=r"too long by \d+ bytes for the Unix sockets .* set TMPDIR"):
        SiblingFolder(KEY)


def test_a_folder_that_others_may_write_to_is_refused(folder: Path) -> None:
    SiblingFolder(KEY)
    folder.chmod(0o777)
    with pytest.raises(UsageError, match="remove it"):
        SiblingFolder(KEY)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="cannot be made: No such file"):
        SiblingFolder(KEY)


def test_a_socket_that_cannot_be_bound_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = SiblingFolder(KEY)
    monkeypatch.setattr(ours, "path_of", lambda name: str(folder / "missing" / name))
    with pytest.raises(UsageError, match="cannot be listened at: No such file"):
        ours.claim("wk00")


# ---- the key ---------------------------------------------------------------------------------------------------


def scope(host: str | None, port: int | None = None) -> Any:
    return {"server": None if host is None else (host, port)}


def test_a_name_given_by_the_program_is_the_key() -> None:
    assert named_key("shop", "/socket.io") == named_key("shop", "/socket.io")
    assert len({named_key("shop", "/socket.io"), named_key("shop", "/ws"), named_key("blog", "/socket.io")}) == 3


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is its own: all its sockets are shared."""
    monkeypatch.setattr(siblings, "find_supervisor", os.getpid)


@pytest.mark.usefixtures("supervisor")
def test_one_supervisors_servers_differ_in_their_listening_sockets() -> None:
    def key(number: int = 0) -> str:
        found = supervised_key("/socket.io", number, None)
        assert found is not None
        return found

    with closing(socket.socket()) as first:
        first.bind(("127.0.0.1", 0))  # it does not listen yet
        before, other_app = key(), key(1)
        first.listen()
        with closing(socket.create_connection(first.getsockname())) as client, closing(socket.socket(socket.AF_UNIX)):
            accepted, _ = first.accept()
            with closing(accepted), closing(client):
                assert key() == before  # what is connected, or has no address, does not count
        with closing(socket.socket()) as second:
            second.bind(("127.0.0.1", 0))
            assert len({before, other_app, key()}) == 3


def test_where_no_socket_is_shared_it_is_the_port_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siblings, "find_supervisor", lambda: 2**30)  # nothing is known of it
    assert supervised_key("/socket.io", 0, None) is None
    keys = [
        supervised_key("/socket.io", 0, scope(*server))
        for server in (("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.1", 81), ("/run/a.sock", None), (None,))
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
