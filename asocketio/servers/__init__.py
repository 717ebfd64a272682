"""uvicorn's own protocol classes, which carry a websocket without ASGI messages.

May import ``transports`` and what is below it.
"""
