"""Clients that are no browser's and not Node's: Node's server reads what they write in another form. So does this."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import pytest

from tests.support.worlds import Recorder, Way, serve, until

pytestmark = pytest.mark.json_wire


class Keeper(Recorder):
    """Remembers what the event ``keep`` brought."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kept: list[Any] = []

    def on_keep(self, *args: Any) -> None:
        self.kept += args


DATA = bytes(range(256))
STANDARD = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()

# ---- base64 ---------------------------------------------------------------------------------------------------------

BASE64 = {
    "padded": STANDARD,
    "not padded": STANDARD.rstrip("="),
    "padded too much": STANDARD + "==",
    "URL-safe": URL_SAFE,
    "URL-safe, not padded": URL_SAFE.rstrip("="),
    "in lines": "\n".join(textwrap.wrap(STANDARD, 76)) + "\n",
    "in lines of MIME": "\r\n".join(textwrap.wrap(URL_SAFE, 76)),
}


def base64_frames(way: Way, text: str) -> list[str | bytes]:
    """An event whose only attachment comes as ``text``."""
    number = "4" if way["generation"] == 3 else ""
    return ['451-["keep",{"_placeholder":true,"num":0}]', f"b{number}{text}"]


@pytest.mark.parametrize("text", BASE64.values(), ids=BASE64)
async def test_base64_is_taken_as_clients_write_it(way: Way, text: str) -> None:
    if way["generation"] == "0.9":
        pytest.skip("it knows no binary")
    async with serve(Keeper, **way) as client:
        namespace = await client.connect()
        await client.post_frames(*base64_frames(way, text))
        assert await namespace.call("echo", "after") == "after"
        assert Keeper.last.kept == [DATA]


@pytest.mark.parametrize("text", ["AQ!D", "AQI*", "AQ==AQ==", "AQIDA", "é", "AQ%3D"])
async def test_what_is_no_base64_ends_the_session(way: Way, text: str) -> None:
    if way["generation"] == "0.9":
        pytest.skip("it knows no binary")
    async with serve(Keeper, **way) as client:
        await client.connect()
        await client.post_frames(*base64_frames(way, text))
        await until(lambda: Keeper.last.reasons)
        assert (Keeper.last.reasons, Keeper.last.kept) == (["parse error"], [])
