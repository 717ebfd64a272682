"""FastAPI guards the door: a dependency answers 401, or tells the namespace who is there.

Run it from the repository root::

    asocketio examples.auth_fastapi:app

Without a token the handshake itself is refused, with the dependency's own answer::

    $ curl -i 'http://127.0.0.1:8000/socket.io/?EIO=4&transport=polling'
    HTTP/1.1 401 Unauthorized
    www-authenticate: Bearer
    {"detail":"Who are you?"}

With one it succeeds. Clients that can set headers send ``Authorization``; a browser's
websocket can not, so a cookie is read too (not the query: those end up in access logs)::

    $ curl -H 'Authorization: Bearer sesame' 'http://127.0.0.1:8000/socket.io/?EIO=4&transport=polling'
    0{"sid":"...

    document.cookie = "token=sesame; SameSite=Lax";          // a real site sets it when the user logs in, HttpOnly
    const socket = io();
    socket.on("announcement", console.log);
    socket.emit("whoami", console.log);                      // ada

A view speaks to the sockets as well::

    $ curl -X POST -H 'Authorization: Bearer sesame' 'http://127.0.0.1:8000/announce?text=Lunch'
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from asocketio import BaseNamespace, SocketIOApp, socketio_manage


@dataclass(frozen=True, slots=True)
class User:
    name: str


USERS = {"sesame": User("ada"), "abracadabra": User("grace")}  # by token
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


async def current_user(bearer: Credentials, token: Annotated[str, Cookie()] = "") -> User:
    """The user whose token is in the ``Authorization`` header or else in a cookie."""
    user = USERS.get(bearer.credentials if bearer else token)
    if user is None:
        raise HTTPException(401, "Who are you?", {"WWW-Authenticate": "Bearer"})
    return user


CurrentUser = Annotated[User, Depends(current_user)]


class Desk(BaseNamespace):
    async def on_whoami(self) -> str:
        user: User = self.request.state.user
        return user.name


api = FastAPI(title="Announcements")


@api.get("/socket.io/{_:path}", include_in_schema=False)
async def socketio(request: Request, user: CurrentUser) -> Response:
    """Runs once per socket, whatever its transport, for as long as the socket lives."""
    request.state.user = user
    await socketio_manage(request.scope, {"/": Desk}, request=request)
    return Response()


@api.post("/announce", status_code=204)
async def announce(request: Request, user: CurrentUser, text: str) -> None:
    await request.scope["asocketio"].of("/").emit("announcement", f"{user.name}: {text}")


app = SocketIOApp(api)
