"""Plans: a fixed tour over everything a target offers, and Hypothesis-generated interleavings of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from harness import company, impostors
from harness.forgery import names_other
from harness.plan import EMPTY, Plan, Step
from harness.principal import BYSTANDER, Label, TwinSpec
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
"""Plans drawn in one generation run of Hypothesis."""

TWIN_SEEDS = 8
"""Twins of so many seeds are drawn from; few, so that a target may keep what it derives from them."""


HOSTILE = 12
"""One generated plan in so many has twins with hostile ids, where the target admits any."""

THIRD = 8
"""One generated plan in so many has a third tenant, where the target can write one."""


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
    return st.fixed_dictionaries({name: _field(kind) for name, kind in action.payload.items()})


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
) -> list[Plan]:
    """`count` plans, the same for the same seed; `hostile` are the families of ids to draw from, `third` says whether
    a third tenant may stand by.

    Hypothesis only generates: judging and shrinking are ours, since one exception a plan would hide every leak but the
    first. A generation run dwells on variants of what it drew first, so that many short ones spread better than a long
    one."""
    made: list[Plan] = []
    turn = 0
    while len(made) < count:
        batch = min(BATCH, count - len(made))
        made += _batch(actions, batch, campaign_seed * 100_003 + turn, dimensions, hostile, states, third)
        turn += 1
    return made


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

    collect()
    return made


def ways(claimed: Collection[str]) -> tuple[str, ...]:
    """How often twins differ in what, where cells claim the dimensions `claimed`: differences in tenant make up two
    thirds or more."""
    within = [letter for letter in WITHIN if letter in claimed]
    return (*DIMENSIONS * len(within), *within, *within[:1]) if within else DIMENSIONS


def _variants(action: Action) -> Iterator[dict[str, Any]]:
    """Payloads that together take every choice of every field once."""
    fields = {
        name: list(TEXTS[:1]) if kind == "text" else [1] if kind == "int" else [False, True] if kind == "flag"
        else [choice for choice in kind if not names_other(choice)] if isinstance(kind, (list, tuple)) else [kind]
        for name, kind in action.payload.items()
    }  # fmt: skip
    for turn in range(max((len(choices) for choices in fields.values()), default=1)):
        yield {name: choices[min(turn, len(choices) - 1)] for name, choices in fields.items()}


OWN = ("timer", "start")
"""Entries on which the bot acts by itself."""

PICTURES: dict[str, tuple[Literal["equal", "marked"], ...]] = {
    "T": ("equal",), "TA": ("marked",), "A": ("marked", "equal"), "C": ("marked",), "P": ("equal",),
}  # fmt: skip
"""Whether twins of the tour send equal pictures or their own: agents both, since the content of a picture may be what
keeps them apart; chats share what pictures show by right."""

ORDERS: tuple[tuple[Label, Label], ...] = (("A", "B"), ("B", "A"))
"""Who acts first, in turns."""

WAYS = (("T", "equal"), ("TA", "marked"))
"""How the twins of the tour differ, and whether their pictures do."""


def tour(
    actions: Sequence[Action],
    claimed: Mapping[str, Collection[str]] = {},
    hostile: Sequence[str] = (),
    states: Sequence[str] = (EMPTY,),
    third: bool = False,
) -> list[Plan]:
    """Every action with every choice, done by both twins, in both orders and both ways of differing, the second time
    where some of everything lies from earlier days, if the target offers that; then every payload that names the other
    twin, and every family of hostile ids (`harness.impostors`); with `third` everything beside a third tenant
    (`harness.company`); then, from each further state that a plan may begin with, everything that an entry offers, in
    one plan an entry.

    It makes reach independent of chance: what a target offers is tried even by the shortest campaign. `claimed` maps
    dimensions to the entries on which cells claim them: there twins differ within one tenant as well. What matters
    most comes first.
    """
    calls = [action for action in actions if action.call]
    actions = [action for action in actions if not action.call]
    warm = next((action for action in actions if action.entry == "api" and action.principal), None)
    failing: list[Plan] = []
    apart: dict[str, list[Plan]] = {dimension: [] for dimension in ("T", "TA", *WITHIN)}
    for index, action in enumerate(actions):
        if (action.entry, action.name) == ("world", "fail"):
            failing += _failing(action, [a for a in actions if warm and a.entry == warm.entry and a.principal])
            continue
        for dimension, made in apart.items():
            if dimension in WITHIN and action.entry not in claimed.get(dimension, ()):
                continue
            variants, size = list(_variants(action)), TOGETHER * (2 if dimension in WITHIN else 1)
            # Some choices do nothing where nobody has anything yet: the second time there is something.
            before = states[1] if dimension == "TA" and len(states) > 1 else EMPTY
            for turn, start in enumerate(range(0, len(variants), size)):
                for pictures in PICTURES[dimension]:
                    # Whoever is first makes what the second finds: each twin is, with twins that differ alike.
                    order = ORDERS[(index + (dimension != "T")) % 2]
                    some = variants[start : start + size]
                    made.append(_around(action, some, warm, dimension, pictures, turn, order, before))
    entries = [entry for entry in dict.fromkeys(action.entry for action in actions) if entry != "world"]
    found = [
        _from(state, [a for a in actions if a.entry == entry], warm, *way)
        for state in states[1:]
        for entry in entries
        for way in (*WAYS, *((("A", "marked"),) if entry in claimed.get("A", ()) else ()))
    ]
    called = calls_tour(actions, calls, states)
    half = len(called) // 2
    beside = company.standing_by(actions) if third else []
    # Tenants first, then the calls, then everything again in other ways: who has little time has the most of it.
    return [
        *apart["T"], *impostors.forging(actions), *called[:half], *apart["A"], *found, *apart["TA"], *failing,
        *beside, *impostors.colliding(actions, hostile), *apart["C"], *apart["P"], *called[half:],
    ]  # fmt: skip


def _from(state: str, actions: Sequence[Action], warm: Action | None, dimension: str, pictures: Any) -> Plan:
    """What `actions` offer, on what lay there before: each of the bot's own doings, which find it there, with every
    choice, each of the others once."""
    order = ("A", "B") if dimension == "T" else ("B", "A")
    steps: list[Step] = []
    if warm is not None:
        first = next(_variants(warm))
        steps += [Step(entry=warm.entry, action=warm.name, who=who, payload=first) for who in order]
    for action in actions:
        for payload in islice(_variants(action), None if action.entry in OWN else 1 if action.weight else 0):
            step = Step(entry=action.entry, action=action.name, payload=payload)
            steps += [msgspec.structs.replace(step, who=who) for who in order] if action.principal else [step]
        steps.append(Step(entry="world", action="advance", payload={"seconds": 1}, join=True))
    wait = 330 if actions[0].entry in OWN else 40
    steps.append(Step(entry="world", action="advance", payload={"seconds": wait}, join=True))
    return Plan(twins=TwinSpec(dimension=dimension, pictures=pictures), before=state, steps=tuple(steps))


TOGETHER = 4
"""Choices of one action that a plan of the tour takes: most of a plan's cost is the boot and the end."""

CALLS = 20
"""Calls tried in one plan of the tour at most: many, since what they need must first be there."""


def calls_tour(actions: Sequence[Action], calls: Sequence[Action], states: Sequence[str] = (EMPTY,)) -> list[Plan]:
    """Every call made by both twins with their own things, then with the other's, then without context.

    Before that both do one of everything on the entries that make data, so that there is something to ask for; the
    second time, where the target offers it, there is something from earlier days as well.
    """
    makers = [action for action in actions if action.principal and action.weight and action.entry in ("api", "timer")]
    found: list[Plan] = []
    for dimension, order in (("T", ("A", "B")), ("TA", ("B", "A"))):
        for start, together in enumerate(_together(calls)):
            steps = [
                Step(entry=action.entry, action=action.name, who=who, payload=next(_variants(action)), gap=0.05)
                for action in makers
                for who in order
            ]
            steps.append(Step(entry="world", action="advance", payload={"seconds": 10}, join=True))
            for call in together:
                picks = [{"ids": "own", "pick": 0}, {"ids": "own", "pick": 1}]
                if "other" in call.payload["ids"]:
                    picks += [{"ids": "other", "pick": 0}, {"ids": "other", "pick": 1}]
                if call.takes:
                    picks.reverse()  # what one has taken away oneself the other cannot ask for
                tries = [{**pick, "context": "own"} if "context" in call.payload else pick for pick in picks]
                if "context" in call.payload:
                    tries.append({"ids": "own", "pick": 0, "context": "none"})
                steps += [
                    Step(entry=call.entry, action=call.name, who=who, payload=payload, gap=0.05)
                    for payload in tries
                    for who in order
                ]
            spec = TwinSpec(
                dimension=dimension, pictures="equal" if dimension == "T" else "marked", seed=start % TWIN_SEEDS
            )
            before = states[1] if dimension == "TA" and len(states) > 1 else EMPTY
            found.append(Plan(seed=start, twins=spec, before=before, steps=tuple(steps)))
    return found


def _together(calls: Sequence[Action]) -> list[list[Action]]:
    """Calls in groups by where they live, since one hands out what the next one takes; the order within is kept."""
    places: dict[str, list[Action]] = {}
    for call in calls:
        parts = call.name.partition(" ")[2].split("/")
        places.setdefault("/".join(parts[:4]) if len(parts) > 1 else call.name.partition(".")[0], []).append(call)
    return [found[at : at + CALLS] for _, found in sorted(places.items()) for at in range(0, len(found), CALLS)]


COLD = 65
"""Seconds after which what was cached at boot is loaded anew, where caches live for the usual minute."""

DEPTHS = 3
"""How deep into a message each kind of failure is tried by the tour: at so many of the action's choices of ``nth``."""


def _failing(action: Action, talks: Sequence[Action]) -> Iterator[Plan]:
    """Every kind of failure in the midst of what both twins send (`talks`): in one's own flow when the caches are
    warm, in anybody's when they are cold, and as an outage that lasts through messages of every kind."""
    if not talks:
        return
    depths = list(action.payload["nth"])
    depths = depths[:: max(1, len(depths) // DEPTHS)][:DEPTHS]
    often = sorted(set(action.payload["times"]))
    some = [(depth, often[min(index, len(often) - 1)]) for index, depth in enumerate(depths)]
    outage = [(depths[0], often[-1])]
    cold = Step(entry="world", action="advance", payload={"seconds": COLD})
    pause = Step(entry="world", action="advance", payload={"seconds": 5}, join=True)
    ways: tuple[tuple[str, Any, str, bool, list[tuple[int, int]]], ...] = (
        ("T", "equal", "AB", True, some),
        ("TA", "marked", "BA", False, some),
        ("TA", "equal", "AB", False, outage),
    )
    for turn, what in enumerate(action.payload["what"]):
        for dimension, pictures, order, own, strikes in ways:
            talk = [
                Step(entry=sent.entry, action=sent.name, who=who, payload=next(_variants(sent)))
                for sent in (talks if strikes is outage else talks[:1])
                for who in order
            ]
            steps = [*talk, pause] if own else [cold]
            for nth, times in strikes:
                payload = {"what": what, "nth": nth, "times": times}
                who = order[0] if own else None
                steps += [Step(entry="world", action="fail", who=who, payload=payload), *talk, pause]
            spec = TwinSpec(dimension=dimension, pictures=pictures, seed=turn % TWIN_SEEDS)
            yield Plan(seed=turn, twins=spec, steps=tuple(steps))


def _around(
    action: Action,
    payloads: Sequence[dict[str, Any]],
    warm: Action | None,
    dimension: str,
    pictures: Literal["equal", "marked"],
    turn: int,
    order: Sequence[Label],
    before: str = EMPTY,
) -> Plan:
    steps: list[Step] = []
    if warm is not None and warm.name != action.name:
        first = next(_variants(warm))
        steps += [Step(entry=warm.entry, action=warm.name, who=who, payload=first) for who in order]
        steps.append(Step(entry="world", action="advance", payload={"seconds": 5}))
    # A polling bot pays for every virtual second: what is still under way goes on beside the next choice.
    pause = Step(entry="world", action="advance", payload={"seconds": 1}, join=True)
    for payload in payloads:
        if not action.principal:
            steps.append(Step(entry=action.entry, action=action.name, payload=payload, join=True))
            continue
        steps += [Step(entry=action.entry, action=action.name, who=who, payload=payload, gap=0.05) for who in order]
        steps.append(pause)
        steps += [Step(entry=action.entry, action=action.name, who=who, payload=payload) for who in reversed(order)]
        steps.append(pause)
    if action.entry == "world" and warm is not None:  # what it changed shows in what comes after
        first = next(_variants(warm))
        steps += [Step(entry=warm.entry, action=warm.name, who=who, payload=first, gap=0.05) for who in order]
    steps.append(Step(entry="world", action="advance", payload={"seconds": 5}, join=True))
    if action.entry in OWN:
        steps.append(Step(entry="world", action="advance", payload={"seconds": 330}, join=True))
    twins = TwinSpec(dimension=dimension, pictures=pictures, seed=turn % TWIN_SEEDS)
    return Plan(seed=turn, twins=twins, before=before, steps=tuple(steps))


def woven(tour: Sequence[Plan], drawn: Sequence[Plan]) -> list[Plan]:
    """The tour with a drawn plan after every second of its own, so that a campaign that is cut short has both."""
    found: list[Plan] = []
    rest = iter(drawn)
    for index, plan in enumerate(tour):
        found.append(plan)
        if index % 2:
            found += islice(rest, 1)
    return [*found, *rest]


def overlapping(steps: Sequence[Any]) -> bool:
    """Whether steps of both twins were in flight together (`StepRecord`s of one run)."""
    spans = [(record.who, record.first_seq, record.started, record.ended) for record in steps if record.who]
    return any(
        mine[0] != theirs[0] and mine[2] <= theirs[2] <= mine[3] and (theirs[2] < mine[3] or mine[2] == theirs[2])
        for mine in spans
        for theirs in spans
    )
