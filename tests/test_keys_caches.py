"""`functools.lru_cache` on the bot's functions is traced and otherwise the same."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.probes._cells import Ledger
from harness.probes._lru import traced_lru
from tests.keys_support import Bot

CACHED = """
    import functools

    @functools.lru_cache
    def plain(x):
        "doc"
        return f"value {x}"

    @functools.lru_cache(maxsize=2, typed=True)
    def bounded(x):
        return [x]

    @functools.cache
    def forever(x, *, y=0):
        return x

    class Service:
        @functools.lru_cache(maxsize=None)
        def method(self, x):
            return x
"""


def test_a_hit_by_the_other_is_a_read_of_the_first_ones_cell(tmp_path: Path) -> None:
    bot = Bot(tmp_path, cached=CACHED)
    with bot.run() as session:
        session.as_("A")
        bot["cached"].plain("group77 canaryA")
        session.as_("B")
        bot["cached"].plain("group77 canaryA")
        miss, hit = session.on(f"{bot.name}.cached.plain()")
        bot["cached"].plain.cache_clear()
        (cleared,) = session.on(f"{bot.name}.cached.plain()", "delete")
    assert (miss.op, miss.new_owner, miss.key) == ("write", "A", "'group77 canaryA'")
    assert (hit.op, hit.owner, hit.marks[0].label) == ("read", "A", "A")
    assert hit.detail["identity"]["shared"] == ["chat"]
    assert cleared.owner == "A"


def test_methods_keywords_and_the_interface(tmp_path: Path) -> None:
    bot = Bot(tmp_path, cached=CACHED)
    cached = bot["cached"]
    with bot.run() as session:
        service = cached.Service()
        assert (service.method(1), service.method(1)) == (1, 1)
        assert cached.Service.method.cache_info() == (1, 1, None, 1)
        assert cached.forever(1, y=2) == 1
        assert cached.plain.__wrapped__(3) == "value 3"
        assert (cached.plain.__doc__, cached.plain.__name__) == ("doc", "plain")
        assert cached.bounded.cache_parameters() == {"maxsize": 2, "typed": True}
        assert [a.key for a in session.on(f"{bot.name}.cached.forever()")] == ["1, y=2"]
        assert {a.surface for a in session.accesses} == {
            f"{bot.name}.cached.Service.method()",
            f"{bot.name}.cached.forever()",
        }


def test_functions_of_others_keep_the_original(tmp_path: Path) -> None:
    bot = Bot(tmp_path, cached=CACHED)
    try:
        mine = functools.lru_cache(maxsize=3)(lambda x: x)
        assert type(mine).__name__ == "_lru_cache_wrapper"
        assert type(functools.lru_cache(len)).__name__ == "_lru_cache_wrapper"
        assert type(functools.cache(len)).__name__ == "_lru_cache_wrapper"
    finally:
        bot.close()
    assert functools.lru_cache.__module__ == "functools"
    assert type(functools.lru_cache(lambda: 1)).__name__ == "_lru_cache_wrapper"


ARGUMENTS = st.one_of(st.integers(0, 3), st.sampled_from([1.0, "a", True, 2.0]))


@given(
    st.sampled_from([None, -1, 0, 1, 2]),
    st.booleans(),
    st.lists(st.one_of(ARGUMENTS, st.just("clear"), st.just([1]), st.just("raise")), max_size=15),
)
@settings(max_examples=100, deadline=None, database=None)
def test_same_results_and_counts_as_the_original(maxsize: int | None, typed: bool, calls: list[Any]) -> None:
    def body(x: Any) -> Any:
        if x == "raise":
            raise ValueError(x)
        return [x]

    original: Any = functools.lru_cache(maxsize, typed)(body)
    traced: Any = traced_lru(body, maxsize, typed, Ledger())
    for argument in calls:
        if argument == "clear":
            original.cache_clear()
            traced.cache_clear()
            continue
        outcomes = []
        for function in (original, traced):
            try:
                outcomes.append(function(argument))
            except (TypeError, ValueError) as error:
                outcomes.append([type(error), str(error)])
        assert outcomes[0] == outcomes[1]
        assert original.cache_info() == traced.cache_info()
        assert original.cache_parameters() == traced.cache_parameters()
