"""Fuzzing what reads a peer's bytes: decoders, bodies, URLs. See ``run.py`` for the long form."""
