"""The clients of the tests read what a server sends as it is, in whatever pieces it comes."""

from __future__ import annotations

import pytest

from tests.clients.frames import CLOSE, TEXT, encode_frame, masked, messages, server_frame, split
from tests.clients.http import Response, take_response

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n"
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "status", "body", "closes", "rest"),
    [
        (LENGTH + b"helloHTTP", 200, b"hello", True, b"HTTP"),
        (CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nHTTP", 503, b"hello!", False, b"HTTP"),
        (CHUNKED + b"x\r\nhello", 0, b"x\r\nhello", False, b""),
        (UNTIL_END + b"hello", 200, b"hello", False, b""),
        (SWITCHED + b"\x81\x01x", 101, b"", False, b"\x81\x01x"),
        (b"HTTP/1.1 204 No Content\r\n\r\nHTTP", 204, b"", False, b"HTTP"),
        (b"SSH-2.0\r\n\r\n", 0, b"", False, b""),
    ],
)
def test_a_response_is_read(data: bytes, status: int, body: bytes, closes: bool, rest: bytes) -> None:
    response, left = take_response(data)
    assert isinstance(response, Response)
    assert (response.status, response.body, response.closes, left) == (status, body, closes, rest)


@pytest.mark.parametrize("whole", [LENGTH + b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
def test_a_response_that_is_not_whole_is_waited_for(whole: bytes) -> None:
    for size in range(len(whole)):
        assert take_response(whole[:size]) == (None, whole[:size])
    assert take_response(whole)[0] is not None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_are_split_and_encoded(size: int) -> None:
    stream = server_frame("x" * size) + server_frame(b"y" * size) + encode_frame(CLOSE, b"\x03\xe8", key=None)
    assert split(stream + b"\x81") == ([(1, b"x" * size), (2, b"y" * size), (8, b"\x03\xe8")], b"\x81")
    assert split(stream[:-1])[0] == [(1, b"x" * size), (2, b"y" * size)]
    assert masked("x" * size) == messages("x" * size) == encode_frame(TEXT, "x" * size, key=masked("")[2:6])
