"""What in-process state is made of: places (a container, an attribute) and the cells in them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from harness.principal import Label
from harness.probes._text import key_text, placed

if TYPE_CHECKING:
    from harness.probes._cells import Ledger


class Cell:
    """What is known of one cell in this run. `by` is who wrote the present value, `owner` who wrote first; `lent`,
    whether another twin had the value in hand since, and may have changed it in place."""

    __slots__ = ("by", "digest", "kind", "lent", "owner", "ref")

    def __init__(self, owner: Label | None, by: Label | None, digest: str, kind: str, ref: Any = None) -> None:
        self.owner = owner
        self.by = by
        self.digest = digest
        self.kind = kind
        self.ref = ref
        self.lent = False

    def strange_to(self, label: Label | None, owner: Label | None) -> bool:
        """Whether a reader may find there what it did not put there; notes that it had the value in hand."""
        strange = self.lent or self.by != label or owner != label
        self.lent = self.lent or (label is not None and self.by is not None and self.by != label)
        return strange


class Place:
    """One container or attribute: its surface, the keys that lead to it, and its cells.

    `indexed` places (lists, deques) have no stable keys; their cells go by element identity and writer. `dirty` is
    set on every change so that the next walk looks inside again; it is never read by rules.
    """

    __slots__ = ("cells", "dirty", "indexed", "ledger", "number", "prefix", "surface", "version")

    def __init__(self, ledger: Ledger, surface: str, prefix: str = "", *, indexed: bool = False) -> None:
        self.ledger = ledger
        self.number = next(ledger.numbers)
        self.surface = surface
        self.prefix = prefix
        self.indexed = indexed
        self.cells: dict[Hashable, Cell] = {}
        self.dirty = False
        self.version = 0

    def text(self, key: Any) -> str:
        """The key inside this place, with the keys that lead here; not cut."""
        kind = type(key)
        own = key if kind is Verbatim else repr(key) if kind is int else placed(key_text(key))
        return f"{self.prefix}/{own}" if self.prefix and own else self.prefix or own


class Verbatim(str):
    """A key that is shown as it is."""

    __slots__ = ()


ATTRIBUTE = Verbatim("")
"""The key of an attribute or global: its surface says it all."""
