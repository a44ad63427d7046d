"""A fix for MaiMBot's prompt templates that messages bring: they are filled in with values and not with what these lead
to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.overlays.maimbot_saas_templates import FIXES
from fixtures.targets import maimbot_saas_templates as templates
from harness.target import Patcher
from tests.stand_ins_support import in_context, stand_in

FIX = next(one for one in FIXES if one.name == "fix-template-fields")


class MessageRecv:
    """As the bot's: what a message brings stands in its information."""

    def __init__(self, message: dict[str, Any]) -> None:
        group, user = SimpleNamespace(group_id="chat"), SimpleNamespace(user_id="user")
        self.message_info = SimpleNamespace(
            platform="qq", group_info=group, user_info=user, template_info=message["template"]
        )


def left(monkeypatch: pytest.MonkeyPatch, template: str, *fixes: str) -> dict[str, str]:
    """What of a message's one template is left under fixes."""
    in_context(monkeypatch, "one")
    module = stand_in(monkeypatch, "src.chat.message_receive.message", MessageRecv=type("Message", (MessageRecv,), {}))
    for fix in FIXES:
        if fix.name in (FIX.name, *fixes):
            fix.apply(Patcher())
    info = SimpleNamespace(template_items={"planner": template}, template_name="mine", template_default=False)
    made = module.MessageRecv({"template": info})
    kept: dict[str, str] = made.message_info.template_info.template_items
    return kept


@pytest.mark.parametrize(
    "template",
    [templates.LOOK, "{name.__class__}", "{kept[key]}", "{name!r:{width.real}}", "say {{this}} to {name.real}"],
)
def test_a_template_that_looks_behind_a_field_is_left_out(monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    assert left(monkeypatch, template) == {}


@pytest.mark.parametrize(
    "template", ["{name} is {mood:.2f}", "e.g. [this]", '{{"a.b": [1]}} {name}', "\\{a.b\\} {name}", "{name}: {", ""]
)
def test_a_template_of_plain_fields_is_kept(monkeypatch: pytest.MonkeyPatch, template: str) -> None:
    assert left(monkeypatch, template, "fix-message-templates") == {"planner": template}
