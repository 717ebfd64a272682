"""A chat that can be watched: counters at /metrics for Prometheus, log lines as JSON, exceptions counted by a hook.

Run it from the repository root, then open http://127.0.0.1:8000/ ::

    pip install -e '.[prometheus]'
    asocketio examples.observability.app:app --log-config examples/observability/logging.json

The page shows what a scrape sees while you talk, wait and fail. ``/?transport=polling`` does without websockets.
With several workers each process has figures of its own, so run one.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from asocketio import BaseNamespace, BroadcastMixin, SocketIOApp
from asocketio.metrics.prometheus import PrometheusMetrics

MAX_TEXT = 1000
WAIT = 1.0  # seconds

registry = CollectorRegistry()  # of this program alone; ``PrometheusMetrics()`` uses the one that all libraries share
raised: Counter[str] = Counter()  # exceptions by the event whose handler raised them


class Chat(BaseNamespace, BroadcastMixin):
    async def on_say(self, text: Any) -> bool:
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_TEXT:
            return False
        await self.broadcast_event("said", text)
        return True

    async def on_wait(self) -> None:
        """Seen as a running handler, and then in a high bucket of ``socketio_handler_seconds``."""
        await asyncio.sleep(WAIT)

    async def on_fail(self) -> None:
        """Seen in ``socketio_handler_failures_total``, in the log and by `on_exception`."""
        raise RuntimeError("on purpose")


def on_exception(error: BaseException, about: Mapping[str, str]) -> None:
    """Where a service such as Sentry would be told."""
    raised[about["event"]] += 1


async def page(request: Request) -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


async def metrics(request: Request) -> Response:
    """For Prometheus. In the open it is for anyone: let the proxy keep it private."""
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


web = Starlette(routes=[Route("/", page), Route("/metrics", metrics)])
app = SocketIOApp(
    web,
    namespaces={"/": Chat},
    metrics=PrometheusMetrics(registry),
    on_exception=on_exception,
)
