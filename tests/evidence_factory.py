"""Small traces for tests of rules and verdicts: accesses by keyword, everything else at rest."""

from __future__ import annotations

from typing import Any

from harness.principal import Principal, Twins, TwinSpec
from harness.target import Facts
from harness.trace import Access, Mark, Site, Trace


def principal(label: str) -> Principal:
    """A principal whose tenant and secrets carry its label."""
    return Principal(
        label=label, tenant=f"tenant_{label}", agent="agent", platform="qq", chat="100", user="200",
        credential=f"key_{label}", display={}, secrets={"message": f"secret{label}"}, numbers={}, pictures={},
    )  # fmt: skip


TWINS = Twins(spec=TwinSpec(), a=principal("A"), b=principal("B"))
FACTS = Facts(name="bot", generation="saas", packages=("bot",), owner_columns={"tenant_id": "tenant"}, refuses=True)


def access(**fields: Any) -> Access:
    """An access of A in A's context unless said otherwise; `marks` as labels."""
    marks = tuple(Mark(label, "message") for label in fields.pop("marks", ""))
    base: dict[str, Any] = {
        "seq": 0, "step": 0, "actor": "A", "ambient": "A", "entry": "api", "direct": True, "lineage": "A.0",
        "sink": "row", "op": "read", "surface": "messages", "key": "1", "site": Site("bot.py", 1, "f"), "stack": 0,
    }  # fmt: skip
    return Access(**{**base, **fields}, marks=marks)


def trace(*accesses: Access, **fields: Any) -> Trace:
    """A trace of these accesses, numbered in order."""
    import msgspec

    numbered = tuple(msgspec.structs.replace(a, seq=n) for n, a in enumerate(accesses))
    return Trace(plan="p", twins=TWINS, accesses=numbered, stacks=(("bot.py:f", "api.py:handle"),), **fields)
