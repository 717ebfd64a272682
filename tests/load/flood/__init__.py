"""Adversaries of a running server: floods that must not harm it, and a soak that must leave nothing behind."""
