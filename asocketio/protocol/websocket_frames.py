"""Websocket frames of a server: bytes to messages and back. Source: RFC 6455.

Its oracle in the tests is the sans-I/O protocol of the ``websockets`` package: both refuse the same, with the same
codes.
"""

from __future__ import annotations

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without compiled wheels
    from websockets.utils import apply_mask

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "LARGE",
    "NORMAL_CLOSURE",
    "PING",
    "PONG",
    "TEXT",
    "TOO_BIG",
    "Frames",
    "WebSocketError",
    "frame",
    "frames_of",
    "messages_of",
]

Frame = str | bytes

NORMAL_CLOSURE = 1000
"""The close code where nothing went wrong, and where no other one fits."""
TOO_BIG = 1009
"""The close code of a message over the limit."""
CONTINUATION = 0
TEXT = 1
BINARY = 2
CLOSE = 8
PING = 9
PONG = 10
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_FIN = 0x80
_RESERVED = 0x70
_WHOLE_TEXT = _FIN | TEXT
_MASKED = 0x80
_CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})

LARGE = 16_384
"""Bytes from which a frame's payload is not copied behind its header: joining costs more than a second write."""


class WebSocketError(Exception):
    """An error of the peer; ``code`` goes into the close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Frames:
    """A decoder of the frames of one client, from bytes in chunks of any size.

    It keeps the unread rest of the last chunk, one unfinished frame and one unfinished message: at most ``limit``
    bytes each, and a chunk.
    """

    __slots__ = ("_at", "_data", "_kind", "_message", "_need", "_partial", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """The largest message, in bytes."""
        self._data: bytes | bytearray = b""
        self._at = 0
        self._partial: bytearray | None = None
        self._need = 0
        self._message: bytearray | None = None
        self._kind = 0

    def push(self, data: bytes | bytearray) -> None:
        """Add bytes that were received."""
        if self._at < len(self._data):  # while the reader was paused
            data = self._data[self._at :] + data
        elif self._partial is not None:
            self._partial += data
            if len(self._partial) < self._need:
                self._data = b""
                self._at = 0
                return
            data, self._partial = self._partial, None
        self._data = data
        self._at = 0

    def next(self) -> tuple[int, Frame] | None:
        """The next message, or control frame, with its opcode; None when more bytes are needed.

        Text comes as str, all else as bytes. A part of a message is ``(CONTINUATION, b"")``: it is kept, and counts as
        something read.

        Raises:
            WebSocketError: the peer broke the protocol; nothing more can be read.
        """
        data, at = self._data, self._at
        left = len(data) - at
        if not left:
            self._data = b""  # `_wait`, as most reads end: 0.1 µs
            self._at = 0
            return None
        if left < 2:
            self._wait(2)
            return None
        first, second = data[at], data[at + 1]
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            raise WebSocketError(1002, "invalid opcode")
        if second < _MASKED:
            raise WebSocketError(1002, "incorrect masking")
        length = second & 0x7F
        start = at + 6
        if length > 125:
            start = at + (8 if length == 126 else 14)
            if left < start - at - 4:
                self._wait(start - at - 4)
                return None
            length = int.from_bytes(data[at + 2 : start - 4])
        if length > self.limit - (0 if self._message is None else len(self._message)):
            raise WebSocketError(TOO_BIG, f"over {self.limit} bytes")
        stop = start + length
        if len(data) < stop:
            self._wait(stop - at)
            return None
        masked = data[start:stop] if length < LARGE else memoryview(data)[start:stop]  # not copied once more
        payload = apply_mask(masked, data[start - 4 : start])
        self._at = stop
        if first == _WHOLE_TEXT and self._message is None:
            try:
                return TEXT, payload.decode()
            except UnicodeDecodeError as error:
                raise _not_text(error) from None
        if first & _RESERVED:
            raise WebSocketError(1002, "reserved bits must be 0")
        if opcode >= CLOSE:
            return self._control(first, opcode, payload)
        return self._fragment(first, opcode, payload)

    def _wait(self, need: int) -> None:
        """Keep what is left until ``need`` bytes of it are there."""
        if self._at < len(self._data):
            self._partial = bytearray(self._data[self._at :])
            self._need = need
        self._data = b""
        self._at = 0

    def _control(self, first: int, opcode: int, payload: bytes) -> tuple[int, Frame]:
        if len(payload) > 125:
            raise WebSocketError(1002, "control frame too long")
        if not first & _FIN:
            raise WebSocketError(1002, "fragmented control frame")
        if opcode == CLOSE:
            _check_close(payload)
            if self._message is not None:
                raise WebSocketError(1002, "incomplete fragmented message")
        return opcode, payload

    def _fragment(self, first: int, opcode: int, payload: bytes) -> tuple[int, Frame]:
        """A data frame: the message that it completes, or ``(CONTINUATION, b"")``."""
        if opcode == CONTINUATION:
            if self._message is None:
                raise WebSocketError(1002, "unexpected continuation frame")
            self._message += payload  # one buffer: a million fragments are no million objects
        elif self._message is not None:
            raise WebSocketError(1002, "expected a continuation frame")
        elif first & _FIN:
            return opcode, payload
        else:
            self._kind = opcode
            self._message = bytearray(payload)
        if not first & _FIN:
            return CONTINUATION, b""
        whole, self._message = bytes(self._message), None
        return (TEXT, _text(whole)) if self._kind == TEXT else (BINARY, whole)


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise _not_text(error) from None


def _not_text(error: UnicodeDecodeError) -> WebSocketError:
    return WebSocketError(1007, f"{error.reason} at position {error.start}")


def _check_close(payload: bytes) -> None:
    """A close frame has no payload, or a code and a reason (RFC 6455, 5.5.1)."""
    if len(payload) == 1:
        raise WebSocketError(1002, "close frame too short")
    if payload:
        _text(payload[2:])
        if int.from_bytes(payload[:2]) not in _CLOSE_CODES:
            raise WebSocketError(1002, "invalid status code")


def _heads(opcode: int) -> list[bytes]:
    return [bytes((_FIN | opcode, length)) for length in range(126)]


_HEADS = {opcode: _heads(opcode) for opcode in (TEXT, BINARY, CLOSE, PING, PONG)}
_TEXT_HEADS = _HEADS[TEXT]


def frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame of a server."""
    return head(opcode, len(payload)) + payload


def head(opcode: int, length: int) -> bytes:
    """The header of a frame with ``length`` bytes of payload."""
    if length < 126:
        return _HEADS[opcode][length]
    if length < 65_536:
        return bytes((_FIN | opcode, 126)) + length.to_bytes(2)
    return bytes((_FIN | opcode, 127)) + length.to_bytes(8)


def frames_of(messages: tuple[Frame, ...]) -> tuple[bytes, ...]:
    """The bytes of some messages, to be written one after the other; small ones are joined."""
    if len(messages) == 1 and isinstance(message := messages[0], str):
        payload = message.encode()
        size = len(payload)
        if size < LARGE:  # as most are: a third of what follows
            return ((_TEXT_HEADS[size] if size < 126 else head(TEXT, size)) + payload,)
    joined = b""
    parts: list[bytes] = []
    for message in messages:
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        if len(payload) < LARGE:
            joined += frame(opcode, payload)
            continue
        parts += (joined + head(opcode, len(payload)), payload)
        joined = b""
    return (*parts, joined) if joined else tuple(parts)


def messages_of(frames: tuple[bytes, ...]) -> tuple[Frame, ...]:
    """The messages of what `frames_of` made."""
    data = memoryview(b"".join(frames))
    messages: list[Frame] = []
    at = 0
    while at < len(data):
        opcode, length = data[at] & 0x0F, data[at + 1]
        start = at + 2
        if length > 125:
            start += 2 if length == 126 else 8
            length = int.from_bytes(data[at + 2 : start])
        at = start + length
        messages.append(str(data[start:at], "utf-8") if opcode == TEXT else bytes(data[start:at]))
    return tuple(messages)
