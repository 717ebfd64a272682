"""The plan: what each session of each client does and suffers. The same for the same seed, client and session."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.clients.protocols import CLIENT_PROTOCOLS
from tests.load.chaos.proxy import Cut, Faults

__all__ = ["STEPS", "Script", "plan", "strangers"]

STEPS = ("before the 101", "after the 101", "after the probe", "after the pong", "after the upgrade")
"""Where an upgrade may be cut."""
CUTS: tuple[Cut, ...] = ("reset", "fin", "hang", "hang up", "hang down", "freeze")
ENDINGS = ("polite", "leave", "bye", "fin", "reset")


@dataclass(frozen=True, slots=True)
class Script:
    """One session."""

    name: str
    """``client.session``."""
    generation: str
    mode: str
    gentle: bool
    """Nothing that is done to it may cost it a packet."""
    faults: tuple[Faults, ...]
    """For one connection after the other, and again from the first."""
    marks: tuple[str, ...]
    """What the server is told of it."""
    upgrade_cut: str = ""
    """One of `STEPS`."""
    upgrade_cut_how: Cut = "reset"
    sloppy: float = 0.0
    namespaces: tuple[str, ...] = ("/",)
    lifetime: float = 3.0
    pace: float = 0.2
    """Seconds between two things that it does, on average."""
    ending: str = "fin"
    extra_actions: tuple[str, ...] = field(default=())
    """What it does once or twice beside its usual work."""

    def __str__(self) -> str:
        hurt = "gentle" if self.gentle else "hurt"
        marks = ".".join(self.marks)
        actions = ", ".join(self.extra_actions)
        cut = f", upgrade cut {self.upgrade_cut} ({self.upgrade_cut_how})" if self.upgrade_cut else ""
        return (
            f"{self.name}: generation {self.generation} {self.mode}, {hurt}, in {' '.join(self.namespaces)}, "
            f"[{marks}], extra actions [{actions}]{cut}, ending {self.ending}, faults {self.faults}"
        )


def plan(seed: int, client: int, session: int, pace: float) -> Script:
    """The script of one session."""
    rng = random.Random(f"{seed} {client} {session}")
    generation = rng.choice(("4", "4", "3", "0.9"))
    mode = rng.choice(CLIENT_PROTOCOLS[generation].modes)
    character = rng.choices(("calm", "gentle", "hurt", "sloppy"), (2, 3, 5, 1))[0]
    if mode == "websocket" and character == "sloppy":
        character = "hurt"
    lifetime = rng.uniform(0.5, 6.0)
    cut, how = "", rng.choice(CUTS)
    if mode == "upgrade" and character != "calm" and rng.random() < 0.7:
        cut = rng.choice(STEPS)
    gentle = character in ("calm", "gentle") and cut != STEPS[-1]
    marks = _marks(rng, generation, gentle)
    if character == "sloppy" or (mode == "roam" and not gentle):  # two connections at a time: any may be faster
        marks.append("loose")
    return Script(
        name=f"{client}.{session}",
        generation=generation,
        mode=mode,
        gentle=gentle and "refuse" not in marks,
        faults=_faults(rng, character, lifetime),
        marks=tuple(marks),
        upgrade_cut=cut,
        upgrade_cut_how=how,
        sloppy=0.4 if character == "sloppy" else 0.0,
        namespaces=rng.choice((("/",), ("/", "/b"))),
        lifetime=lifetime,
        pace=pace * rng.uniform(0.5, 2),
        ending=rng.choice(ENDINGS),
        extra_actions=(*_extra_actions(rng, gentle), *(("rude",) if "rude" in marks else ())),
    )


def _marks(rng: random.Random, generation: str, gentle: bool) -> list[str]:
    marks = [] if generation == "0.9" else ["bytes"]
    for mark, chance in (("slow", 0.2), ("mute", 0.2), ("sleepy", 0.2), ("refuse", 0.05)):
        if rng.random() < chance and not (gentle and mark == "refuse"):
            marks.append(mark)
    if not gentle and rng.random() < 0.1:
        marks.append("rude")
    return marks


def _extra_actions(rng: random.Random, gentle: bool) -> tuple[str, ...]:
    actions = ("burst", "rejoin", "closed", "bulk", "leave me", "quit", "big bulk", "long think")
    return tuple(rng.sample(actions[: 5 if gentle else 8], rng.randint(0, 3)))


def _faults(rng: random.Random, character: str, lifetime: float) -> tuple[Faults, ...]:
    if character == "calm":
        return (Faults(),)
    if character == "hurt":
        return tuple(_hurt(rng, lifetime) for _ in range(5))
    return tuple(_harmless(rng) for _ in range(3))


def _harmless(rng: random.Random) -> Faults:
    return Faults(
        delay=rng.choice((0.0, 0.0, 0.01, 0.05)),
        torn=rng.choice((0, 0, 1, 3, 50)),
        rate=rng.choice((0, 0, 0, 0, 100_000)),
    )


def _hurt(rng: random.Random, lifetime: float) -> Faults:
    kind = rng.random()
    if kind < 0.25:
        return _harmless(rng)
    if kind < 0.35:
        return Faults(rate=rng.choice((500, 5000, 30_000)))
    early = rng.random() < 0.5
    return Faults(
        delay=rng.choice((0.0, 0.0, 0.02)),
        torn=rng.choice((0, 0, 1, 7)),
        cut=rng.choice(CUTS),
        at_bytes=rng.choice((rng.randint(1, 400), rng.randint(1, 5000))) if early else 0,
        at_time=rng.uniform(0, lifetime),
    )


def strangers(rng: random.Random) -> Faults:
    """For one connection of a client that knows nothing of the plan."""
    kind = rng.random()
    if kind < 0.6:
        return Faults()
    return _harmless(rng) if kind < 0.8 else _hurt(rng, 3.0)
