"""Whose ids stand in a text: whole ids only, and where one id stands inside another the longer one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.principal import Label, Twins

Spelling = Callable[[str], str]
"""How a bot writes an id in a key or path (made safe for a file name, say)."""

JOINTS = r"""\s/\\:|_,;='"@&\-"""
"""What bots put between the parts of a key or path, and around a part where it is shown."""


def as_written(value: str) -> str:
    """The id as it is."""
    return value


SHOWN: tuple[Spelling, ...] = (
    lambda value: repr(value)[1:-1],
    lambda value: ascii(value)[1:-1],
    lambda value: json.dumps(value)[1:-1],
)
"""How Python and JSON write an id where a key is shown, or made: a blank or accent may stand escaped."""


class Names:
    """Finds in keys and paths the ids in which two twins differ.

    An id counts only where no letter or digit touches it (``t1`` is not in ``t10``), and not where it is part of a
    longer id of the same kind (tenant ``a`` is not meant by ``a_b`` while the other's tenant is ``a_b``).
    """

    def __init__(
        self, twins: Twins, fields: Sequence[str] = ("tenant", "agent"), spellings: Iterable[Spelling] = (as_written,)
    ) -> None:
        spellings = (*spellings, *SHOWN)
        self._twins = twins
        self._patterns: list[tuple[str, Label, tuple[str, ...], re.Pattern[str]]] = []
        for field in fields:
            if getattr(twins.a, field) == getattr(twins.b, field):
                continue
            for who in (twins.a, twins.b):
                once = {form for spell in spellings if (form := spell(getattr(who, field)))}
                # A key that shows what the bot itself had escaped is escaped again.
                forms = sorted(once | {form.replace("\\", "\\\\") for form in once}, key=len)
                if forms:
                    self._patterns.append((field, who.label, tuple(forms), whole(*reversed(forms))))

    def labels(self, text: str) -> dict[str, set[Label]]:
        """Field name to the twins whose id of that field stands in `text`; fields that are not there are left out."""
        # Most texts hold none of them, and to look for a piece of text is far cheaper than to match.
        hits = [
            (field, label, pattern)
            for field, label, forms, pattern in self._patterns
            if any(map(text.__contains__, forms)) and pattern.search(text)
        ]
        if not hits:
            return {}
        found: dict[str, set[Label]] = {}
        for field, label, _ in hits:
            found.setdefault(field, set()).add(label)
        for field, labels in found.items():
            if len(labels) > 1:
                spans = {label: [m.span() for m in p.finditer(text)] for f, label, p in hits if f == field}
                found[field] = {label for label in labels if not _inside(spans, label)}
        return found

    def owner(self, text: str) -> Mapping[str, str | None] | None:
        """The identity that `text` names, by field; None where it names nobody, or both."""
        found = self.labels(text)
        labels = {label for both in found.values() for label in both}
        if len(labels) != 1:
            return None
        who = self._twins.of(next(iter(labels)))
        return {field: getattr(who, field) for field in found}


def whole(*forms: str) -> re.Pattern[str]:
    """Matches any of the ids where no letter or digit touches it, the first that fits. An id without any (a dot) stands
    by chance in patterns, numbers and sentences: it counts only where it is a part by itself."""
    return re.compile("|".join(_bounded(form) for form in forms))


def _bounded(form: str) -> str:
    if any(sign.isalnum() for sign in form):
        return rf"(?<![0-9A-Za-z]){re.escape(form)}(?![0-9A-Za-z])"
    return rf"(?:(?<=[{JOINTS}])|(?<![\s\S])){re.escape(form)}(?:(?=[{JOINTS}])|(?![\s\S]))"


def _inside(spans: Mapping[Label, Sequence[tuple[int, int]]], label: Label) -> bool:
    """Whether every place of this label's id is part of a longer id of the other."""
    others = [span for other, held in spans.items() if other != label for span in held]
    return all(
        any(start <= mine[0] and mine[1] <= end and end - start > mine[1] - mine[0] for start, end in others)
        for mine in spans[label]
    )
