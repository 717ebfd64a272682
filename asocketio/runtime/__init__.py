"""The event loop, without Socket.IO: clock, timers, coroutines that run in place, loop lag, signals, memory, log.

May import ``errors`` and ``config``.
"""
