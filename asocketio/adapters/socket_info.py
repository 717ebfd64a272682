"""SocketInfo: what one server tells others of a client in a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from asocketio.errors import UsageError
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.json_codec import StdJson
from asocketio.runtime.log import ThrottledLog

__all__ = ["SocketInfo", "copied"]

_json = StdJson()


class SocketInfo(NamedTuple):
    """One client in one namespace, as it was when somebody asked."""

    sid: str
    rooms: frozenset[str]
    """Without its private one."""
    data: dict[str, Any]
    """A copy, of JSON values only."""
    handshake: HandshakeInfo
    """Without ``auth``, ``Authorization`` and ``Cookie``."""

    def to_json(self) -> dict[str, Any]:
        """It as JSON, for adapters that carry it to another process."""
        return {
            "sid": self.sid,
            "rooms": sorted(self.rooms),
            "data": self.data,
            "handshake": self.handshake.to_json(),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> SocketInfo:
        """The one that `to_json` wrote."""
        handshake = HandshakeInfo.of_json(found["handshake"])
        return cls(found["sid"], frozenset(found["rooms"]), found["data"], handshake)


def copied(data: Mapping[str, Any], what: str, lines: ThrottledLog) -> dict[str, Any]:
    """A copy of ``data``. What has no form as JSON stays behind with one line in the log."""
    try:
        return _copy(data)
    except UsageError:
        pass
    found: dict[str, Any] = {}
    for key, value in list(data.items()):
        try:
            found |= _copy({key: value})
        except UsageError as error:
            lines.error("data", "%s[%.100r] stays behind for others: it %s", what, key, error, about=str(key))
    return found


def _copy(data: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `UsageError` where something in it is no JSON."""
    if not all(isinstance(key, str) for key in data):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("is not named by text")
    text, attachments = _json.dumps(dict(data))
    if attachments:
        raise UsageError("holds binary values, and JSON has none")
    copy: dict[str, Any] = _json.loads(text)
    return copy
