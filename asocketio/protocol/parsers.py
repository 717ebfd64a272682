"""The parsers of generation 4 by name, and the protocol of a server that speaks some of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from asocketio.errors import UsageError
from asocketio.protocol.either_parser import ServerEngineIO4Either
from asocketio.protocol.json_parser import JSONParser
from asocketio.protocol.msgpack_parser import MsgpackParser
from asocketio.protocol.own_parser import OwnParser
from asocketio.protocol.parser import Parser
from asocketio.protocol.server_protocol import ServerEngineIO4

__all__ = ["JSON_ONLY", "ParserName", "engine4_of", "parser_of"]

ParserName = Literal["json", "msgpack"]
JSON_ONLY: Sequence[ParserName] = ("json",)
"""The parsers of a server that is told nothing else."""

_MAKES: dict[str, Callable[[], Parser]] = {"json": JSONParser, "msgpack": MsgpackParser}


def parser_of(given: Any) -> Parser:
    """The parser that is named ``given``, or that it is.

    Raises:
        UsageError: it is neither, or a package for it is missing.
    """
    if isinstance(given, str) and given in _MAKES:
        return _MAKES[given]()
    if not isinstance(given, Parser):
        raise UsageError(f"parser={given!r}: expected an instance of a subclass of asocketio.Parser")
    return OwnParser(given)


def engine4_of(parsers: Any, parser: Parser | None) -> ServerEngineIO4 | None:
    """The protocol of generation 4 for clients of these parsers, or of the one ``parser``; None for plain JSON.

    Raises:
        UsageError: there is no such parser, or a package for it is missing.
    """
    listed: Any = None if isinstance(parsers, str) or not isinstance(parsers, Collection) else set(parsers)
    if not listed or not listed <= _MAKES.keys():
        raise UsageError(f"parsers={parsers!r}: expected 'json', 'msgpack' or both: parsers=('json', 'msgpack')")
    if parser is not None:
        if listed != set(JSON_ONLY):
            raise UsageError(
                "parsers= names those of this package, which are told apart; parser= is one for all clients: give one "
                "of the two"
            )
        return ServerEngineIO4(parser_of(parser))
    if "msgpack" not in listed:
        return None
    binary = ServerEngineIO4(MsgpackParser())
    return ServerEngineIO4Either(None, binary) if "json" in listed else binary
