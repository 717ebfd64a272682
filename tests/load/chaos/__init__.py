"""A run against a real server on a bad network: what must hold however connections are hurt, and what must be freed."""
