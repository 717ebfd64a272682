"""Every scenario by its name."""

from __future__ import annotations

from tests.load.flood.arena import Scenario
from tests.load.flood.crowds import CROWDS
from tests.load.flood.floods import FLOODS
from tests.load.flood.readers import READERS
from tests.load.flood.tricks import TRICKS

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Scenario] = {each.name: each for each in (*FLOODS, *READERS, *CROWDS, *TRICKS)}
