"""The programs of ``examples/`` that were ported from python-socketio, as they were before."""
