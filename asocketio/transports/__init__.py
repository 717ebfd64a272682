"""What carries a session over ASGI: long-polling, websocket, and the upgrade from one to the other.

May import ``asgi`` and what is below it.
"""
