"""Adapters: rooms and broadcasts in one process, or over several."""
