"""Bytes and text to packets and back, for every generation and both sides. No asyncio, no clock, no I/O.

``base`` and ``parser`` are its seams: a `Protocol` is a generation of clients, a `Parser` the encoding of packets as
messages of Engine.IO. ``server_protocol`` has what only a server says. May import ``errors`` and ``config``.
"""
