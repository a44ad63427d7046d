"""A patch stands where the code stands that it replaces: what it does is put down to the bot's code, as it would be if
that were so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from harness.placing import place
from harness.target import Patcher

BOT = "/bot/shop.py"


def bots(source: str) -> dict[str, Any]:
    """What a file of the bot's defines."""
    made: dict[str, Any] = {}
    exec(compile(source, BOT, "exec"), made)
    return made


SHOP = """

class Shop:
    def price(self):
        return 1

    @staticmethod
    def fee():
        return 2
"""


def ours(file: str) -> bool:
    return file == BOT


def where() -> tuple[str, str]:
    frame = sys._getframe(1)
    return frame.f_code.co_filename, frame.f_code.co_qualname


def test_a_patched_method_stands_in_the_bots_file_under_its_name() -> None:
    shop = bots(SHOP)["Shop"]
    patcher = Patcher(lambda value, former: adopted.append(place(value, former, ours)))
    adopted: list[Any] = []
    found = []

    def price(self: Any) -> int:
        found.append(where())

        def inner() -> None:
            found.append(where())

        inner()
        return 7

    patcher.set(shop, "price", price)
    assert shop().price() == 7 and adopted == [price]
    assert found == [(BOT, "Shop.price"), (BOT, "Shop.price.<locals>.inner")]
    assert price.__code__.co_firstlineno == 4
    patcher.undo()
    assert shop().price() == 1


def test_a_static_method_may_be_replaced_by_a_lambda() -> None:
    shop = bots(SHOP)["Shop"]
    patch = lambda: where()  # noqa: E731
    Patcher(lambda value, former: place(value, former, ours)).set(shop, "fee", staticmethod(patch))
    assert shop.fee() == (BOT, "Shop.fee")


@pytest.mark.parametrize("make", [lambda own: own["Shop"].fee, lambda own: 5, lambda own: own["Shop"]])
def test_what_is_no_foreign_function_stays_as_it_is(make: Callable[[dict[str, Any]], Any]) -> None:
    own = bots(SHOP)
    assert place(make(own), own["Shop"].price, ours) is None


def test_what_replaces_code_that_is_not_the_bots_stays_where_it_is() -> None:
    def patch() -> tuple[str, str]:
        return where()

    assert place(patch, where, ours) is None
    assert patch()[0] == __file__
