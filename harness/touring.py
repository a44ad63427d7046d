"""The tour: a fixed set of plans that tries everything a target offers, so that reach does not depend on chance."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, Literal

import msgspec

from harness import company, impostors, switched
from harness.errors import UsageError
from harness.forgery import names_other
from harness.plan import EMPTY, Plan, Step
from harness.principal import Label, TwinSpec
from harness.strategies import TEXTS, TWIN_SEEDS, WITHIN
from harness.target import Action, Facts


def _variants(action: Action) -> Iterator[dict[str, Any]]:
    """Payloads that together take every choice of every field once: the right ones of all fields first, then each wrong
    one by itself, since behind what is refused nothing else comes to its turn."""
    fields = {
        name: list(TEXTS[:1]) if kind == "text" else [1] if kind == "int" else [False, True] if kind == "flag"
        else [choice for choice in kind if not names_other(choice)] if isinstance(kind, (list, tuple)) else [kind]
        for name, kind in action.payload.items()
    }  # fmt: skip
    wrong = {name: [choice for choice in fields.get(name, ()) if choice in some] for name, some in action.wrong.items()}
    right = {
        name: [choice for choice in choices if choice not in wrong.get(name, ())] or choices[:1]
        for name, choices in fields.items()
    }
    for turn in range(max((len(choices) for choices in right.values()), default=1)):
        yield {name: choices[min(turn, len(choices) - 1)] for name, choices in right.items()}
    first = {name: choices[0] for name, choices in right.items()}
    for name, choices in wrong.items():
        yield from ({**first, name: choice} for choice in choices if choice != first[name])


def _right(action: Action) -> bool:
    """Whether what it does first is done in one's own name. Beside what loses its credential meanwhile, nothing else of
    the same principal would come through."""
    return not action.is_wrong(next(_variants(action)))


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
    pauses: Sequence[float] = (),
    switches: bool = False,
    fronted: Mapping[str, str] = {},
) -> list[Plan]:
    """Every action with every choice, done by both twins, in both orders and both ways of differing, the second time
    where some of everything lies from earlier days, if the target offers that; then every payload that names the other
    twin, and every family of hostile ids (`harness.impostors`); with `third` everything beside a third tenant
    (`harness.company`), with `switches` between twins whose settings differ (`harness.switched`); then, from each
    further state that a plan may begin with, everything that an entry offers, in one plan an entry (of those that
    `fronted` maps to an entry, that entry alone, and its calls); and the same before and after the bot is started anew,
    if the target offers that, and before and after each of the `pauses`, in which what was kept runs out.

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
            failing += _failing(
                action,
                [a for a in actions if warm and a.entry == warm.entry and a.principal and _right(a)],
                _shows(calls),
                [a for a in actions if a.entry == "timer" and a.principal and a.weight and _right(a)],
            )
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
    makers = [a for a in actions if warm and a.entry == warm.entry and a.principal and a.weight and _right(a)]
    found = [
        _from(state, [a for a in actions if a.entry == entry], warm, makers, *way)
        for state in states[1:]
        for entry in entries
        if fronted.get(state, entry) == entry
        for way in (*WAYS, *_within(entry, claimed))
    ]
    done = {e: [a for a in actions if a.entry == e and a.principal and a.weight and _right(a)] for e in entries}
    across = [
        _across(start, some if warm is None or warm in some else [warm, *some], *way)
        for start in actions
        if start.entry == "start" and not start.principal and _right(start)
        for some in done.values()
        if some
        for way in WAYS
    ]
    sent = [action for some in done.values() for action in some]
    long = [_resumed(pause, sent, *WAYS[index % 2]) for index, pause in enumerate(pauses) if sent]
    called = calls_tour(actions, calls, states)
    half = len(called) // 2
    behind = [
        plan
        for state, entry in fronted.items()
        # What there is to ask for lies there; of what is made, one of its kind is enough.
        for plan in calls_tour([warm] if warm else [], [call for call in calls if call.entry == entry], (state, state))
    ]
    beside = company.standing_by(actions) if third else []
    turned = switched.switching(actions) if switches else []
    # Tenants first, then the calls, then everything again in other ways: who has little time has the most of it.
    return [
        *apart["T"], *impostors.forging(actions), *called[:half], *behind, *turned, *apart["A"], *found, *across, *long,
        *apart["TA"], *failing, *beside, *impostors.colliding(actions, hostile), *apart["C"], *apart["P"],
        *called[half:],
    ]  # fmt: skip


def toured(
    actions: Sequence[Action], claimed: Mapping[str, Collection[str]], facts: Facts, states: Sequence[str]
) -> list[Plan]:
    """`tour`, with all that the target's facts ask of it. Raises UsageError on a front before an entry that nothing is
    offered on."""
    entries = {action.entry for action in actions}
    for state, entry in facts.fronted.items():
        if entry not in entries:
            raise UsageError(
                f"the facts of {facts.name} say that {state!r} is a front before {entry!r} (fronted), on which "
                f"there is no action and no call; entries are: {', '.join(sorted(entries))}"
            )
    return tour(
        actions, claimed, facts.hostile, states, facts.third, facts.pauses, facts.switches, facts.fronted
    )  # fmt: skip


def _within(entry: str, claimed: Mapping[str, Collection[str]]) -> list[tuple[str, Literal["equal", "marked"]]]:
    """How twins within one tenant differ on an entry, where cells claim that."""
    return [(dimension, "marked") for dimension in WITHIN if entry in claimed.get(dimension, ())]


def _from(
    state: str, actions: Sequence[Action], warm: Action | None, makers: Sequence[Action], dimension: str, pictures: Any
) -> Plan:
    """What `actions` offer, on what lay there before: each of the bot's own doings, which find it there and what
    `makers` made besides, with every choice, each of the others once."""
    order = ("A", "B") if dimension == "T" else ("B", "A")
    steps: list[Step] = []
    if warm is not None:
        # What the bot does by itself it does with what lies there, so there is one of everything that can be sent.
        sent = makers if actions[0].entry in OWN else (warm,)
        steps += [
            Step(entry=one.entry, action=one.name, who=who, payload=next(_variants(one)))
            for one in sent
            for who in order
        ]
    for action in actions:
        for payload in islice(_variants(action), None if action.entry in OWN else 1 if action.weight else 0):
            step = Step(entry=action.entry, action=action.name, payload=payload)
            steps += [msgspec.structs.replace(step, who=who) for who in order] if action.principal else [step]
        steps.append(Step(entry="world", action="advance", payload={"seconds": 1}, join=True))
    wait = 330 if actions[0].entry in OWN else 40
    steps.append(Step(entry="world", action="advance", payload={"seconds": wait}, join=True))
    return Plan(twins=TwinSpec(dimension=dimension, pictures=pictures), before=state, steps=tuple(steps))


def _across(start: Action, actions: Sequence[Action], dimension: str, pictures: Any) -> Plan:
    """What `actions` offer, once by each twin, then `start`, then the same again: what the bot loads at its start it
    loads for whoever had left anything."""
    order = ORDERS[dimension != "T"]
    pause = Step(entry="world", action="advance", payload={"seconds": 1}, join=True)
    once = [
        Step(entry=action.entry, action=action.name, who=who, payload=next(_variants(action)))
        for action in actions
        for who in order
    ]
    again = Step(entry=start.entry, action=start.name, payload=next(_variants(start)), join=True)
    last = Step(entry="world", action="advance", payload={"seconds": 5}, join=True)
    steps = (*once, pause, again, *once, last)
    return Plan(twins=TwinSpec(dimension=dimension, pictures=pictures), steps=steps)


def _resumed(pause: float, actions: Sequence[Action], dimension: str, pictures: Any) -> Plan:
    """What `actions` offer, once by each twin, then nothing for `pause` seconds, then the same again the other way
    round: what came last before is met first, whatever came in between that put an end to what lay there."""
    order = ORDERS[dimension != "T"]
    once = [
        Step(entry=action.entry, action=action.name, who=who, payload=next(_variants(action)))
        for action in reversed(actions)
        for who in order
    ]
    rest, last = (
        Step(entry="world", action="advance", payload={"seconds": seconds}, join=True) for seconds in (pause, 5)
    )
    return Plan(twins=TwinSpec(dimension=dimension, pictures=pictures), steps=(*once, rest, *reversed(once), last))


TOGETHER = 4
"""Choices of one action that a plan of the tour takes: most of a plan's cost is the boot and the end."""

CALLS = 20
"""Calls tried in one plan of the tour at most: many, since what they need must first be there."""


def calls_tour(actions: Sequence[Action], calls: Sequence[Action], states: Sequence[str] = (EMPTY,)) -> list[Plan]:
    """Every call made by both twins with their own things, then with the other's, then without context.

    Before that both do one of everything on the entries that make data, so that there is something to ask for. It
    begins at the first of the `states`, the second time at the next, where there is something from earlier days.
    """
    made = [action for action in actions if action.principal and action.weight and action.entry in ("api", "timer")]
    makers = [action for action in made if _right(action)]
    found: list[Plan] = []
    for dimension, order in (("T", ("A", "B")), ("TA", ("B", "A"))):
        before = states[1] if dimension == "TA" and len(states) > 1 else states[0]
        for start, together in enumerate(_together(calls)):
            steps = [
                Step(entry=action.entry, action=action.name, who=who, payload=next(_variants(action)), gap=0.05)
                for action in makers
                for who in order
            ]
            steps.append(Step(entry="world", action="advance", payload={"seconds": 10}, join=True))
            for call in together:
                picks: list[dict[str, Any]] = [{"ids": "own", "pick": 0}, {"ids": "own", "pick": 1}]
                if "other" in call.payload["ids"]:
                    picks += [{"ids": "other", "pick": 0}, {"ids": "other", "pick": 1}]
                if "page" in call.payload:
                    picks.append({"ids": "own", "pick": 0, "page": 2})
                picks += [{"ids": "own", "pick": 0, "only": only} for only in call.payload.get("only", ()) if only]
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

ROUNDS = 3
"""How often both twins send everything while each thing that is written fails once: a flow that breaks off at one gets
as far as the next the next time."""

WRITTEN = ("database", "disk")
"""Kinds of failure at things that are written, of which there are many: each is tried."""

EARLY = (1, 3)
"""How deep into a timer's turn what it reads and writes fails: at its first use of anything, and after some."""

DEPTHS = 3
"""How deep into a message each kind of failure is tried by the tour: at so many of the action's choices of ``nth``."""


def _shows(calls: Sequence[Action]) -> list[Action]:
    """Routes that only show, and show without being asked for anything of anybody's: a state, a list, what failed."""
    return [call for call in calls if call.name.startswith("GET ") and "other" not in call.payload.get("ids", ())]


def _failing(
    action: Action, talks: Sequence[Action], looks: Sequence[Action] = (), turns: Sequence[Action] = ()
) -> Iterator[Plan]:
    """Every kind of failure in the midst of what both twins send (`talks`): in one's own flow when the caches are
    warm, in anybody's when they are cold, as an outage that lasts through messages of every kind, as the second
    and then the first of what there is of that kind going down for good, and as each thing that is written failing
    once. After those in one's own flow the other makes the calls `looks`: what a bot keeps of a failure it may show to
    anybody. Things that are written fail in each of the `turns` of timers as well, right before the other's turn of the
    same, which finds what was left lying there."""
    if not talks:
        return
    depths = list(action.payload["nth"])
    depths = depths[:: max(1, len(depths) // DEPTHS)][:DEPTHS]
    often = sorted(set(action.payload["times"]))
    some = [(depth, often[min(index, len(often) - 1)], False) for index, depth in enumerate(depths)]
    outage = [(depths[0], often[-1], False)]
    down = [(depth, often[-1], True) for depth in (2, 1)]
    lasting = {action.name for action in talks if action.weight}
    cold = Step(entry="world", action="advance", payload={"seconds": COLD})
    pause = Step(entry="world", action="advance", payload={"seconds": 5}, join=True)
    ways: tuple[tuple[str, Any, str, bool, list[tuple[int, int, bool]]], ...] = (
        ("T", "equal", "AB", True, some),
        ("TA", "marked", "BA", False, some),
        ("TA", "equal", "AB", False, outage),
        ("T", "marked", "BA", True, down),
    )
    for turn, what in enumerate(action.payload["what"]):
        for dimension, pictures, order, own, strikes in ways:
            talk = [
                Step(entry=sent.entry, action=sent.name, who=who, payload=next(_variants(sent)))
                for sent in (talks[:1] if strikes is some else talks)
                for who in order
            ]
            # An outage meets what was cached once and has run out: that is when the last that was known is made use of.
            known = [step for step in talk if step.action in lasting] if strikes is outage else []
            steps = [*talk, pause] if own else [*known, cold]
            for nth, times, one in strikes:
                payload = {"what": what, "nth": nth, "times": times, "one": one}
                who = order[0] if own else None
                # What is down for good is given up after a few tries, with waits in between.
                steps += [Step(entry="world", action="fail", who=who, payload=payload), *talk, cold if one else pause]
            if own:
                asked = {"ids": "own", "pick": 0}
                steps += [Step(entry=look.entry, action=look.name, who=order[1], payload=asked) for look in looks]
                steps.append(pause)
            spec = TwinSpec(dimension=dimension, pictures=pictures, seed=turn % TWIN_SEEDS)
            yield Plan(seed=turn, twins=spec, steps=tuple(steps))
    written = [what for what in action.payload["what"] if what.partition(".")[0] in WRITTEN]
    for turn, what in enumerate(written if "each" in action.payload else ()):
        first, then = ORDERS[turn % 2]
        talk = [
            Step(entry=sent.entry, action=sent.name, who=who, payload=next(_variants(sent)))
            for sent in talks
            for who in (first, then)
        ]
        payload = {"what": what, "nth": 1, "times": 1, "one": False, "each": True}
        steps = [*talk, pause, Step(entry="world", action="fail", who=first, payload=payload)]
        steps += [*talk, pause] * ROUNDS
        asked = {"ids": "own", "pick": 0}
        steps += [Step(entry=look.entry, action=look.name, who=then, payload=asked) for look in looks]
        spec = TwinSpec(dimension="T", pictures="equal", seed=turn % TWIN_SEEDS)
        yield Plan(seed=turn, twins=spec, steps=(*steps, cold))
    for turn, what in enumerate(written if turns else ()):
        first, then = ORDERS[(turn + 1) % 2]
        # A few words: behind a worker that serves both, everything later would be a matter of time. One more of whose
        # turns fail: what is left of its counts looks like the other's otherwise.
        said = Step(entry=talks[0].entry, action=talks[0].name, payload=next(_variants(talks[0])))
        steps = [*(msgspec.structs.replace(said, who=who) for who in (first, then, first)), pause]
        for task, nth in product(turns, EARLY):
            for chosen in _variants(task):
                failing = {"what": what, "nth": nth, "times": 1, "one": False}
                steps.append(Step(entry="world", action="fail", who=first, payload=failing))
                steps += [
                    Step(entry=task.entry, action=task.name, who=who, payload=chosen, join=True)
                    for who in (first, then)
                ]
        spec = TwinSpec(dimension="T", pictures="equal", seed=turn % TWIN_SEEDS)
        yield Plan(seed=turn, twins=spec, steps=(*steps, pause))


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
