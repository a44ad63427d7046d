"""Principals and twins: who acts, what outsiders see of them, and which secrets they carry.

Twins are equal in everything outsiders can see but the dimension under test. Only their secrets differ,
so whatever of A is found with B has crossed.
"""

from __future__ import annotations

import hashlib
from typing import Literal, TypeVar

import msgspec

Label = str
"""`A`, `B` (twins of a plan); `C` a third who stands by (`Twins.third`); `-` no identity at all;
`=` the tenant both belong to, and nothing that tells them apart;
`?` an identity that is none of the twins'."""

TWINS: tuple[Label, Label] = ("A", "B")
"""The two whose isolation is judged."""

MISSING: Label = "-"
SHARED: Label = "="
STRANGER: Label = "?"
BYSTANDER: Label = "C"

PUBLIC = ("tenant", "agent", "platform", "chat", "user", "credential")
"""Fields of a principal that the other one's payload may name (`Principal.render`); the credential stands for what
somebody who has come by it may put into a message."""

DIMENSION_FIELDS = {"T": "tenant", "A": "agent", "C": "chat", "P": "platform"}

Value = TypeVar("Value")

NESTING = frozenset(("tenant", "agent", "platform"))
"""Fields by which bots nest containers: ``{tenant: {agent: ...}}``."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """One identity that can act on the bot.

    `secrets` maps a slot (``message``, ``name``, ``prompt``, ``config.global``, ``config.tenant``,
    ``config.agent``, ``credential``, ``picture``) to an unguessable token; `numbers` maps a slot to a planted
    number; `pictures` maps a slot to picture bytes (PNG). `turned` is for `setting` and `marked` to read.
    """

    label: Label
    tenant: str
    agent: str
    platform: str
    chat: str
    user: str
    credential: str
    display: dict[str, str]
    secrets: dict[str, str]
    numbers: dict[str, int]
    pictures: dict[str, bytes]
    turned: str = ""
    """Empty where settings are the usual ones; else ``0:`` or ``1:``, which of two values it has, and what they are
    drawn by."""

    def setting(self, name: str, usual: Value, other: Value) -> Value:
        """The value of a setting that no canary fits into, a switch or a share: `usual`, but where the twins' settings
        differ (`TwinSpec.settings`) one twin has `usual` and the other `other`; who has which is drawn by `name`."""
        side, _, drawn = self.turned.partition(":")
        if not side:
            return usual
        turn = hashlib.sha256(f"{drawn}:{name}".encode()).digest()[0] % 2
        return other if turn ^ int(side) else usual

    def marked(self, text: str, slot: str) -> str:
        """A name that others see, followed by the secret of that slot; bare where the twins' names are to be equal."""
        return text if self.turned else text + self.secrets[slot]

    def identity(self) -> dict[str, str]:
        """The four dimensions by field name."""
        return {field: getattr(self, field) for field in DIMENSION_FIELDS.values()}

    def render(self, template: str, other: Principal | None = None) -> str:
        """Fill ``{slot}`` with this principal's secret of that slot, and ``{other.field}`` with that field of `other`
        (`PUBLIC`); what is unknown stays as written."""
        for slot, token in self.secrets.items():
            template = template.replace("{" + slot + "}", token)
        if other is not None and "{other." in template:
            for field in PUBLIC:
                template = template.replace("{other." + field + "}", getattr(other, field))
        return template


class TwinSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How to make the twins of a plan. Plain data: equal specs give equal twins in any process.

    `dimension` names the fields that differ (``T``, ``A``, ``C``, ``P`` or several, as ``TA``). `pictures` says
    whether both send the same picture bytes (collisions by content) or marked ones (canary in the picture).
    `hostile` names a family of ids that are easily taken for one (`harness.hostile`), made from `parts`; empty for
    ordinary ids. With `others` not 0 B has the same identity but other secrets: tokens, numbers, pictures and the names
    that it shows are drawn anew, those of A stay. With `third` a third principal of their kind is there beside them.
    `first` stands first where a bot goes through all whom it knows: its turn of a timer comes before the other's.
    With `absent` the bot has never heard of B, who does nothing then.
    `settings` says what in the twins' configurations differs beside texts: nothing, while names carry canaries
    (``marked``), or switches and the like (`Principal.setting`), while their bots bear one name (``switched``). B's
    are all the other way with `others`.
    """

    dimension: str = "T"
    pictures: Literal["equal", "marked"] = "equal"
    locale: str = "zh_CN"
    seed: int = 0
    hostile: str = ""
    parts: tuple[str, ...] = ()
    others: int = 0
    third: bool = False
    first: Literal["A", "B"] = "A"
    absent: bool = False
    settings: Literal["marked", "switched"] = "marked"


class Twins(msgspec.Struct, frozen=True, kw_only=True):
    """Two principals and the spec they were made from.

    `third` differs from both in what they differ in from each other. It acts as they do and is judged in nothing: it is
    there because some mistakes take more than two (every other tenant, the last but one). What it would meet of the
    twins' a twin meets in another plan.
    """

    spec: TwinSpec
    a: Principal
    b: Principal
    third: Principal | None = None

    def of(self, label: Label) -> Principal:
        """The principal with that label. Raises KeyError on any other label."""
        if label == BYSTANDER and self.third is not None:
            return self.third
        return {"A": self.a, "B": self.b}[label]

    def everyone(self) -> tuple[Principal, ...]:
        """All whom a target writes into its bot, in this order: the twin that comes first, the third, the other. B is
        not among them where the spec has it absent."""
        one = self.of(self.spec.first)
        everyone = (one, *(() if self.third is None else (self.third,)), self.other(one.label))
        return tuple(who for who in everyone if who is not self.b or not self.spec.absent)

    def other(self, label: Label) -> Principal:
        """The twin that has not that label; A for whoever stands by."""
        return self.b if label == "A" else self.a

    def label_of(self, identity: dict[str, str | None] | None) -> Label:
        """Whose identity this is: `A`, `B`, `=` (both's: it names their common tenant), `-` (nothing that tells), `?`
        (neither's).

        `identity` maps field names (tenant, agent, chat, platform, user, credential) to values; absent or empty
        values say nothing. Only fields in which the twins differ can tell them apart.
        """
        if not identity:
            return MISSING
        told = False
        matches = {"A", "B"}
        for field, value in identity.items():
            if not value:
                continue
            mine, theirs = getattr(self.a, field), getattr(self.b, field)
            if mine == theirs:
                continue
            told = True
            matches &= {label for label, known in (("A", mine), ("B", theirs)) if known == value}
        if not told:
            return SHARED if identity.get("tenant") == self.a.tenant == self.b.tenant else MISSING
        return next(iter(matches)) if len(matches) == 1 else STRANGER
