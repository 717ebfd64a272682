"""HandshakeInfo: the request that opened a session, as programs see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from asocketio.protocol.query import read_query

__all__ = ["HandshakeInfo", "HeaderFields"]

_PRIVATE = frozenset({b"authorization", b"cookie"})
"""Header fields that do not leave the process."""


class HeaderFields(Mapping[str, str]):
    """Header fields by name, in any case: ``headers["user-agent"]``. Fields of one name are joined (RFC 9110, 5.2)."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, str] = {}
        for raw, value in fields:
            name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
            former = self._fields.get(name)
            separator = "; " if name == "cookie" else ", "
            self._fields[name] = text if former is None else f"{former}{separator}{text}"

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<HeaderFields {', '.join(self._fields)}>"  # values may be secrets


@dataclass(frozen=True, slots=True)
class HandshakeInfo:
    """The request that opened a session. What is not a field is read from the request each time: nothing is kept twice.

    That of a `RemoteSocket` has no ``auth``, and no header fields ``Authorization`` and ``Cookie``.
    """

    address: str = ""
    """The client's address, as the server tells it; ``""`` where it does not."""
    time: float = 0.0
    """When the session was opened, in seconds, as `time.time` counts them."""
    secure: bool = False
    """It came by TLS, as the server tells it."""
    url: str = ""
    """Path and query: ``/socket.io/?EIO=4&transport=polling``."""
    auth: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """What the client gave when it asked for this namespace. Before generation 4: the fields of its query."""
    fields: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    """The header fields as they came."""
    reserved: frozenset[str] = field(default=frozenset(), repr=False)
    """Fields of the query that are the protocol's."""

    @property
    def headers(self) -> HeaderFields:
        """The header fields by name."""
        return HeaderFields(self.fields)

    @property
    def query(self) -> dict[str, str]:
        """The fields of the URL that are the program's own."""
        found = read_query(self.url.partition("?")[2])
        return {name: value for name, value in found.items() if name not in self.reserved}

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies by name; of two with one name the last."""
        found: dict[str, str] = {}
        for part in self.headers.get("cookie", "").split(";"):
            name, equals, value = part.strip().partition("=")
            if equals:
                found[name] = unquote(value.strip().removeprefix('"').removesuffix('"'))
        return found

    def shared(self) -> HandshakeInfo:
        """What others may see of it: without ``auth``, ``Authorization`` and ``Cookie``."""
        fields = [(name, value) for name, value in self.fields if name.lower() not in _PRIVATE]
        return HandshakeInfo(self.address, self.time, self.secure, self.url, {}, fields, self.reserved)

    def to_json(self) -> dict[str, Any]:
        """What `shared` has, as JSON, for adapters that carry it to another process."""
        shared = self.shared()
        return {
            "address": shared.address,
            "time": shared.time,
            "secure": shared.secure,
            "url": shared.url,
            "fields": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in shared.fields],
            "reserved": sorted(shared.reserved),
        }

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> HandshakeInfo:
        """The one that `to_json` wrote."""
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in found["fields"]]
        reserved = frozenset(found["reserved"])
        return cls(found["address"], found["time"], found["secure"], found["url"], {}, fields, reserved)
