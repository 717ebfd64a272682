"""Bytes and text to packets and back, for every generation and both directions. No asyncio, no clock, no I/O.

May import ``errors`` and ``config``.
"""
