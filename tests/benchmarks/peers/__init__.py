"""Servers with the same four events as ``tests/benchmarks/server.py``."""
