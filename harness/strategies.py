"""Plans drawn by Hypothesis: interleavings of everything a target offers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from harness import impostors, switched
from harness.choices import cut_short
from harness.drawing import of_the_seed_alone
from harness.following import Following
from harness.plan import EMPTY, Plan, Step
from harness.principal import BYSTANDER, TwinSpec
from harness.repeating import Repeating
from harness.target import Action

TEXTS = (
    "{message}",
    "你好 {message}",
    "{name} says {message}",
    "please remember {message} and {wide}",
    "what did I say before?",
    "{message} {message}",
)
GAPS = (0.0, 0.0, 0.0, 0.05, 0.4, 2.0)
ADVANCES = (1, 1, 3, 3, 10, 10, 45, 330)
"""Seconds the clock is moved by; mostly few, since a polling bot pays for every virtual second, and sometimes
enough for its slow timers."""
DIMENSIONS = ("T", "T", "TA")
"""How twins differ unless told otherwise; the difference in tenant alone is the harder one and the more frequent."""
WITHIN = ("A", "C", "P")
"""Differences within one tenant: two agents, two chats of one agent, one chat id on two platforms."""

BATCH = 6
"""Plans drawn in one generation run of Hypothesis; after each comes one in which principals insist
(`harness.repeating`), and one in which one twin does a stretch of things and then the other (`harness.following`)."""

TWIN_SEEDS = 8
"""Twins of so many seeds are drawn from; few, so that a target may keep what it derives from them."""


HOSTILE = 12
"""One generated plan in so many has twins with hostile ids, where the target admits any."""

THIRD = 8
"""One generated plan in so many has a third tenant, where the target can write one."""


SHORT = 12
"""One choice in so many is cut short, where it can be (see `harness.choices.cut_short`)."""


def _field(kind: Any) -> st.SearchStrategy[Any]:
    if kind == "text":
        return st.sampled_from(TEXTS)
    if kind == "int":
        return st.integers(0, 9)
    if kind == "flag":
        return st.booleans()
    if isinstance(kind, (list, tuple)):
        return st.sampled_from(list(kind))
    return st.just(kind)


def payloads(action: Action) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads of one action."""
    return st.fixed_dictionaries({name: _chosen(action, name) for name in action.payload})


def _chosen(action: Action, name: str) -> st.SearchStrategy[Any]:
    whole = _field(action.payload[name])
    short = cut_short(action, name)
    if not short:
        return whole
    return st.integers(0, SHORT - 1).flatmap(lambda turn: whole if turn else st.sampled_from(short))


@st.composite
def plans(
    draw: st.DrawFn,
    actions: Sequence[Action],
    dimensions: Sequence[str] = DIMENSIONS,
    longest: int = 10,
    hostile: Sequence[str] = (),
    states: Sequence[str] = (EMPTY,),
    third: bool = False,
) -> Plan:
    """One plan: steps of both twins over every entry, often the same step of both side by side, in FIFO order.

    Half of the stimuli are mirrored (both twins do the very same thing at once), since twins collide where
    they do alike. A quarter of the stimuli are calls the harness found by itself, where there are any.
    """
    weighted = [action for action in actions if not action.call for _ in range(action.weight)]
    calls = [action for action in actions if action.call]
    spec = TwinSpec(
        dimension=draw(st.sampled_from(list(dimensions))),
        pictures=draw(st.sampled_from(("equal", "marked"))),
        seed=draw(st.integers(0, TWIN_SEEDS - 1)),
    )
    if hostile and draw(st.integers(0, HOSTILE - 1)) == 0:
        spec = draw(impostors.specs(hostile, TWIN_SEEDS))
    elif third and "T" in spec.dimension and draw(st.integers(0, THIRD - 1)) == 0:
        spec = msgspec.structs.replace(spec, third=True)
    steps: list[Step] = []
    count = draw(st.integers(2, longest))
    while len(steps) < count:
        if steps and draw(st.integers(0, 5)) == 0:
            steps.append(Step(entry="world", action="advance", payload={"seconds": draw(st.sampled_from(ADVANCES))}))
            continue
        action = draw(st.sampled_from(calls if calls and draw(st.integers(0, 3)) == 0 else weighted))
        payload = draw(payloads(action))
        gap = draw(st.sampled_from(GAPS))
        join = draw(st.integers(0, 7)) == 0
        if not action.principal:
            steps.append(Step(entry=action.entry, action=action.name, payload=payload, gap=gap, join=join))
            continue
        first = draw(st.sampled_from(("A", "B")))
        steps.append(Step(entry=action.entry, action=action.name, who=first, payload=payload, gap=gap, join=join))
        if spec.third and not action.call and draw(st.booleans()):
            steps.append(Step(entry=action.entry, action=action.name, who=BYSTANDER, payload=payload))
        if draw(st.booleans()):
            other = "B" if first == "A" else "A"
            steps.append(Step(entry=action.entry, action=action.name, who=other, payload=payload))
    # Half of the plans begin with a bot that nobody has used, where the target offers anything else.
    before = draw(st.sampled_from([*[EMPTY] * (len(states) - 1), *states[1:]])) if len(states) > 1 else EMPTY
    return Plan(seed=draw(st.integers(0, 2**16)), twins=spec, before=before, steps=tuple(steps))


def generate(
    actions: Sequence[Action],
    count: int,
    campaign_seed: int,
    dimensions: Sequence[str] = DIMENSIONS,
    hostile: Sequence[str] = (),
    states: Sequence[str] = (EMPTY,),
    third: bool = False,
    switches: bool = False,
) -> list[Plan]:
    """`count` plans, the same for the same seed; `hostile` are the families of ids to draw from, `third` says whether
    a third tenant may stand by, `switches` whether some twins' settings differ (`harness.switched`).

    Hypothesis only generates: judging and shrinking are ours, since one exception a plan would hide every leak but the
    first. A generation run dwells on variants of what it drew first, so that many short ones spread better than a long
    one."""
    made: list[Plan] = []
    insisting = Repeating(actions, campaign_seed, dimensions, states, TWIN_SEEDS)
    following = Following(actions, campaign_seed, dimensions, states, TWIN_SEEDS)
    turn = 0
    while len(made) < count:
        batch = min(BATCH, count - len(made))
        made += _batch(actions, batch, campaign_seed * 100_003 + turn, dimensions, hostile, states, third)
        if insisting and len(made) < count:
            made.append(insisting.draw(TEXTS))
        if following and len(made) < count:
            made.append(following.draw(TEXTS))
        turn += 1
    return switched.some(made) if switches else made


def _batch(
    actions: Sequence[Action],
    count: int,
    batch_seed: int,
    dimensions: Sequence[str],
    hostile: Sequence[str],
    states: Sequence[str],
    third: bool,
) -> list[Plan]:
    made: list[Plan] = []

    @seed(batch_seed)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(plans(actions, dimensions, hostile=hostile, states=states, third=third))
    def collect(plan: Plan) -> None:
        made.append(plan)

    with of_the_seed_alone():
        collect()
    return made


def ways(claimed: Collection[str]) -> tuple[str, ...]:
    """How often twins differ in what, where cells claim the dimensions `claimed`: differences in tenant make up two
    thirds or more."""
    within = [letter for letter in WITHIN if letter in claimed]
    return (*DIMENSIONS * len(within), *within, *within[:1]) if within else DIMENSIONS


def overlapping(steps: Sequence[Any]) -> bool:
    """Whether steps of both twins were in flight together (`StepRecord`s of one run)."""
    spans = [(record.who, record.first_seq, record.started, record.ended) for record in steps if record.who]
    return any(
        mine[0] != theirs[0] and mine[2] <= theirs[2] <= mine[3] and (theirs[2] < mine[3] or mine[2] == theirs[2])
        for mine in spans
        for theirs in spans
    )
