"""Every scenario by its name."""

from __future__ import annotations

from tests.flood.arena import Scenario
from tests.flood.crowds import CROWDS
from tests.flood.floods import FLOODS
from tests.flood.readers import READERS
from tests.flood.tricks import TRICKS

__all__ = ["SCENARIOS"]

SCENARIOS: dict[str, Scenario] = {each.name: each for each in (*FLOODS, *READERS, *CROWDS, *TRICKS)}
