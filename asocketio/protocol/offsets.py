"""Offsets: the number of an event as text that tells a client nothing, and that it cannot make up.

A number by itself would tell how much the server sends to others, and every other number could be tried. Node's offsets
tell the time. The text is the last argument of an event; clients send it back when they return.
"""

from __future__ import annotations

import re
import secrets
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from hmac import compare_digest

__all__ = ["Offsets"]

_BYTES = 6
"""Of a number, and of its check: 2 to the 48th."""
_WRITTEN = re.compile(r"[A-Za-z0-9_-]{16}")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


class Offsets:
    """Makes and reads the offsets of one process. An offset is good for one namespace."""

    __slots__ = ("_check", "_mask")

    def __init__(self) -> None:
        self._check = blake2b(digest_size=_BYTES, key=secrets.token_bytes(32))
        self._mask = blake2b(digest_size=_BYTES, key=secrets.token_bytes(32))

    def seal(self, namespace: str, number: int) -> str:
        """The offset of event ``number`` (0 up to 2 to the 48th): 16 characters."""
        plain = number.to_bytes(_BYTES, "big")
        check = self._checked(namespace, plain)
        return b2a_base64(check + self._masked(check, number), newline=False).translate(_TO_URL).decode()

    def open(self, namespace: str, text: str) -> int | None:
        """The number in an offset; None where it is none of this process, or of another namespace."""
        if not _WRITTEN.fullmatch(text):
            return None
        sealed = a2b_base64(text.encode().translate(_FROM_URL))
        check = sealed[:_BYTES]
        plain = self._masked(check, int.from_bytes(sealed[_BYTES:], "big"))
        return int.from_bytes(plain, "big") if compare_digest(check, self._checked(namespace, plain)) else None

    def _checked(self, namespace: str, plain: bytes) -> bytes:
        check = self._check.copy()
        check.update(plain)
        if namespace:
            check.update(namespace.encode(errors="surrogatepass"))
        return check.digest()

    def _masked(self, check: bytes, number: int) -> bytes:
        """A number made unreadable, or readable again."""
        mask = self._mask.copy()
        mask.update(check)
        return (number ^ int.from_bytes(mask.digest(), "big")).to_bytes(_BYTES, "big")
