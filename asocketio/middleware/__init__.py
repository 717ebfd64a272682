"""Middleware that is ready to be used. What middleware is: docs/middleware.md."""
