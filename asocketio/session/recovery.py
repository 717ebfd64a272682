"""How a client comes back to what it was, and what is kept of one that goes. See docs/recovery.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from asocketio.adapters.recovery import RecoveryStore, is_numbered
from asocketio.adapters.socket_info import copied
from asocketio.adapters.trails import Restored, Saved, Trail
from asocketio.config import Config
from asocketio.errors import UsageError
from asocketio.protocol.base import Encoded
from asocketio.protocol.sids import new_sid
from asocketio.runtime.awaitables import Waiters
from asocketio.session.backlog import weight
from asocketio.session.close_reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE
from asocketio.session.member import Member
from asocketio.session.socket import Socket
from asocketio.session.states import JOINED, OPEN

__all__ = ["Claim", "come_back", "enter", "is_recoverable", "leave", "save", "set_recoverable", "take_claim"]

CLIENT_SIZE = 1000
"""Bytes that a client that is away takes besides its rooms and its data."""


class Claim(NamedTuple):
    """What a client that comes back says it was."""

    private_id: str
    offset: object


def store_of(socket: Socket) -> RecoveryStore | None:
    """Where the clients of this generation may come back from."""
    return None if socket.protocol.opens_global else socket.server.adapter.recovery


# In.


def take_claim(socket: Socket, auth: dict[str, Any]) -> Claim | None:
    """Take what says which client this was out of ``auth``: who reads it can be that client. None where it is new."""
    if store_of(socket) is None:
        return None
    private_id, offset = auth.pop("pid", None), auth.pop("offset", None)
    return Claim(private_id, offset) if isinstance(private_id, str) else None


async def come_back(socket: Socket, namespace: str, claim: Claim) -> Restored | None:
    """What there is of a client that asks for ``namespace`` and was here before; None where it must be a new one."""
    store = store_of(socket)
    if store is None:
        return None
    private_id, offset = claim
    trail = store.find(private_id)
    if trail is not None and not await _has_gone(socket, namespace, trail, offset):
        return None
    pin = socket.handshake.pin
    restored = await store.restore(namespace, private_id, offset, socket.protocol, pin)
    if restored is not None and socket.state is not OPEN:
        store.put_back(restored)
        return None
    return restored


async def _has_gone(socket: Socket, namespace: str, trail: Trail, offset: object) -> bool:
    """See that the former connection of a client is over, and all that follows its end.

    It may live on for the server, which has not noticed yet. Whoever cannot be that client ends nothing.
    """
    store = store_of(socket)
    former = socket.server.adapter.local.namespaces.get(namespace, {}).get(trail.sid)
    if store is None or trail.namespace != namespace or store.find_position(trail, offset) is None:
        return False
    if former is None:
        return True
    member = cast("Member", former)
    if member.socket.handshake.pin != socket.handshake.pin or not trail.returns:
        return False
    if member.socket.state is OPEN and not (member.state is JOINED or member.rule.connecting):
        return False  # it leaves by itself, or was thrown out
    member.socket.close(TRANSPORT_CLOSE)
    if trail.stopped is None:
        trail.stopped = Waiters()
    with socket.server.clock.deadline(4 * socket.config.close_grace) as scope:
        await trail.stopped.wait()
    return not scope.cancelled_caught


def enter(socket: Socket, namespace: str, params: Mapping[str, Any], restored: Restored | None) -> Member:
    """The place of a client in a namespace, new or its former one. From now on it is in its rooms."""
    sid = new_sid() if restored is None else restored.trail.sid
    member = Member(socket, namespace, sid, params)
    adapter, store = socket.server.adapter, store_of(socket)
    if store is not None:
        member.trail = trail = restored.trail if restored is not None else store.open(namespace, sid, socket.protocol)
        member.prepare = trail.prepare
        _introduce(socket, trail)
    adapter.add(member)
    for room in tuple(restored.trail.rooms) if restored is not None else ():
        adapter.join(member, room)
    if restored is not None and restored.saved.data:
        member.data = copied(restored.saved.data, f"{member}: self.data", socket.server.throttled_log)
    return member


def _introduce(socket: Socket, trail: Trail) -> None:
    """Let all trails of a connection know of each other; most are alone."""
    trails = [each.trail for each in socket.members.values() if each.trail is not None]
    if trails:
        trails.append(trail)
        siblings = tuple(each.private_id for each in trails)
        for each in trails:
            each.siblings = siblings


def is_recoverable(member: Member) -> bool:
    """Whether the client may come back."""
    return member.trail is not None and member.trail.returns


def set_recoverable(member: Member, value: bool) -> None:
    """Let the client come back no more. One that has not been told of its private id yet is never told, nor numbered.

    Raises:
        UsageError: it may not, and should.
    """
    trail = member.trail
    if value:
        if trail is None or not trail.returns:
            raise UsageError("recoverable can be set to False only, and not back; without the setting recovery it is")
        return
    if trail is None:
        return
    trail.returns = False
    store = store_of(member.socket)
    if member.rule.connecting and trail.restored is None and store is not None:
        store.close(trail)
        member.trail, member.prepare = None, member.protocol.encoder
        member.change_held(lambda encoded: _without_offset(member, encoded))


def _without_offset(member: Member, encoded: Encoded) -> Encoded:
    """An event as it was before it was numbered; other packets as they are."""
    decoder = member.protocol.decoder(Config(max_attachments=1_000_000, max_attachment_bytes=2**60))
    packet = None
    for frame in encoded.frames:
        packet = decoder.feed(frame)
    if packet is None or not is_numbered(packet):
        return encoded
    packet.args.pop()
    return member.protocol.encode(packet)


# Out.


def save(member: Member) -> None:
    """The last handler of a client that leaves has ended: keep what it comes back to, if it may."""
    trail, socket = member.trail, member.socket
    store = store_of(socket)
    if trail is not None and store is not None and member.may_return:
        data = member.describe().data
        trail.is_saved = True
        store.save(Saved(trail, data, socket.handshake.pin, CLIENT_SIZE + weight(data, 2**60)))


def leave(member: Member) -> None:
    """A client has left its namespace, or was not let in."""
    trail, store = member.trail, store_of(member.socket)
    if trail is None or store is None:
        return
    restored, trail.restored = trail.restored, None
    if restored is not None and SERVER_DISCONNECT not in (member.reason, member.socket.reason):
        store.put_back(restored)
    else:
        store.close(trail)
    stopped, trail.stopped = trail.stopped, None
    if stopped is not None:
        stopped.wake()
