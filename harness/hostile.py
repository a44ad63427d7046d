"""Hostile identities: pairs of ids that a careless bot takes for one.

Each family names one way in which bots lose the difference between two ids: by joining parts, by comparing
beginnings, by making names safe for paths, by folding case or Unicode, by walking paths, by trimming, by cutting, by
the ends of a credential. A pair is made from drawn parts, so that it can be shrunk to the shortest one that still
collides.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from harness.errors import UsageError
from harness.principal import DIMENSION_FIELDS, TwinSpec

Pair = tuple[str, str]
"""What A and B have in one field."""

STEM = ""
"""Stands for a part that is drawn freely: a letter, then letters and digits."""

CREDENTIAL = "credential"
"""The field of which a family says what stands around its canary (``{token}``), the same for both twins."""

LONGEST = 255
"""Characters an id may have unless a target says less."""

_MARKS = ("/", " ", ":", "\\", "|", ".", "é", "租")
_CUTS = ("64", "50", "191", "255")
_HEADS = ("32", "12")
_TAILS = ("8", "0")
_FORMS = ("é", "ａ", "ﬁ", "½", "Å", "가")
_BLANKS = (" ", "\t", "\u3000", "\u200b", "\u00a0")


class Family(NamedTuple):
    """How its twins differ, what each part may be (`STEM` or one of several texts), and the fields made from them."""

    dimension: str
    parts: tuple[str | tuple[str, ...], ...]
    make: Callable[..., Mapping[str, Pair]]


def _joined(separator: str, x: str, y: str, z: str) -> Mapping[str, Pair]:
    return {"tenant": (f"{x}{separator}{y}", x), "agent": (z, f"{y}{separator}{z}")}


def _unicode(stem: str, form: str) -> Mapping[str, Pair]:
    other = unicodedata.normalize("NFKC", form)
    if other == form:
        other = unicodedata.normalize("NFD", form)
    return {"tenant": (stem + form, stem + other)}


def _filled(stem: str, size: int) -> str:
    return (stem * (size // max(1, len(stem)) + 1))[:size]


def _alike_at_its_ends(stem: str, head: str, tail: str) -> Mapping[str, Pair]:
    """So many characters before the canary and so many after it that both twins' credentials have alike: who knows a
    credential by its first or last few takes them for one."""
    around = f"{_filled(stem, int(head))}{{token}}{_filled(stem, int(tail))}"
    return {CREDENTIAL: (around, around)}


FAMILIES: dict[str, Family] = {
    "join": Family("TA", (("_", ":", "::", "|", "/", "-", "."), STEM, STEM, STEM), _joined),
    "prefix": Family("T", (STEM, ("0", "1", "_1", "-x", ".x")), lambda x, tail: {"tenant": (x, x + tail)}),
    "path": Family("T", (STEM, _MARKS, STEM), lambda x, mark, y: {"tenant": (x + mark + y, f"{x}_{y}")}),
    "case": Family("T", (STEM,), lambda x: {"tenant": (x[:1].upper() + x[1:], x)}),
    "unicode": Family("T", (STEM, _FORMS), _unicode),
    "traversal": Family("T", (STEM, ("./", "y/../", "../tenants/")), lambda x, way: {"tenant": (way + x, x)}),
    "dots": Family("TA", (STEM,), lambda x: {"tenant": (".", x), "agent": (x, ".")}),
    "blank": Family("T", (STEM, _BLANKS), lambda x, blank: {"tenant": (x + blank, x)}),
    "empty": Family("T", (), lambda: {"chat": ("", ""), "user": ("", "")}),
    "length": Family("T", (STEM, _CUTS), lambda x, size: {"tenant": _long(x, int(size))}),
    "credential": Family("T", (STEM, _HEADS, _TAILS), _alike_at_its_ends),
}
"""Every family by name. A target says which its bot must stand (`Facts.hostile`)."""


def _long(stem: str, size: int) -> Pair:
    """Two ids that differ only in the last of `size` + 1 characters."""
    filled = _filled(stem, size)
    return filled + "a", filled + "b"


def fields(spec: TwinSpec, longest: int = LONGEST) -> Mapping[str, Pair]:
    """Field name to what A and B have there, for the family and parts of `spec`; nothing for ordinary twins.

    Ids are cut so that none is longer than `longest`, the difference kept. Raises UsageError on an unknown family, on
    parts that do not fit it, and where it wants fields to differ that are not under test.
    """
    if not spec.hostile:
        return {}
    family = FAMILIES.get(spec.hostile)
    if family is None:
        raise UsageError(f"no hostile family {spec.hostile!r}; there are: {', '.join(FAMILIES)}")
    if len(spec.parts) != len(family.parts) or ("" in spec.parts):
        raise UsageError(f"hostile family {spec.hostile!r} takes {len(family.parts)} parts, got {list(spec.parts)}")
    parts = list(spec.parts)
    if spec.hostile == "length":
        parts[1] = str(min(int(parts[1]), longest - 1))
    made = family.make(*parts)
    under_test = {DIMENSION_FIELDS[letter] for letter in spec.dimension if letter in DIMENSION_FIELDS}
    for field, (mine, theirs) in made.items():
        if mine != theirs and field not in under_test:
            raise UsageError(
                f"hostile family {spec.hostile!r} needs dimension {family.dimension}, not {spec.dimension}"
            )
        if field != CREDENTIAL and max(len(mine), len(theirs)) > longest:
            raise UsageError(
                f"the {field} ids {mine!r} and {theirs!r} are longer than the {longest} that the bot takes"
            )
    return made


def spec_of(family: str, seed: int, parts: Sequence[str] = ()) -> TwinSpec:
    """Twins of `family` from `parts`, or from parts that stand for the family."""
    stems = iter(("k1", "m2", "p3"))
    chosen = parts or tuple(next(stems) if part == STEM else part[0] for part in FAMILIES[family].parts)
    return TwinSpec(dimension=FAMILIES[family].dimension, hostile=family, parts=tuple(chosen), seed=seed)


def others(family: str) -> Iterator[TwinSpec]:
    """Twins of `family` from the parts that `spec_of` does not take by itself, one other text at a time."""
    usual = spec_of(family, 0)
    for index, kind in enumerate(FAMILIES[family].parts):
        for text in () if kind == STEM else kind[1:]:
            yield msgspec.structs.replace(usual, parts=(*usual.parts[:index], text, *usual.parts[index + 1 :]))


def plainer(spec: TwinSpec) -> Iterator[TwinSpec]:
    """Simpler twins than these, the simplest first: nobody beside them, the usual settings, ordinary ids, then shorter
    parts."""
    if spec.third:
        yield msgspec.structs.replace(spec, third=False)
    if spec.settings != "marked":
        yield msgspec.structs.replace(spec, settings="marked")
    if not spec.hostile:
        return
    yield msgspec.structs.replace(spec, hostile="", parts=())
    for index, kind in enumerate(FAMILIES[spec.hostile].parts if spec.hostile in FAMILIES else ()):
        part = spec.parts[index]
        simpler = [text for text in kind if (len(text), text) < (len(part), part)]
        shorter = [part[:1], part[: len(part) // 2], part[:-1]] if kind == STEM else simpler
        for text in dict.fromkeys(shorter):
            if text and text != part:
                yield msgspec.structs.replace(spec, parts=(*spec.parts[:index], text, *spec.parts[index + 1 :]))
