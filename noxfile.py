"""Longer and separate checks: ``nox -s tests``. The plain way to run everything is ``pytest``."""

import nox

nox.options.sessions = ["tests"]
PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def fast(session: nox.Session) -> None:
    """What runs in memory, in seconds."""
    session.install("-e", ".[test]")
    folders = ("conformance", "examples", "integration", "interop")
    session.run("pytest", *(f"--ignore=tests/{name}" for name in folders), *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and layers."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/test_quality.py", "tests/test_layers.py")


@nox.session
def conformance(session: nox.Session) -> None:
    """The official suites, from checkouts: ``nox -s conformance -- <engine.io-protocol> <socket.io-protocol>``."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.conformance.run", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """The distribution."""
    session.install("build")
    session.run("python", "-m", "build")
