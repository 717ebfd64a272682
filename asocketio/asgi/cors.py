"""CORS: which origins' pages may connect, and the response headers that let them read the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asocketio.asgi.origins import SHOWN, allows_all, is_allowed, is_list, proposal, serialised
from asocketio.asgi.types import TOKEN, Headers, Scope, header
from asocketio.config import Config
from asocketio.errors import BadRequest, Forbidden

__all__ = [
    "check_fetch_metadata",
    "check_jsonp_origin",
    "check_origin",
    "cors_headers",
    "preflight_headers",
    "replace_cors",
]

_HOST = re.compile(r"[^,\s]+")
_ONCE = (b"host", b"origin", b"referer", b"sec-fetch-site")
_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


def check_origin(scope: Scope, config: Config) -> str | None:
    """The origin of the page that asks, if it is another site's; None for the same site and for programs.

    Raises:
        BadRequest: there are two fields of which there can be one: which of them counts depends on who reads them.
        Forbidden: the page may not connect; the message says both values and what to write.
    """
    fields: Headers = scope["headers"]
    named = dict(fields)
    if len(named) != len(fields):
        names = [name for name, _ in fields]
        for name in _ONCE:
            if names.count(name) > 1:
                raise BadRequest(f"{names.count(name)} header fields {name.decode()!r}")
    sent = named.get(b"origin", b"").decode("latin-1")
    host = named.get(b"host", b"").decode("latin-1")
    if not sent or (sent in (f"https://{host}", f"http://{host}") and _HOST.fullmatch(host)):
        return None  # as browsers write it: told at once, since each poll has one
    if is_list(sent):
        raise BadRequest(f"several origins in one header field: {sent[:SHOWN]!r}")
    origin = serialised(sent)
    if _is_same(origin, host):
        return None
    if is_allowed(origin, scope, config.cors_allowed_origins):
        return sent
    raise Forbidden(
        f"refused a page of another origin: Origin is {sent[:SHOWN]!r}, Host is {host[:SHOWN]!r}. "
        f"{proposal(origin)}; if both are your own site, "
        "a proxy changes Host: let it pass the original one on"
    )


def check_fetch_metadata(scope: Scope, config: Config) -> None:
    """Refuse a handshake that another site's page has a browser make by an image or the like: that sends no Origin.

    The page could not read the answer, but the session would open, with the user's cookies.

    Raises:
        Forbidden: the page may not connect.
    """
    if header(scope, b"origin") or header(scope, b"sec-fetch-site") not in ("cross-site", "same-site"):
        return
    if not allows_all(config.cors_allowed_origins):
        raise Forbidden("refused a page of another site that asks without an Origin: by an image, a link or a form")


def check_jsonp_origin(scope: Scope, config: Config) -> None:
    """Refuse a page of another site that asks by JSONP: browsers send no Origin with scripts.

    What they do send is ``Sec-Fetch-Site``, or at least the page's address as ``Referer``. A request that
    tells neither is refused too: a page can keep its address to itself.

    Raises:
        Forbidden: the page may not connect.
    """
    if header(scope, b"origin") or header(scope, b"sec-fetch-site") == "same-origin":
        return  # `check_origin` has seen to it, or there is nothing to see to
    referer = header(scope, b"referer")
    origin = serialised(referer)
    if _is_same(origin, header(scope, b"host")) or is_allowed(origin, scope, config.cors_allowed_origins):
        return
    raise Forbidden(
        f"refused JSONP of a page at {referer[:200]!r}: by Referer or Sec-Fetch-Site it must be of the same site or of "
        "one in cors_allowed_origins"
    )


def _is_same(origin: str, host: str) -> bool:
    """Whether a browser's Origin names the host it sent the request to. The scheme may have ended at a proxy."""
    host = host.lower()
    if origin == host and origin not in ("", "null"):
        return True  # no browser's: websocket clients in Node of the time of 0.9 leave the scheme out
    scheme, separator, netloc = origin.partition("://")
    if not separator or not netloc or scheme not in _DEFAULT_PORTS:
        return False  # "null": a sandboxed frame, a file; "app://...": a program's own page
    return netloc == host.removesuffix(_DEFAULT_PORTS[scheme])


def cors_headers(origin: str | None, config: Config) -> Headers:
    """What lets the page at ``origin`` read the answer; it has passed `check_origin`."""
    allowed = config.cors_allowed_origins
    if origin is None or allowed is None:
        return []
    if allows_all(allowed):
        return [(b"access-control-allow-origin", b"*")]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


def preflight_headers(scope: Scope, origin: str | None, config: Config) -> Headers:
    """The answer to OPTIONS: the methods, and the headers that the page may send."""
    headers = cors_headers(origin, config)
    if origin is None:
        return headers
    asked = b",".join(value for name, value in scope["headers"] if name == b"access-control-request-headers")
    tokens = [token for each in asked.decode("latin-1").split(",") if TOKEN.fullmatch(token := each.strip())]
    if config.cors_allowed_headers is not None:
        allowed = {name.lower() for name in config.cors_allowed_headers}
        tokens = [token for token in tokens if token.lower() in allowed]
    headers.append((b"access-control-allow-methods", b"GET, POST, OPTIONS"))
    if tokens:
        headers.append((b"access-control-allow-headers", ", ".join(tokens).encode("latin-1")))
    return headers


def replace_cors(headers: Sequence[tuple[bytes, bytes]], ours: Headers) -> Headers:
    """``headers`` of a framework with its CORS headers, if any, replaced by ours."""
    kept = [(name, value) for name, value in headers if not name.lower().startswith(b"access-control-")]
    return [*kept, *ours]
