"""What a server gives us beside ASGI: the front that hands a websocket over, the connection and the transport that
carry a session over it without ASGI messages, and uvicorn's protocol classes, which are such a front.

May import ``transports`` and what is below it.
"""
