"""A stand-in gives the same results and the same exceptions as the plain container it replaces."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections import OrderedDict, defaultdict, deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.probes._cells import Ledger
from harness.probes._traced import new_place, stand_in
from tests.keys_support import recording

VALUES = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "b", "c"]), st.none(), st.just([1]), st.just({1}))
INDEX = st.one_of(st.integers(-4, 4), st.slices(5), st.just("x"))
LISTS = st.one_of(st.lists(VALUES, max_size=4), st.just(7))
PAIRS = st.one_of(
    st.dictionaries(st.integers(-2, 2), VALUES, max_size=3),
    st.lists(st.tuples(st.integers(-2, 2), VALUES), max_size=3),
    st.just([1]),
)


def call(name: str, *args: Any) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(name), st.tuples(*args))


SEQUENCE = [
    call("append", VALUES),
    call("extend", LISTS),
    call("insert", st.integers(-3, 5), VALUES),
    call("remove", VALUES),
    call("pop"),
    call("clear"),
    call("index", VALUES),
    call("count", VALUES),
    call("reverse"),
    call("copy"),
    call("__getitem__", INDEX),
    call("__setitem__", INDEX, st.one_of(VALUES, LISTS)),
    call("__delitem__", INDEX),
    call("__contains__", VALUES),
    call("__iadd__", LISTS),
    call("__imul__", st.integers(-1, 2)),
    call("__add__", LISTS),
    call("__mul__", st.integers(-1, 2)),
    call("__len__"),
    call("__eq__", LISTS),
    call("__repr__"),
]
MAPPING = [
    call("__getitem__", VALUES),
    call("__setitem__", VALUES, VALUES),
    call("__delitem__", VALUES),
    call("__contains__", VALUES),
    call("get", VALUES),
    call("get", VALUES, VALUES),
    call("setdefault", VALUES, VALUES),
    call("pop", VALUES),
    call("pop", VALUES, VALUES),
    call("popitem"),
    call("clear"),
    call("update", PAIRS),
    call("update"),
    call("update", PAIRS, PAIRS),
    call("copy"),
    call("__or__", PAIRS),
    call("__ror__", PAIRS),
    call("__ior__", PAIRS),
    call("keys"),
    call("items"),
    call("__len__"),
    call("__eq__", PAIRS),
    call("__repr__"),
]
SETS = st.sets(st.integers(-2, 3), max_size=4)
OTHERS = st.one_of(SETS, st.lists(st.integers(-2, 3), max_size=3), st.just(4))
SETOPS = [
    call(name, OTHERS)
    for name in (
        *("union", "intersection", "difference", "symmetric_difference", "issubset", "issuperset", "isdisjoint"),
        *("update", "intersection_update", "difference_update", "symmetric_difference_update"),
        *("__or__", "__and__", "__sub__", "__xor__", "__ior__", "__iand__", "__isub__", "__ixor__"),
        *("__ror__", "__rand__", "__rsub__", "__rxor__", "__le__", "__lt__", "__eq__", "__ne__"),
    )
]
SETOPS += [call(name, VALUES) for name in ("add", "remove", "discard", "__contains__")]
SETOPS += [call("clear"), call("copy"), call("__len__")]

KINDS: dict[str, tuple[Any, Any, list[Any]]] = {
    "dict": (st.dictionaries(st.integers(-2, 2), VALUES, max_size=4), dict, MAPPING),
    "OrderedDict": (
        st.dictionaries(st.integers(-2, 2), VALUES, max_size=4),
        OrderedDict,
        [
            *MAPPING,
            call("move_to_end", st.integers(-2, 2)),
            call("move_to_end", st.integers(-2, 2), st.booleans()),
            call("popitem", st.booleans()),
        ],
    ),
    "defaultdict": (
        st.dictionaries(st.integers(-2, 2), VALUES, max_size=4),
        lambda given: defaultdict(list, given),
        MAPPING,
    ),
    "list": (
        st.lists(VALUES, max_size=5),
        list,
        [*SEQUENCE, call("pop", st.integers(-4, 4)), call("sort"), call("__rmul__", st.integers(0, 2))],
    ),
    "deque": (
        st.lists(VALUES, max_size=5),
        lambda given: deque(given, 4),
        [*SEQUENCE, call("appendleft", VALUES), call("popleft"), call("extendleft", LISTS), call("rotate", INDEX)],
    ),
    "set": (SETS, set, SETOPS),
}


def outcome(container: Any, name: str, args: tuple[Any, ...]) -> Any:
    """Result or exception of one operation, and what is left."""
    args = copy.deepcopy(args)
    try:
        result = getattr(container, name)(*args)
    except Exception as error:
        return type(error), str(error)
    if result is container:
        return "itself"
    if name in ("keys", "items"):
        return list(result)
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("watched", [True, False])
@given(data=st.data())
@settings(max_examples=60, deadline=None, database=None)
def test_same_results_and_exceptions(kind: str, watched: bool, data: st.DataObject) -> None:
    start, make, operations = KINDS[kind]
    given_elements = data.draw(start)
    plain = make(copy.deepcopy(given_elements))
    original = make(copy.deepcopy(given_elements))
    traced = stand_in(original, new_place(original, Ledger(), "bot.TABLE", ""))
    with recording(enabled=watched) as recorder:
        for name, args in data.draw(st.lists(st.one_of(operations), max_size=12)):
            expected, got = outcome(plain, name, args), outcome(traced, name, args)
            assert got == expected, (name, args)
            if got is not NotImplemented and not isinstance(got, tuple) and name != "__getitem__":
                assert type(got) is type(expected)
            assert traced == plain
            if kind == "set":
                # Python promises no order for sets, and a copy may have another one.
                assert set(traced) == plain
                continue
            assert list(traced) == list(plain)
            assert repr(traced) == repr(plain)
    assert bool(recorder.accesses) <= watched


@pytest.mark.parametrize(
    "plain",
    [
        {"a": [1], "b": {"c": 2}},
        OrderedDict([("b", 1), ("a", 2)]),
        defaultdict(list, {"a": [1]}),
        [3, [1], "x"],
        deque([1, 2, 3], maxlen=5),
        {1, 2, 3},
    ],
    ids=lambda value: type(value).__name__,
)
def test_copies_and_pickles_are_plain(plain: Any) -> None:
    traced = stand_in(plain, new_place(plain, Ledger(), "bot.TABLE", ""))
    if isinstance(plain, OrderedDict):
        traced.move_to_end("b")
        plain = OrderedDict([("a", 2), ("b", 1)])
    made = type(traced)(list, traced) if isinstance(plain, defaultdict) else type(traced)(traced)
    copies = [copy.copy(traced), copy.deepcopy(traced), made, traced.copy()]
    copies += [pickle.loads(pickle.dumps(traced, protocol)) for protocol in range(6)]
    for other in copies:
        assert other == plain
    for other in (*copies[:2], *copies[4:]):
        assert type(other) is type(plain)
        assert list(other) == list(plain)
    assert getattr(copies[0], "maxlen", None) == getattr(plain, "maxlen", None)
    assert getattr(copies[1], "default_factory", None) == getattr(plain, "default_factory", None)


def test_a_container_that_holds_itself_is_copied() -> None:
    plain: list[Any] = [1]
    traced = stand_in(plain, new_place(plain, Ledger(), "bot.L", ""))
    traced.append(traced)
    other = copy.deepcopy(traced)
    assert other[1] is other
    assert repr(traced) == "[1, [...]]"


def test_json_and_unpacking() -> None:
    plain = {"a": [1], "b": None}
    traced = stand_in(plain, new_place(plain, Ledger(), "bot.TABLE", ""))
    listed = stand_in([1, "x"], new_place([], Ledger(), "bot.LIST", ""))
    with recording() as recorder:
        assert json.dumps(traced) == json.dumps(plain)
        assert json.dumps(listed, indent=1) == json.dumps([1, "x"], indent=1)
        assert dict(**traced) == plain
        assert {**traced} == plain
        assert [*listed] == [1, "x"]
        assert {"z": 1} | traced == {"z": 1, **plain}
        assert operator.add(listed[0:1], [2]) == [1, 2]
        assert operator.add([0], listed) == [0, 1, "x"]
        assert sorted(traced) == ["a", "b"]
        first, second = listed
        assert (first, second) == (1, "x")
    ops = {access.op for access in recorder.accesses}
    assert ops == {"iterate"}, "unpacking is one iteration, not a read for each key"


def test_missing_key_of_a_default_dict_is_made_and_written() -> None:
    plain: Any = defaultdict(list)
    traced = stand_in(plain, new_place(plain, Ledger(), "bot.TABLE", ""))
    with recording() as recorder:
        traced["k"].append(1)
    assert traced == {"k": [1]}
    assert [(a.op, a.key) for a in recorder.accesses] == [("write", "'k'"), ("read", "'k'")]
