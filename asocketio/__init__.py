"""Socket.IO for every ASGI framework: gevent-socketio's programming model on asyncio."""

from asocketio.adapters.base import Adapter, Target
from asocketio.adapters.cluster.adapter import ClusterAdapter
from asocketio.adapters.cluster.engine import ClusterChange, Engine
from asocketio.adapters.memory import MemoryAdapter
from asocketio.app import SocketIOApp, of
from asocketio.config import Config
from asocketio.errors import (
    AckTimeout,
    CannotCarry,
    ConnectionRefused,
    Disconnected,
    EventRefused,
    HandshakeError,
    Overflow,
    ProtocolError,
    SocketIOError,
    UsageError,
)
from asocketio.manage import socketio_accept, socketio_manage
from asocketio.namespace import BaseNamespace, BroadcastMixin, RoomsMixin
from asocketio.operators import BroadcastOperator, Namespace, RemoteSocket
from asocketio.protocol.handshake_info import HandshakeInfo
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.parser import PacketDecoder, Parser
from asocketio.session.handlers import event
from asocketio.session.middleware import CallNext, Invocation
from asocketio.session.socket import Socket, default_error_handler

__all__ = [
    "AckTimeout",
    "Adapter",
    "BaseNamespace",
    "BroadcastMixin",
    "BroadcastOperator",
    "CallNext",
    "CannotCarry",
    "ClusterAdapter",
    "ClusterChange",
    "Config",
    "ConnectionRefused",
    "Disconnected",
    "Engine",
    "EventRefused",
    "HandshakeError",
    "HandshakeInfo",
    "Invocation",
    "MemoryAdapter",
    "Namespace",
    "Overflow",
    "Packet",
    "PacketDecoder",
    "PacketType",
    "Parser",
    "ProtocolError",
    "RemoteSocket",
    "RoomsMixin",
    "Socket",
    "SocketIOApp",
    "SocketIOError",
    "Target",
    "UsageError",
    "default_error_handler",
    "event",
    "of",
    "socketio_accept",
    "socketio_manage",
]
