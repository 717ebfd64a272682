"""Templates of namespace names: ``/orders/{order_id:int}``. A template is compiled once, and matches in linear time.

The converters are Starlette's, and read a value in its canonical form alone: of two names for the same number one is a
namespace, and the other one is none. Where a parameter ends can always be told, or the template is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NoReturn
from uuid import UUID

from asocketio.errors import UsageError

__all__ = ["MOST_CHARACTERS", "Template", "compile_template", "is_template"]

MOST_CHARACTERS = 200
"""Of the name of a namespace that is served by a pattern."""


def _float_text(value: float) -> str:
    """The shortest text of a number that is read as the same number, without an exponent."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")


@dataclass(frozen=True, slots=True)
class Converter:
    """What a parameter of one kind holds, and which value that is."""

    regex: str
    """In a canonical form, as far as a regular expression can tell."""
    holds: Callable[[str], bool]
    """Whether a character may be in it."""
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    fixed: bool = False
    """It always has the same length."""


_HEX = "[0-9a-f]"
_CONVERTERS: Mapping[str, Converter] = {
    "str": Converter("[^/]+", lambda char: char != "/", str),
    "int": Converter("(?:0|[1-9][0-9]*)", "0123456789".__contains__, int),
    "float": Converter(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", "0123456789.".__contains__, float, _float_text),
    "uuid": Converter(
        f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}", "0123456789abcdef-".__contains__, UUID,
        fixed=True,
    ),
    "path": Converter("(?s:.*)", lambda char: True, str),
}  # fmt: skip

_PARAMETER = re.compile(r"\{([a-zA-Z_][a-zA-Z0-9_]*)(?::([a-zA-Z_][a-zA-Z0-9_]*))?\}")


@dataclass(frozen=True, slots=True)
class Template:
    """One template, compiled."""

    text: str
    regex: re.Pattern[str]
    converters: Mapping[str, Converter]

    def match(self, name: str) -> dict[str, Any] | None:
        """The values of the parameters; None where ``name`` is no name of this template, or not a canonical one."""
        found = self.regex.fullmatch(name)
        if found is None:
            return None
        texts = found.groupdict()
        values = {key: self.converters[key].read(text) for key, text in texts.items()}
        canonical = all(self.converters[key].write(value) == texts[key] for key, value in values.items())
        return values if canonical else None


def is_template(name: str) -> bool:
    """Whether ``name`` is meant as a template."""
    return "{" in name or "}" in name


@lru_cache(1000)
def compile_template(text: str) -> Template:
    """The template that a program wrote.

    Raises:
        UsageError: it is none; the message says why.
    """
    literals, parameters = _parse(text)
    if sum(map(len, literals)) + len(parameters) > MOST_CHARACTERS:
        _refuse(text, f"its names would be longer than {MOST_CHARACTERS} characters")
    parts = [re.escape(literals[0])]
    for number, (name, converter) in enumerate(parameters):
        following = literals[number + 1]
        later = [each for _, each in parameters[number + 1 :]]
        if later and not following:
            _refuse(text, f"there must be a separator, such as '/', behind {{{name}}}")
        known = _ends_by_itself(converter, following)
        if later and not known and any(each.holds(following[0]) for each in later):
            _refuse(
                text,
                f"nobody can tell where {{{name}}} ends, for {following[0]!r} may be part of it and of a later "
                "parameter; separate them by '/', or write a regular expression",
            )
        group = f"(?P<{name}>{converter.regex})"
        parts.append(f"(?>{group})" if known else group)
        parts.append(re.escape(following))
    return Template(text, re.compile("".join(parts)), dict(parameters))


def _ends_by_itself(converter: Converter, following: str) -> bool:
    """Whether a parameter ends where it cannot go on; else at the one place from which the rest of the name fits.

    That the rest fits at one place only, or the template is refused, is why a name is looked at in linear time.
    """
    return converter.fixed or not following or not converter.holds(following[0])


def _parse(text: str) -> tuple[list[str], list[tuple[str, Converter]]]:
    """What stands between the parameters, and the parameters."""
    literals: list[str] = []
    parameters: list[tuple[str, Converter]] = []
    at = 0
    for found in _PARAMETER.finditer(text):
        literals.append(text[at : found.start()])
        name, kind = found[1], found[2] or "str"
        if kind not in _CONVERTERS:
            _refuse(text, f"there is no converter {kind!r}; there are {', '.join(_CONVERTERS)}")
        if any(name == each for each, _ in parameters):
            _refuse(text, f"the parameter {name!r} is there twice")
        parameters.append((name, _CONVERTERS[kind]))
        at = found.end()
    literals.append(text[at:])
    if any(is_template(literal) for literal in literals):
        _refuse(text, "a parameter is written {name} or {name:int}; braces of other use need a regular expression")
    return literals, parameters


def _refuse(text: str, why: str) -> NoReturn:
    raise UsageError(f"namespace {text!r}: {why}")
