"""What is looked at between steps in one go: nothing that changed is passed over, and nothing unchanged is told."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.probes import _scopes
from harness.probes._cells import Ledger
from harness.probes._scopes import Batch, Scope

NAMES = st.sampled_from(["one", "two", "three"])
CHANGES = st.lists(st.tuples(st.sampled_from(["set", "delete", "look"]), NAMES), max_size=12)


class Thing:
    pass


class Slotted:
    __slots__ = ("__weakref__", "one", "three", "two")


def made(kind: str) -> Any:
    if kind == "module":
        return ModuleType("sample")
    if kind == "class":
        return type("Sample", (), {})
    return Thing() if kind == "instance" else Slotted()


def batch_of(*holders: Any) -> Batch:
    batch = Batch()
    for number, holder in enumerate(holders):
        scope = Scope(holder, f"sample{number}", "", 0, Ledger())
        scope.former.update(scope.namespace())
        batch.add(number, scope)
    return batch


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("kind", ["module", "class", "instance", "slotted"])
@given(changes=CHANGES)
def test_a_batch_is_unchanged_exactly_while_its_names_hold_the_same_objects(
    kind: str, told: bool, changes: list[tuple[str, str]]
) -> None:
    holder, other = made(kind), made("module")
    holder.one = object()
    patch = pytest.MonkeyPatch()
    patch.setattr(_scopes, "AVAILABLE", told and _scopes.AVAILABLE)
    try:
        batch = batch_of(holder, other)
        assert batch.unchanged()
        held = {"one": holder.one}
        first = dict(held)
        for what, name in changes:
            if what == "set":
                value = held[name] = object()
                setattr(holder, name, value)
            elif what == "delete" and name in held:
                del held[name]
                delattr(holder, name)
            same = list(held) == list(first) and all(held[name] is first[name] for name in held)
            if kind != "slotted" or set(held) != set(first):
                assert batch.unchanged() == same
    finally:
        patch.undo()


def test_a_batch_tells_that_a_holder_is_gone_or_has_another_dict() -> None:
    gone, exchanged = Thing(), Thing()
    first, second = batch_of(gone), batch_of(exchanged)
    assert first.unchanged() and second.unchanged()
    del gone
    exchanged.__dict__ = {}
    assert not first.unchanged()
    assert not second.unchanged()
