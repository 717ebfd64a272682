"""A cluster: adapters that reach the clients of other servers, over an engine that carries messages between them.

The seam is ``engine``; the set of messages is ``messages``. May import what ``adapters`` may.
"""
