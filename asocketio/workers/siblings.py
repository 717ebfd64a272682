"""Which processes are the workers of one server, and the folder with their Unix sockets.

Two processes are siblings if they derive the same key: from the process that started both, from the listening socket
that they share with it, and from the path and the number of their SocketIOApp; or from a name that the program gives.
Each sibling has one socket, ``<key>.<name of the worker>``. The list of siblings is the list of these files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from asocketio.asgi.types import Scope
from asocketio.errors import UsageError
from asocketio.runtime.log import log
from asocketio.runtime.supervisor import find_supervisor, runtime_folder, start_of
from asocketio.workers.names import NAME, new_name

__all__ = ["Claim", "SiblingFolder", "has_supervisor", "named_key", "supervised_key"]

WIRE = 1
"""Version of what siblings say to each other. Workers of another version are no siblings."""
MAX_PATH = 104
"""Bytes of the path of a Unix socket on macOS, its closing zero among them. Linux takes 108."""
BACKLOG = 1024
_FILE = re.compile(rf"[0-9a-f]{{16}}\.{NAME.pattern}")


class Claim(NamedTuple):
    """A name that nobody else has, and the listening socket of the worker that has it."""

    name: str
    listener: socket.socket


def has_supervisor() -> bool:
    """Whether this process may have siblings that its supervisor started."""
    return find_supervisor() is not None


def named_key(group: str, path: str) -> str:
    """The key of processes that were given the same name by ``workers=``."""
    return _hashed(f"named {group} {path}")


def supervised_key(path: str, number: int, scope: Scope | None) -> str | None:
    """The key of the workers that this process's supervisor started; None if ``scope``, a request's, is needed for it.

    One supervisor may have started several servers. They differ in their listening sockets: those that this process
    shares with the supervisor, or else the port at which a request came in.
    """
    parent = find_supervisor()
    assert parent is not None
    listeners = _shared_listeners(parent)
    if not listeners:
        if scope is None:
            return None
        host, port = scope.get("server") or ("", None)
        listeners = str(host if port is None else port)
    return _hashed(f"{parent} {start_of(parent)} {listeners} {path} {number}")


def _hashed(key: str) -> str:
    return hashlib.sha256(f"{WIRE} {os.getuid()} {key}".encode()).hexdigest()[:16]


def _shared_listeners(parent: int) -> str:
    """The listening sockets that this process has in common with ``parent``; ``""`` where the system does not tell."""
    try:
        theirs, own = _sockets_of(parent), _sockets_of(os.getpid())
    except OSError:  # no /proc, or the parent has other rights
        return ""
    return " ".join(sorted(inode for inode in own.keys() & theirs.keys() if _is_listener(own[inode])))


def _sockets_of(pid: int) -> dict[str, int]:
    """The sockets of a process: name of the inode -> descriptor."""
    folder = f"/proc/{pid}/fd"
    found: dict[str, int] = {}
    for descriptor in os.listdir(folder):
        with suppress(OSError):
            target = os.readlink(f"{folder}/{descriptor}")
            if target.startswith("socket:"):
                found[target] = int(descriptor)
    return found


def _is_listener(descriptor: int) -> bool:
    """Whether a socket is bound to an address and connected to none. It may not listen yet: another worker may."""
    with closing(socket.socket(fileno=os.dup(descriptor))) as found:
        if found.type != socket.SOCK_STREAM:
            return False
        name = found.getsockname()
        if not (name[1] if isinstance(name, tuple) else name):
            return False
        try:
            found.getpeername()
        except OSError as error:
            return error.errno == errno.ENOTCONN
        return False


class SiblingFolder:
    """The sockets of the workers with one key.

    Raises:
        UsageError: the folder cannot be used, or its name is too long for sockets; the message says what to do.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._folder = runtime_folder()
        longest = len(os.fsencode(self.path_of("-" * 4))) + 1
        if longest > MAX_PATH:
            raise UsageError(
                f"{self._folder} is too long by {longest - MAX_PATH} bytes for the Unix sockets by which workers reach "
                "each other: set TMPDIR to a shorter folder"
            )

    def path_of(self, name: str) -> str:
        """The path of a worker's socket."""
        return str(self._folder / f"{self._key}.{name}")

    def names(self) -> list[str]:
        """The names of all workers with this key, dead ones among them until `claim` is called again."""
        names = [file.partition(".") for file in os.listdir(self._folder)]
        return sorted(name for key, _, name in names if key == self._key and NAME.fullmatch(name))

    def claim(self, wanted: str = "") -> Claim:
        """Take the name ``wanted``, or a random one, and listen. Removes the sockets of processes that have died.

        A name that a living worker has is not taken from it: the log says so, and a random one is used.
        """
        with self._locked():
            self._sweep()
            name = wanted or new_name()
            while os.path.lexists(self.path_of(name)):
                if name == wanted:
                    log.error(
                        "two workers are called %r (worker=, ASOCKETIO_WORKER): this one, process %d, takes a random "
                        "name, which no proxy's map knows", name, os.getpid(),
                    )  # fmt: skip
                name = new_name()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listener.setblocking(False)
                listener.bind(self.path_of(name))
                listener.listen(BACKLOG)
            except OSError as error:
                listener.close()
                raise UsageError(f"{self.path_of(name)} cannot be listened at: {error.strerror}") from error
        return Claim(name, listener)

    def give_back(self, name: str) -> None:
        """Remove the socket of a worker that ends."""
        with suppress(FileNotFoundError):
            os.unlink(self.path_of(name))

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Nobody else binds or removes a socket meanwhile: one that is bound and does not listen yet looks dead."""
        import fcntl  # not on Windows

        folder = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _sweep(self) -> None:
        for file in os.listdir(self._folder):
            path = self._folder / file
            if _FILE.fullmatch(file) and not _is_alive(path):
                with suppress(OSError):
                    path.unlink()


def _is_alive(path: Path) -> bool:
    """Whether a process listens at a socket. It sees a connection that ends at once."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as trial:
        trial.setblocking(False)
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # too busy, or not ours to judge
            return True
        return True
