"""One client: its socket, its namespaces, the queues of what comes and goes, its acks, its heartbeat, its end.

May import ``runtime``, ``protocol`` and ``adapters``. What it needs of its transport or server it states itself.
"""
