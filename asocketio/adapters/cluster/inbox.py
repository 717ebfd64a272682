"""Inbox: what the engine hands over: messages of other servers, and news of the bus."""

from __future__ import annotations

from asocketio.adapters.base import Adapter
from asocketio.adapters.cluster.engine import ClusterChange
from asocketio.adapters.cluster.members import Members
from asocketio.adapters.cluster.messages import (
    Answer,
    Broadcast,
    Disconnect,
    Fetch,
    Join,
    Leave,
    Message,
    ServerEvent,
)
from asocketio.adapters.cluster.news import News
from asocketio.adapters.cluster.publisher import Publisher
from asocketio.adapters.cluster.requests import Questions
from asocketio.adapters.cluster.respondent import Respondent
from asocketio.config import Config
from asocketio.errors import MalformedMessage, SocketIOError
from asocketio.runtime.clock import Clock
from asocketio.runtime.log import ThrottledLog

__all__ = ["Inbox"]


class Inbox:
    """The `EngineHost` of a `ClusterAdapter`. What others say never raises here."""

    def __init__(
        self,
        adapter: Adapter,
        uid: str,
        publisher: Publisher,
        questions: Questions,
        members: Members | None,
        news: News,
    ) -> None:
        self._adapter = adapter
        self._uid = uid
        self._publisher = publisher
        self._questions = questions
        self._members = members
        self.respondent = Respondent(adapter, publisher)
        self._news = news

    @property
    def config(self) -> Config:
        return self._adapter.host.config

    @property
    def clock(self) -> Clock:
        return self._adapter.host.clock

    @property
    def throttled_log(self) -> ThrottledLog:
        return self._adapter.host.throttled_log

    def receive(self, message: Message) -> None:
        if message.uid == self._uid or message.to not in (None, self._uid):
            return
        self._adapter.host.metrics.cluster("received", 1)
        if self._members is not None:
            self._members.hear(message.uid, message.namespace, message.body)
        try:
            self._act(message)
        except SocketIOError as error:  # a packet that is too large, a room that is private: nobody here can help it
            what = type(message.body).__name__
            self.throttled_log.warning("cluster", "a %s of the server %.40r: %s", what, message.uid, error)

    def _act(self, message: Message) -> None:
        adapter, body = self._adapter, message.body
        if isinstance(body, Broadcast):
            if body.request_id is None:
                adapter.deliver(body.packet, body.target, volatile=body.volatile)
            else:
                self.respondent.ask_clients(message, body, body.request_id)
        elif isinstance(body, Join):
            adapter.join_here(body.target, body.rooms)
        elif isinstance(body, Leave):
            adapter.leave_here(body.target, body.rooms)
        elif isinstance(body, Disconnect):
            adapter.disconnect_here(body.target, close=body.close)
        elif isinstance(body, Fetch):
            self.respondent.fetch(message, body)
        elif isinstance(body, ServerEvent):
            self.respondent.call_server(message, body)
        elif isinstance(body, Answer):
            self._questions.take(message)

    def refuse(self, error: MalformedMessage) -> None:
        self._news.malformed(error)

    def member_gone(self, uid: str) -> None:
        if self._members is None:
            self._questions.member_gone(uid)
            self._news.changed(ClusterChange("left", member=uid))
        else:
            self._members.forget(uid)

    def changed(self, change: ClusterChange) -> None:
        self._news.changed(change)
        if change.what == "up":
            self._publisher.wake()
