"""A window of MaiMBot's WebUI that is closed while it opens: what was to be typed into it is lost, without an error."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from fixtures.targets.maimbot_saas_drive import Driver


def test_text_for_a_window_that_was_closed_while_it_opened_goes_nowhere() -> None:
    driver: Any = object.__new__(Driver)
    driver.sockets = {}
    opened = SimpleNamespace(idle=asyncio.Event(), incoming=asyncio.Queue())

    async def connect(who: Any) -> Any:
        return opened  # and somebody hung up meanwhile

    driver.connect = connect
    who = SimpleNamespace(label="A", display={"user_name": "somebody"})
    asyncio.run(driver._chat(who, "hello"))
    assert opened.incoming.empty()
