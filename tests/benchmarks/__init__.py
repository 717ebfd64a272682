"""What a message, a handshake and an idle client cost a server: ``python -m tests.benchmarks.run``."""
