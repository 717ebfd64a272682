"""JSONP, the polling of pages without XHR and websockets: answers are scripts, posted bodies are HTML forms."""

from __future__ import annotations

import json
import re
from urllib.parse import parse_qsl

from asocketio.errors import MalformedPayload
from asocketio.protocol.base import Body

__all__ = ["SCRIPT", "field", "script", "text", "unescape"]

SCRIPT = b"text/javascript; charset=UTF-8"
_NEWLINE = re.compile(r"(\\)?\\n")


def script(callback: str, argument: str) -> Body:
    """A script that calls ``callback`` with a text. It is all ASCII, because U+2028 ends a line in older browsers."""
    return Body(f"{callback}({json.dumps(argument)});".encode(), SCRIPT)


def text(body: bytes) -> str:
    """A body as text.

    Raises:
        MalformedPayload: it is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedPayload(f"the body is not UTF-8 at byte {error.start}") from None


def field(body: bytes) -> str:
    """The field ``d`` of a form.

    Raises:
        MalformedPayload: the body is no form with such a field.
    """
    try:
        fields = parse_qsl(text(body), keep_blank_values=True, errors="strict", max_num_fields=10)
    except ValueError as error:
        raise MalformedPayload(f"not a form that can be read: {error}") from None
    for name, value in fields:
        if name == "d":
            return value
    raise MalformedPayload(f"a form without the field d: {body[:40]!r}")


def unescape(data: str) -> str:
    r"""The payload as the client had it: Engine.IO clients write a newline as ``\n``, and the pair ``\n`` as ``\\n``.

    Forms turn a lone newline into two characters, hence the escapes.
    """
    return _NEWLINE.sub(lambda found: r"\n" if found[1] else "\n", data)
