"""Who is in which room, and how a broadcast reaches them: the seam (``base``) and what plugs into it.

May import ``runtime`` and ``protocol``. Of a client they know a `Recipient`, not the session.
"""
