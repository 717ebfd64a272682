"""Attacks with figures: what a client can make the server hold, and send to others, for each byte that it sends."""
