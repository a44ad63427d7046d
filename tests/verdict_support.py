"""Items, traces and verdicts over them, for the tests of verdicts and of attribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.coverage import Coverage
from harness.finding import Finding
from harness.judge import judge
from harness.record import CellRecord, ItemRecord
from harness.riskmap import Cell, Pattern, RiskItem, RiskMap
from harness.trace import Access, Trace
from harness.verdict import ENOUGH, Matcher, attribute, decide
from tests.evidence_factory import FACTS, TWINS, access, trace

ROW = Cell(sink="row", entry="api")
PLACE = Pattern(sink="row", surface="messages", site="bot.py:*")
OWN: dict[str, Any] = {"owned_by": "columns"}


def item(*cells: Cell, **fields: Any) -> RiskItem:
    base: dict[str, Any] = {
        "id": "store", "group": "Storage", "generation": "saas", "module": "bot.py", "defect": "d", "mitigation": "m",
        "places": {"bot": (PLACE, Pattern(sink="config", surface="bot"))},
    }  # fmt: skip
    return RiskItem(cells=cells or (ROW,), **{**base, **fields})


def own(twin: str, **fields: Any) -> Access:
    """`twin` reads its own row, which is the feature at work."""
    base: dict[str, Any] = {"actor": twin, "ambient": twin, "lineage": f"{twin}.0", "owner": twin, "detail": OWN}
    return access(**{**base, **fields})


def both(count: int = ENOUGH, **fields: Any) -> list[Access]:
    """`count` accesses, half of each twin."""
    return [own("AB"[n % 2], **fields) for n in range(count)]


def differing(made: Trace, dimension: str) -> Trace:
    """The same run with twins that differ in `dimension`."""
    spec = msgspec.structs.replace(TWINS.spec, dimension=dimension)
    return msgspec.structs.replace(made, twins=msgspec.structs.replace(TWINS, spec=spec))


def verdict(
    risk: RiskItem,
    accesses: Sequence[Access],
    killed: Mapping[str, bool] | None = None,
    dimension: str = "T",
    facts: Any = FACTS,
) -> ItemRecord:
    """What a campaign that showed these accesses says of the item."""
    made = differing(trace(*accesses), dimension)
    riskmap = RiskMap(items=(risk,))
    findings = {f.fingerprint: f for f in judge(made, facts, riskmap.demands(facts.name))}
    coverage = Coverage()
    coverage.add(made)
    mine = [name for name, f in findings.items() if attribute(f, riskmap, facts.name)]
    return decide(risk, facts=facts, matcher=Matcher(coverage), findings=findings, attributed=mine, killed=killed or {})


def cell(risk: RiskItem, accesses: Sequence[Access], dimension: str = "T") -> CellRecord:
    """The first cell as measured."""
    return verdict(risk, accesses, dimension=dimension).cells[0]


LEAK = own("B", owner="A")

CONTEXT = Cell(sink="context", entry="api")


def findings(*accesses: Access) -> list[Finding]:
    return judge(trace(*accesses), FACTS)
