"""TestClient: talks to an app in memory, as a real client would, without a server or a port."""

from asocketio.testing.transports import ClientRefused
from asocketio.testing.client import ClientNamespace, TestClient
from asocketio.testing.clock import TestClock, settle

__all__ = ["ClientNamespace", "ClientRefused", "TestClient", "TestClock", "settle"]
