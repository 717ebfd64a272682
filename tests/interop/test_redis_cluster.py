"""Two servers of Node and one of Python on one Redis, with real clients at each: one cluster, in both directions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.support.node_servers import CLUSTER, NodeServer, cluster_modules
from tests.support.redis import RedisServer, newest_redis, redis_version
from tests.support.servers import Server

DEADLINE = 240.0  # seconds for all checks of one cluster
KINDS = ("classic", "classic-specific", "sharded", "sharded-static", "sharded-dynamic-private", "streams")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis", binary=newest_redis()) as server:
        yield server


def python_member(start_server: StartServer, kind: str, redis: RedisServer, name: str = "python") -> Server:
    env = {"KIND": kind, "REDIS_URL": redis.url, "NAME": name}
    return start_server("tests.interop.cluster.app:app", "asocketio", args=("--no-access-log",), env=env)


@pytest.mark.parametrize("kind", KINDS)
def test_servers_of_node_and_python_are_one(
    kind: str, redis: RedisServer, start_server: StartServer, node: Path, tmp_path: Path
) -> None:
    if kind.startswith("sharded") and redis_version(newest_redis()) < (7,):
        pytest.skip("sharded pub/sub needs Redis 7: install Debian's redis-server")
    with ExitStack() as stack:
        nodes = {
            name: stack.enter_context(NodeServer(kind, redis.url, name, tmp_path / f"{name}.log"))
            for name in ("node1", "node2")
        }
        python = python_member(start_server, kind, redis)
        urls = {**{name: each.url for name, each in nodes.items()}, "python": python.url}
        done = subprocess.run(
            [node, CLUSTER / "run.js", json.dumps(urls), kind],
            env={**os.environ, "NODE_MODULES": str(cluster_modules())},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        logs = python.log()[-3000:]
        assert done.returncode == 0, f"{done.stderr}\n{logs}"
        results = json.loads(done.stdout)
        wrong = {name: error for name, error in results.items() if error is not None}
        assert wrong == {}, "\n".join([*map(str, wrong.values()), logs])
        assert len(results) >= 39
        assert all(each.is_alive for each in nodes.values())
