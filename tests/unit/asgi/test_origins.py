"""Origins as clients write them, and what the setting makes of them."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asocketio.asgi.cors import check_jsonp_origin, check_origin
from asocketio.asgi.origins import is_allowed, serialised
from asocketio.asgi.types import Scope
from asocketio.config import Config, Origins
from asocketio.errors import BadRequest, Forbidden, UsageError

PROPOSED = re.compile(r"cors_allowed_origins=(\[.*\])\); if both")


def asking(origin: str, host: str = "chat.example") -> Scope:
    return {"type": "http", "headers": [(b"host", host.encode()), (b"origin", origin.encode("latin-1"))]}


def allows(allowed: Any, origin: str) -> bool:
    return is_allowed(serialised(origin), asking(origin), Config(cors_allowed_origins=allowed).cors_allowed_origins)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("https://example.com", "https://example.com"),
        ("https://example.com/", "https://example.com"),
        ("https://example.com/a/b?c#d", "https://example.com"),
        ("https://example.com?x", "https://example.com"),
        ("HTTPS://Example.COM:443", "https://example.com"),
        ("http://example.com:80/", "http://example.com"),
        ("http://example.com:", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("https://example.com:8443", "https://example.com:8443"),
        ("wss://example.com:443", "wss://example.com"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[::1]", "http://[::1]"),
        ("http://[::1]:5173", "http://[::1]:5173"),
        ("file://", "file://"),
        ("file:///android_asset/index.html", "file://"),
        ("null", "null"),
        ("chrome-extension://abc/", "chrome-extension://abc"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("app://.", "app://."),
        ("Example.com:3000", "example.com:3000"),
        (" https://example.com ", "https://example.com"),
    ],
)
def test_an_origin_is_written_as_rfc_6454_says(sent: str, meant: str) -> None:
    assert serialised(sent) == meant


HEADERS = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=300),
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["http", "https", "HTTPS", "ws", "wss", "file", "chrome-extension", "capacitor", "", "x y"]),
        st.text("aZ.-_é*:[]@ 1", max_size=230),
        st.sampled_from(["", ":", ":80", ":443", ":8080", ":*", ":x"]),
        st.sampled_from(["", "/", "/a", "?b", "#", "//"]),
    ),
)


@given(HEADERS)
def test_what_is_written_so_is_not_changed_again(sent: str) -> None:
    assert serialised(serialised(sent)) == serialised(sent)


@given(HEADERS)
@example("*")
@example("https://*.example.com")
@example("https://" + "a" * 300)
@example("https://a/, https://b")
def test_what_a_refusal_proposes_is_a_setting_and_allows_that_origin(sent: str) -> None:
    try:
        check_origin(asking(sent), Config())
    except Forbidden as error:
        proposed = PROPOSED.search(str(error))
        assert (proposed is None) == ("*" in sent.split("/")[min(2, sent.count("/"))] or len(serialised(sent)) > 200)
        if proposed is not None:
            config = Config(cors_allowed_origins=ast.literal_eval(proposed[1]))
            assert check_origin(asking(sent), config) == sent
    except BadRequest:
        assert "," in sent or " " in sent.strip()


@pytest.mark.parametrize(
    "sent", ["https://a.example, https://a.example", "http://a http://b", "null, https://a.example"]
)
def test_several_origins_in_one_field_are_none(sent: str) -> None:
    """As in two fields."""
    for allowed in (None, "*", ["https://a.example"]):
        with pytest.raises(BadRequest):
            check_origin(asking(sent), Config(cors_allowed_origins=allowed))


@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ("https://example.com/", "https://example.com"),
        ("https://EXAMPLE.com:443", "https://example.com"),
        ("https://example.com", "https://Example.com:443/"),
        ("file:///", "file://"),
        ("Null", "null"),
    ],
)
def test_the_setting_is_read_in_the_same_way(setting: str, sent: str) -> None:
    assert allows([setting], sent)


PATTERNS = {
    "https://*.example.com": (
        ["https://a.example.com", "https://a.b.example.com", "https://A.Example.com:443/", "https://xn--a-b_1.example.com"],
        ["https://example.com", "http://a.example.com", "https://a.example.com:8443", "https://.example.com",
         "https://evilexample.com", "https://a.example.com.evil.org", "https://evil.org/.example.com",
         "https://evil.org#.example.com", "https://evil.org\\.example.com", "https://u@a.example.com", "https://a..example.com",
         "https://*.example.com", "https://é.example.com", "null", ""],
    ),
    "http://localhost:*": (
        ["http://localhost", "http://localhost:5173", "http://LOCALHOST:80"],
        ["https://localhost", "http://localhost.evil.org", "http://localhost:80a", "http://localhost:*"],
    ),
    "https://*.example.com:8443": (["https://a.example.com:8443"], ["https://a.example.com", "https://a.example.com:84430"]),
    "https://*.example.com:443": (["https://a.example.com"], ["https://a.example.com:8443"]),
    "https://pr-*.example.com": (
        ["https://pr-1.example.com", "https://pr-a-b.example.com"],
        ["https://pr-1.evil.example.com", "https://xpr-1.example.com", "https://pr-1.example.com.evil.org"],
    ),
    "chrome-extension://*": (["chrome-extension://abcdefghij"], ["chrome-extension://", "moz-extension://abcdefghij"]),
    "https://*": (["https://a.example", "https://[::1]"], ["http://a.example", "https://a.example:8443"]),
}  # fmt: skip


@pytest.mark.parametrize(("pattern", "match", "other"), [(p, *both) for p, both in PATTERNS.items()], ids=PATTERNS)
def test_a_pattern_matches_what_it_looks_like(pattern: str, match: list[str], other: list[str]) -> None:
    assert [origin for origin in match if not allows(["https://x.example", pattern], origin)] == []
    assert [origin for origin in other if allows([pattern], origin)] == []


@given(st.text("abz.-_:/@#?*\\é", max_size=40))
def test_a_pattern_never_leaves_its_domain(host: str) -> None:
    sent = f"https://{host}"
    if allows(["https://*.example.com"], sent):
        assert re.fullmatch(r"https://[a-z0-9._-]+\.example\.com", serialised(sent))


def test_a_long_origin_costs_little() -> None:
    """The time to match is in proportion to it: the limits of heads bound it."""
    sent = "https://" + "a." * 9000 + "example.org"
    assert not allows(["https://*.example.com", "https://pr-*.example.com"], sent)


def test_a_function_decides_with_the_origin_as_written_in_the_rfc() -> None:
    asked: list[Any] = []

    def allowed(origin: str, scope: Any) -> Any:
        asked.append((origin, scope["type"]))
        return origin.endswith(".example.com")

    config = Config(cors_allowed_origins=allowed)
    assert check_origin(asking("HTTPS://a.example.com:443/"), config) == "HTTPS://a.example.com:443/"
    with pytest.raises(Forbidden):
        check_origin(asking("https://evil.org"), config)
    assert asked == [("https://a.example.com", "http"), ("https://evil.org", "http")]
    assert check_origin(asking("https://chat.example"), config) is None  # the same site: nobody is asked
    assert len(asked) == 2


def test_a_function_decides_on_jsonp_by_the_page_that_is_named() -> None:
    config = Config(cors_allowed_origins=lambda origin, scope: origin == "https://a.example")
    scope: Scope = {"headers": [(b"host", b"chat.example"), (b"referer", b"https://a.example/page?x")]}
    check_jsonp_origin(scope, config)
    for headers in ([], [(b"referer", b"https://b.example/")]):
        with pytest.raises(Forbidden):
            check_jsonp_origin({"headers": headers}, config)


def test_a_function_that_returns_an_awaitable_allows_nothing() -> None:
    async def later() -> bool:
        return True

    setting: Origins = lambda origin, scope: later()  # noqa: E731
    with pytest.raises(UsageError, match="expected True or False"):
        check_origin(asking("https://evil.org"), Config(cors_allowed_origins=setting))


def test_what_a_function_raises_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        check_origin(asking("https://evil.org"), Config(cors_allowed_origins=lambda origin, scope: 1 // 0))
