"""What of a value is turned to text for the scanner: what it carries along, not the code and machinery it hangs on."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable
from functools import partial

from fixtures.twins import make_twins
from harness.principal import TwinSpec
from harness.probes._attrs import ClassHook
from harness.probes._text import Identities, render

WIDE = {f"name{number}": number for number in range(1000)}
"""A global that would use up what may be looked at."""


class Plugin:
    def __init__(self, note: str) -> None:
        self.note = note

    def handle(self, text: str = "canary default") -> str:
        return f"{self.note}{text}{len(WIDE)}"


def closed(secret: str) -> Callable[[], str]:
    return lambda: f"{secret}{len(WIDE)}"


def test_a_bound_method_shows_its_defaults_and_neither_its_object_nor_globals() -> None:
    # The object's cells are watched by themselves; a registry of handlers does not hold what they keep.
    text = render(Plugin("canary of the object").handle).text
    assert "canary of the object" not in text
    assert "canary default" in text
    assert "name999" not in text
    assert len(text) < 200


def test_a_function_shows_what_it_closes_over_and_what_hangs_on_it() -> None:
    handler = closed("canary in a closure")
    handler.__dict__["owner"] = "canary as an attribute"
    text = render([handler, partial(handler, "canary as an argument")]).text
    assert all(word in text for word in ("in a closure", "as an attribute", "as an argument"))
    assert "name0" not in text


def test_a_closure_that_is_not_filled_yet_is_passed_over() -> None:
    def outer() -> Callable[[], str]:
        def inner() -> str:
            return late

        assert "inner" in render({"f": inner, "inner": 1}).text
        late = "late"
        return inner

    assert "late" in render(outer()).text


def test_machinery_is_named_and_not_looked_into() -> None:
    class Holder:
        def __init__(self) -> None:
            self.log = logging.getLogger("canary.logger")
            self.loop = loop
            self.module = asyncio
            self.note = "canary of the holder"

    loop = asyncio.new_event_loop()
    try:
        text = render(Holder()).text
    finally:
        loop.close()
    assert "canary of the holder" in text
    assert "canary.logger" not in text
    assert "_scheduled" not in text
    assert len(text) < 200


def test_what_slots_hold_is_shown_again_once_nothing_watches_the_class() -> None:
    class Slotted:
        __slots__ = ("said",)

    thing = Slotted()
    thing.said = "hello"
    plain = render(thing).text
    hook = ClassHook(Slotted)
    hook.cover("said")
    render(thing)
    hook.remove()
    assert "hello" in plain and render(thing).text == plain


def test_a_picture_that_both_sent_is_known_by_its_digest_as_bytes_and_as_base64() -> None:
    twins = make_twins(TwinSpec(pictures="equal"))
    content = twins.a.pictures["picture"]
    for form in (content, base64.b64encode(content)):
        assert Identities(twins).of(hashlib.md5(form).hexdigest())["shared"] == ["picture"]
    marked = make_twins(TwinSpec(pictures="marked"))
    digest = hashlib.md5(base64.b64encode(marked.a.pictures["picture"])).hexdigest()
    assert Identities(marked).of(digest)["shared"] == []
