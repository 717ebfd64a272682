"""What carries a session over ASGI: long-polling and websocket. `asocketio.transports.upgrade` decides how a websocket
takes over, for these and for the server's own connections.

May import ``asgi`` and what is below it.
"""
