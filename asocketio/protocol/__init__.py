"""The generations of the protocol. Nothing here knows asyncio or a clock."""
