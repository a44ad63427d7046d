"""Plans: plain data that says what is done to the bot, in which order, and how the loop deviates from FIFO.

The same plan gives the same trace. A plan goes to JSON and back without loss.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from harness.principal import Label, TwinSpec

PLAN_SCHEMA = "isolation-plan/1"

EMPTY = "empty"
"""The state of a bot that nobody has used yet."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One stimulus.

    `entry` is a way in (``api``, ``timer``, ``webui``, ``start``, ``plugin``) or ``world`` for what happens around
    the bot (``advance`` the clock, ``configure`` a tenant). `action` is one the target offers for that entry.
    `who` is the principal that acts, or None (a bare timer tick, a boot). `payload` is JSON data in which texts
    may name secrets as ``{slot}``. `gap` is the virtual time in seconds between the launch of the previous step
    and this one; with `join` the runner first waits until every earlier step has ended.
    """

    entry: str
    action: str
    who: Label | None = None
    payload: dict[str, Any] = {}
    gap: float = 0.0
    join: bool = False


class Deviation(msgspec.Struct, frozen=True, kw_only=True):
    """One departure from FIFO, named so that it survives an unrelated await added to the bot.

    It applies to the `occurrence`-th (from 0) wait for the outside that `lineage` begins at `site`
    (``module:function``; empty: any site, 0 being the step's own start), and to those after it, `times` in all (0: for
    ever). ``hold`` lets up to `amount` callbacks of other lineages go before its arrival; ``delay`` makes it (sleep,
    executor, LLM) arrive `amount` virtual seconds later; ``early`` makes an answer of what stands outside (a model, a
    service) come up to `amount` virtual seconds sooner, never before it was asked for. Nothing else can end early.
    """

    kind: Literal["hold", "delay", "early"]
    lineage: str
    site: str = ""
    occurrence: int = 0
    amount: float = 1.0
    times: int = 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Steps + schedule tape + seed. `overlays` are applied to the target before the first step.

    `before` names what lies on disk and in the tables of both twins when the bot starts, one of the states that the
    target offers (see `harness.target.Furnished`); a bot that nobody has used offers ``empty`` alone.
    """

    schema: str = PLAN_SCHEMA
    seed: int = 0
    twins: TwinSpec = TwinSpec()
    before: str = EMPTY
    steps: tuple[Step, ...] = ()
    tape: tuple[Deviation, ...] = ()
    overlays: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Canonical JSON: equal plans give equal bytes."""
        return msgspec.json.encode(self, order="sorted")

    @staticmethod
    def from_json(data: bytes | str) -> Plan:
        """Read a plan. Raises `msgspec.ValidationError` or `msgspec.DecodeError` on anything else."""
        return msgspec.json.decode(data, type=Plan)

    def digest(self) -> str:
        """Short stable name of the plan (16 hex digits)."""
        return hashlib.sha256(self.to_json()).hexdigest()[:16]


def cancels(step: Step) -> bool:
    """Whether the step breaks off what is in flight of its principal."""
    return step.entry == "world" and step.action == "cancel"
