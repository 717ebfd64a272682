"""TestClient: talks to an app in memory, as a real client would, without a server or a port."""

from asocketio.testing.client import ClientNamespace, TestClient
from asocketio.testing.clock import TestClock, settle
from asocketio.testing.transports import ClientRefused

__all__ = ["ClientNamespace", "ClientRefused", "TestClient", "TestClock", "settle"]
