"""A desk of rooms, questions and reminders."""

import socketio

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins=["https://www.example.com"])
app = socketio.ASGIApp(sio)


@sio.event
async def connect(sid, environ, auth):
    if not auth or "name" not in auth:
        raise socketio.exceptions.ConnectionRefusedError("who are you?")
    await sio.save_session(sid, {"name": auth["name"]})


@sio.event
async def join(sid, room):
    session = await sio.get_session(sid)
    await sio.enter_room(sid, room)
    await sio.emit("notice", f"{session['name']} is here", room=room, skip_sid=sid)
    await sio.emit("count", len(sio.rooms(sid)) - 1, to=sid)


@sio.on("file:ready")
async def ready(sid, number):
    answer = await sio.call("sure?", number, to=sid, timeout=5)
    if answer == "yes":
        await sio.emit("file", number)
    return answer


@sio.event
async def remind(sid, seconds, text):
    sio.start_background_task(later, sid, seconds, text)


async def later(sid, seconds, text):
    await sio.sleep(seconds)
    await sio.emit("notice", text, to=sid)


@sio.event
async def disconnect(sid, reason):
    session = await sio.get_session(sid)
    await sio.emit("notice", f"{session['name']} has left", skip_sid=sid)
