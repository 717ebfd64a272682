"""Respondent: answers the questions of other servers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from asocketio.adapters.ack_collector import AckCollector, shared_number
from asocketio.adapters.base import Adapter
from asocketio.adapters.cluster.messages import (
    Ack,
    Answer,
    Broadcast,
    ClientCount,
    Fetch,
    Fetched,
    Gone,
    Message,
    ServerAnswer,
    ServerEvent,
)
from asocketio.adapters.cluster.publisher import Publisher
from asocketio.adapters.socket_info import SocketInfo
from asocketio.errors import UsageError
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.packet import EVENT, Packet

__all__ = ["Respondent"]

REMEMBERED = 1000
"""Questions, the latest ones, of which it is known that they were asked: an engine may bring one twice."""
LONGEST = 3600.0
"""Seconds for which the acks of clients are waited for, whatever another server says."""


class Respondent:
    """Asks the clients of this server, and its functions for events of servers, and sends what they say."""

    def __init__(self, adapter: Adapter, publisher: Publisher) -> None:
        self._adapter = adapter
        self._publisher = publisher
        self._relays: set[Relay] = set()
        self._asked: OrderedDict[tuple[str, str], None] = OrderedDict()

    def stop(self) -> None:
        """Wait for no client any more."""
        for relay in list(self._relays):
            relay.close()

    def ask_clients(self, message: Message, question: Broadcast, request_id: str) -> None:
        """Ask the clients that a broadcast means: their number is said, then each of their acks."""
        if self._is_known(message.uid, request_id):
            return

        def send(answer: Answer) -> None:
            self._send(message, answer)

        relay = Relay(request_id, send, question.hears_gone)
        packet = replace(question.packet, id=relay.number, ack="data")
        try:
            self._adapter.ask_here(packet, question.target, relay, volatile=question.volatile)
        finally:
            relay.say_count()
        if relay.missing:
            timer = self._adapter.host.clock.call_later(min(question.seconds, LONGEST), relay.close)
            self._relays.add(relay)
            relay.when_closed(timer.cancel)
            relay.when_closed(lambda: self._relays.discard(relay))

    def fetch(self, message: Message, question: Fetch) -> None:
        """Say which clients of this server are meant."""
        adapter = self._adapter
        if question.only_sids:
            nothing = HandshakeInfo()
            sids = adapter.fetch_sids_here(question.target)
            found = [SocketInfo(sid, frozenset(), {}, nothing) for sid in sids]
        else:
            found = adapter.fetch_here(question.target)
        self._send(message, Fetched(question.request_id, found, question.only_sids))

    def call_server(self, message: Message, question: ServerEvent) -> None:
        """Run what the program has for an event of another server."""
        request_id = question.request_id
        packet = Packet(EVENT, message.namespace, question.name, question.args)
        if request_id is None:
            self._adapter.server_event_here(packet)
        elif not self._is_known(message.uid, request_id):
            self._adapter.server_event_here(packet, lambda value: self._send(message, ServerAnswer(request_id, value)))

    def _is_known(self, uid: str, request_id: str) -> bool:
        """Whether this question has come before."""
        key = uid, request_id
        if key in self._asked:
            return True
        self._asked[key] = None
        if len(self._asked) > REMEMBERED:
            self._asked.popitem(last=False)
        return False

    def _send(self, question: Message, answer: Answer) -> None:
        try:
            self._publisher.publish(question.namespace, answer, question.uid)
        except UsageError as error:
            self._adapter.host.throttled_log.error(
                "answer", "an answer for another server, a %s, %s", type(answer).__name__, error
            )


class Relay(AckCollector):
    """Passes on what clients of this server say to the server that asked them."""

    __slots__ = ("_clients", "_counted", "_hears_gone", "_request_id", "_send", "answered")

    def __init__(self, request_id: str, send: Callable[[Answer], None], hears_gone: bool) -> None:
        super().__init__(shared_number())
        self._request_id = request_id
        self._send = send
        self._hears_gone = hears_gone
        self._counted = False

    def answer(self, client: Any, args: list[Any]) -> None:
        if self._takes(client):
            self._send(Ack(self._request_id, args, client.sid))
            self._end(client)

    def give_up(self, client: Any) -> None:
        if self._takes(client) and self._counted and self._hears_gone:
            self._send(Gone(self._request_id, client.sid))
        self._end(client)

    def say_count(self) -> None:
        """All are asked. Those that have gone meanwhile do not count."""
        self._send(ClientCount(self._request_id, self.missing))
        self._counted = True

    def _takes(self, client: Hashable) -> bool:
        return client in self._forget

    def _end(self, client: Hashable) -> None:
        self._forget.pop(client, None)
        if self._counted and not self._forget:
            self.close()
