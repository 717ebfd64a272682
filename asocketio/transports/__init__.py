"""Transports: HTTP long-polling and websocket, over ASGI."""
