"""Transports killed at random while numbered events are sent: none lost, none twice, or the client is new."""
