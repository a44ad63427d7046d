"""unscoped-statement: a statement on a tenant-scoped table without its owner predicate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.finding import Finding
from harness.principal import DIMENSION_FIELDS, TWINS
from harness.rules._evidence import Evidence
from harness.scanner import TokenScanner
from harness.trace import Access

VERBS = {"read": "reads", "write": "changes", "delete": "deletes"}

IDENTIFYING = ("credential",)
"""Slots of secrets that stand for somebody: who asks for one of these asks for its holder. What the others hold,
anybody may have said, sent or set in the same words."""

_SAID = "\0"
"""What stands for what a twin said, in a text in which somebody is looked for."""

_NAMED = re.compile(rf"(?=\w*\d)\w{{4,}}|\d\w*[^\w\s{_SAID}]*{_SAID}|{_SAID}[^\w\s{_SAID}]*\w*\d")
"""What may be somebody's number or digest: long, or joined to what was said. The twins' own ids are known."""


def unscoped_statement(evidence: Evidence) -> Iterator[Finding]:
    """A statement in a tenant's flow would meet the other's rows, were there any, for nothing in it tells them apart.

    Shape alone is no defect: an ORM saves the row it has just read by its primary key, and a digest may hold the
    tenant. So every value the statement asks for must be one that both twins share, one that is nothing but what the
    twin itself said or sent (a text, the digest of a picture: the other might say the same), or one with which the
    other's flow has run the very same statement. Where the other's row was met in fact, that is foreign-read's,
    -write's or -delete's, which then speaks of the missing predicate (see `judge`).
    """
    differing = {field for field in DIMENSION_FIELDS.values() if _differ(evidence, field)}
    asked: dict[tuple[str, str, str], tuple[str, int]] = {}
    said = _Said(evidence)
    for access in evidence.accesses("row", ops=tuple(VERBS)):
        gap = access.detail.get("unscoped")
        claim = evidence.claim(access)
        if not gap or gap["key"] or claim.label not in TWINS or claim.kind not in ("agreed", "context"):
            continue
        if not differing & set(gap["fields"]) or differing & set(gap["held"]):
            continue
        if gap.get("branch") and not all(gap["asked"].values()):
            continue  # what the code itself asks for there (a flag) makes it everybody's, or it cannot be told
        unknown = _unknown(evidence, gap["asked"])
        if unknown is None:
            continue
        earlier: tuple[int, ...] = ()
        why = "nothing it asks for tells the twins apart"
        own = [column for column in unknown if said.by(claim.label, gap["asked"][column])]
        if own and own == unknown:
            unknown = []
            why = f"by {' and '.join(own)} it asks for what {claim.label} said or sent, as anybody might"
        if unknown:
            same = (access.surface, str(access.detail.get("sql")), repr(sorted(gap["asked"].items())))
            label, seq = asked.setdefault(same, (claim.label, access.seq))
            if label == claim.label:
                continue
            earlier = (seq,)
            why = f"{label}'s flow asked the same with the same {' and '.join(unknown)}"
        message = (
            f"{claim.label} {VERBS[access.op]} {access.surface} by a statement without {' and '.join(gap['missing'])} "
            f"({_condition(gap['where'])}); {why}: {access.detail.get('sql')}"
        )
        other = "B" if claim.label == "A" else "A"
        yield evidence.crossing("unscoped-statement", access, other, claim.label, message, *earlier)


class _Said:
    """Which values hold nothing but what a twin said or sent."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._scanner: TokenScanner | None = None

    def by(self, label: str, values: list[str]) -> bool:
        """Whether each of `values` holds secrets of the twin's own, none of which stands for somebody, and nothing else
        that might: words besides are what everybody's texts have."""
        return all(self._content(label, value) for value in values)

    def _content(self, label: str, value: str) -> bool:
        if self._scanner is None:
            self._scanner = TokenScanner(self._evidence.trace.twins)
        spans = self._scanner.spans(value)
        if not spans or any(span.mark.label != label or span.mark.slot in IDENTIFYING for span in spans):
            return False
        parts: list[str] = []
        done = 0
        for span in spans:
            if span.start >= done:
                parts += [value[done : span.start], _SAID]
            done = max(done, span.end)
        return not _NAMED.search("".join([*parts, value[done:]]))


def explained(access: Access) -> str:
    """What a finding about a row says of the statement that met it; empty when the statement names the owner."""
    gap = access.detail.get("unscoped")
    if not gap:
        return ""
    missing = " and ".join(gap["missing"])
    return f"; the statement names no {missing} ({_condition(gap['where'])}): {access.detail.get('sql')}"


def _condition(where: str) -> str:
    return f"it asks for {where}" if where else "it has no condition"


def _differ(evidence: Evidence, field: str) -> bool:
    twins = evidence.trace.twins
    return bool(getattr(twins.a, field) != getattr(twins.b, field))


def _unknown(evidence: Evidence, asked: dict[str, list[str] | None]) -> list[str] | None:
    """Columns whose values are neither fixed in the statement nor shared by both twins; None when some value tells
    the twins apart or cannot be told."""
    twins = evidence.trace.twins
    mine, theirs = ({**who.identity(), "user": who.user, "credential": who.credential} for who in (twins.a, twins.b))
    shared = {value for name, value in mine.items() if theirs[name] == value}
    apart = [who[name] for who in (mine, theirs) for name in who if mine[name] != theirs[name]]
    unknown = []
    for column, values in sorted(asked.items()):
        if values is None or any(one in value for one in apart for value in values):
            return None
        if any(value not in shared for value in values):
            unknown.append(column)
    return unknown
