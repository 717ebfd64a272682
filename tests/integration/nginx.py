"""nginx in front of a server: a process with its own folder and port, configured by blocks of docs/deployment.md."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.servers import HOST, ROOT, free_port

__all__ = ["BLOCKS", "LOCATION", "Nginx", "nginx_binary", "with_line", "without_line"]

STARTS_WITHIN = 10.0  # seconds
PLACES = "/usr/sbin:/usr/local/sbin"  # where Debian and others keep it, which is in the PATH of root alone

CONFIG = """
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr info;
{user}
events {{ worker_connections 512; }}
http {{
    access_log access.log;
    client_body_temp_path bodies;
    proxy_temp_path answers;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {http}
    server {{
        listen {host}:{port};
        {server}
        {location}
    }}
}}
"""


BLOCKS: list[str] = re.findall(
    r"```nginx\n(.*?)```", (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8"), re.DOTALL
)
"""What the documentation says to write: the location; an upstream; another one, and its line for the location."""
LOCATION = BLOCKS[0]


def with_line(block: str, directive: str, value: str) -> str:
    """The block with another value of a directive that it has."""
    changed, count = re.subn(rf"\b{re.escape(directive)} .*;", lambda _: f"{directive} {value};", block)
    assert count == 1, f"{directive!r} is there {count} times:\n{block}"
    return changed


def without_line(block: str, directive: str) -> str:
    """The block without a directive that it has."""
    changed, count = re.subn(rf"\n *{re.escape(directive)}( .*)?;", "", block)
    assert count == 1, f"{directive!r} is there {count} times:\n{block}"
    return changed


def nginx_binary() -> str:
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{PLACES}")
    if found is None:
        pytest.fail("docs/deployment.md is tested with a real nginx, and there is none: apt-get install nginx-light")
    return found


class Nginx:
    """One nginx, from ``with`` to the end of its block. Its address is spelled as that of a `Server`."""

    def __init__(self, folder: Path, location: str, *, server: str = "", http: str = "") -> None:
        self.port = free_port()
        self._folder = folder
        self._config = CONFIG.format(
            user=_user(), http=http, host=HOST, port=self.port, server=server, location=location
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    def log(self) -> str:
        return (self._folder / "error.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        binary = nginx_binary()
        self._folder.mkdir()
        config = self._folder / "nginx.conf"
        config.write_text(self._config, encoding="utf-8")
        with (self._folder / "error.log").open("wb") as log:
            self._process = subprocess.Popen(
                [binary, "-e", "stderr", "-p", self._folder, "-c", config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_it_listens(self._process)
        except BaseException:
            self._stop(self._process)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        died = self._process.poll()
        self._stop(self._process)
        assert died is None, f"nginx ended with {died}:\n{self.log()}"

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()  # its worker ends with it, and closes what is open
        process.wait(STARTS_WITHIN)

    def _wait_until_it_listens(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"nginx ended with {process.returncode}:\n{self.log()}\n{self._config}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            time.sleep(0.01)
        raise AssertionError(f"nginx does not listen after {STARTS_WITHIN} s:\n{self.log()}")


def _user() -> str:
    """The worker of root would become somebody who cannot look into the folder."""
    return "" if os.geteuid() else f"user {pwd.getpwuid(0).pw_name};"
