"""Rooms without a mixin, and with it."""

from __future__ import annotations

from typing import Any

import pytest

from asocketio import BaseNamespace, RoomsMixin
from asocketio.runtime.awaitables import COMPLETED
from tests.support.worlds import Way, serve


class Plain(BaseNamespace):
    async def on_join(self, *rooms: str) -> Any:
        for room in rooms:
            await self.join(room)
        return sorted(self.rooms)

    def on_leave(self, room: str) -> Any:
        assert self.leave(room) is COMPLETED
        return sorted(self.rooms)

    def on_returned(self, room: str) -> Any:
        return self.join(room)


class Mixed(Plain, RoomsMixin): ...


class MixedFirst(RoomsMixin, Plain): ...


class Overriding(RoomsMixin, Plain):
    def join(self, room: str) -> Any:
        return RoomsMixin.join(self, room.lower())


@pytest.mark.parametrize("cls", [Plain, Mixed, MixedFirst, Overriding])
async def test_rooms_are_joined_and_left(cls: type[BaseNamespace], way: Way) -> None:
    async with serve(cls, **way) as client:
        chat = await client.connect()
        assert await chat.call("join", "red", "blue") == ["blue", "red"]
        assert await chat.call("leave", "red") == ["blue"]
        assert await chat.call("returned", "green") is None
        assert await chat.call("leave", "blue") == ["green"]
