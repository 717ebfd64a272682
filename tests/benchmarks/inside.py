"""All that the benchmark in this process uses from inside of the package. The rest of what it uses is public."""

from asocketio.protocol.engineio4 import EngineIO4
from asocketio.protocol.packet import Packet, PacketType
from asocketio.protocol.websocket_frames import Frames
from asocketio.servers.uvicorn import HTTPProtocol, WebSocketProtocol

__all__ = ["EngineIO4", "Frames", "HTTPProtocol", "Packet", "PacketType", "WebSocketProtocol"]
