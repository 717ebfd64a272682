"""The smallest useful server: whatever a client sends, it gets back. No framework at all.

Run it from the repository root, then open http://127.0.0.1:8000/ or connect any Socket.IO client::

    asocketio examples.echo:app
"""

from collections.abc import MutableMapping
from typing import Any

from asocketio import BaseNamespace, SocketIOApp, event

PAGE = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Echo</title>
<label>Say something <input id="text" autofocus></label>
<ol id="log" aria-live="polite"></ol>
<script src="https://cdn.socket.io/4.8.4/socket.io.min.js"
  integrity="sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1"
  crossorigin="anonymous"></script>
<script>
  const socket = io();
  text.onchange = () => { socket.emit("say", text.value); text.value = ""; };
  socket.on("say", (said) =>
    log.append(Object.assign(document.createElement("li"), { textContent: said })));
</script>
"""


class Echo(BaseNamespace):
    @event("*")
    async def echo(self, name: str, *args: Any) -> tuple[Any, ...]:
        await self.emit(name, *args)
        return args  # the acknowledgement, for a client that asks for one


async def page(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
    """Any ASGI application can stand here: it gets every request that is not Socket.IO's."""
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})


app = SocketIOApp(page, namespaces={"/": Echo})
