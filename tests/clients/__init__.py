"""The clients of the tests: each thing that a client does is written once, here.

- What is sent, as bytes or text: `frames` (websockets), `http` (requests and responses), `protocols` (Engine.IO and
  Socket.IO, for each generation).
- Over a network: `tcp` (any bytes over a socket), `wire` (by httpx and websockets).
- In memory: `asgi` (requests one by one), `raw` (a session over each transport), `memory_connection` (bytes to the
  protocol class of a server), `takeover_transport` and `memory_front` (a `TestClient` over a websocket taken over).
"""
