"""The same promises under a coverage-guided fuzzer: ``python -m tests.fuzz.atheris_targets TARGET -runs=100000``.

It needs atheris, which has wheels for Linux only. What follows the target is libFuzzer's: ``-max_total_time=600``,
``-max_len=4096``, directories of inputs. Without a directory one below the system's for temporary files is used, and
grows from run to run. ``--form plain`` and ``--form fast`` come first (``tests.support.forms``): in both the fuzzer is
guided by the coverage of our Python, msgspec and orjson are not instrumented.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["dictionary", "main"]

SEEDS = 500
PATIENCE = 10.0
"""Instrumented code is that much slower."""


def main(arguments: Sequence[str]) -> None:
    """Fuzz one target until libFuzzer has enough; it ends the process itself."""
    atheris: Any = importlib.import_module("atheris")
    # Only what is imported below for the first time is instrumented.
    with atheris.instrument_imports(include=["asocketio"]):
        targets = importlib.import_module("tests.fuzz.targets").TARGETS
    from tests.fuzz.inputs import TOKENS, Inputs
    from tests.fuzz.promises import Broken, examine
    from tests.support.forms import add_form, announce

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_form(parser)
    told, arguments = parser.parse_known_args(arguments)
    announce(told.form)
    if not arguments or arguments[0] not in targets:
        sys.exit(f"usage: python -m tests.fuzz.atheris_targets {{{','.join(targets)}}} [options of libFuzzer]")
    name, *options = arguments
    target = targets[name]

    def check(data: bytes) -> None:
        given = target.of_bytes(data)
        try:
            examine(target, given, patience=PATIENCE)
        except Broken:
            shown = ascii(tuple(given) if isinstance(given, tuple) else given)
            print(f"BROKEN: python -m tests.fuzz.run --target {name} --replay, with\n{shown[:10_000]}", flush=True)
            raise

    base = Path(tempfile.gettempdir()) / "asocketio-fuzz"
    if all(option.startswith("-") for option in options):
        directory = base / name
        directory.mkdir(parents=True, exist_ok=True)
        inputs = Inputs(name, seed=0)
        for number in range(SEEDS):
            data = target.to_bytes(inputs.make(number))
            if len(data) < 4096:
                (directory / f"seed-{number}").write_bytes(data)
        options.append(str(directory))
    base.mkdir(parents=True, exist_ok=True)
    tokens = base / "tokens.dict"
    tokens.write_text(dictionary(TOKENS), encoding="ascii")
    options += [f"-dict={tokens}", f"-artifact_prefix={base}/"]
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


def dictionary(tokens: Sequence[str]) -> str:
    """The words that mean something to a reader, as libFuzzer wants to be told of them."""
    words = {token.encode(errors="replace") for token in tokens if 0 < len(token) < 60}
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in sorted(words)]
    return "".join(f'"{line}"\n' for line in lines)


if __name__ == "__main__":
    main(sys.argv[1:])
