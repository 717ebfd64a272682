"""Every scenario by its name."""

from __future__ import annotations

from tests.load.flood.connection_attacks import CONNECTION_ATTACKS
from tests.load.flood.packet_attacks import PACKET_ATTACKS
from tests.load.flood.runner import Scenario
from tests.load.flood.slow_readers import SLOW_READERS
from tests.load.flood.volume_attacks import VOLUME_ATTACKS

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Scenario] = {
    each.name: each for each in (*VOLUME_ATTACKS, *SLOW_READERS, *CONNECTION_ATTACKS, *PACKET_ATTACKS)
}
