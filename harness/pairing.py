"""Which plans of a campaign are played as pairs, and with whom observing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import groupby

from harness.failures import at_each
from harness.pairs import Pair, pairable, spared, swapped, thinned, timed, waits
from harness.plan import Plan, cancels
from harness.principal import TWINS
from harness.repeating import insists
from harness.trace import Trace

THINNED = 3
"""One pair of a campaign in so many is of a thinned plan."""

BLOCK = 24
"""Plans that are taken both ways before the same are taken thinned."""

INSISTENT = 4
"""One pair of a campaign in so many is of a plan in which somebody insists (`harness.repeating`): what that leaves for
the other bears nobody's mark."""

FOLLOWING = 5
"""One pair of a campaign in so many is of a plan in which one comes after the other (`harness.following`): it meets
whatever the other left of anything."""

SWITCHED = 6
"""One pair of a campaign in so many is of a plan in which the twins' settings differ (`harness.switched`): of what is
kept of a switch nothing else tells."""

STRUCK = 10
"""One pair of a campaign in so many is of a plan in which each thing fails that is written (``each`` of a failure
step): what one could not write, and another wrote for it, bears nobody's mark."""

KEPT = 1000
"""Plans kept as candidates for pairs."""


class Pairing:
    """Plans of a campaign that may be played as pairs, as they came, and what came of those that were."""

    def __init__(self, scoping: Collection[str]) -> None:
        self.counts: dict[str, int] = {}
        self._scoping = frozenset(scoping)
        self._timed: dict[str, Plan] = {}
        self._clean: list[str] = []
        self._insistent: list[str] = []
        self._following: list[str] = []
        self._switched: list[str] = []
        self._struck: list[str] = []
        self._leaky: list[str] = []
        self._leaky_switched: list[str] = []

    def add(self, plan: Plan, trace: Trace, *, clean: bool) -> None:
        """Remember a plan that was played, if it can be a pair's. `clean`: it showed no finding."""
        if not pairable(plan, self._scoping) or len(self._timed) >= KEPT:
            return
        broken = Counter(record.who for record in trace.steps if record.outcome == "cancelled")
        if broken - Counter(step.who for step in plan.steps if cancels(step)):
            return  # a step that never ends holds the run open longer than any wait could without it
        name = plan.digest()
        self._timed[name] = timed(plan, trace.steps)
        if not clean:
            (self._leaky_switched if plan.twins.settings == "switched" else self._leaky).append(name)
        elif plan.twins.settings == "switched":
            self._switched.append(name)
        elif any(at_each(step) for step in plan.steps):
            self._struck.append(name)
        elif insists(plan):
            self._insistent.append(name)
        elif _comes_last(plan):
            self._following.append(name)
        else:
            self._clean.append(name)

    def chosen(self, count: int) -> list[Plan]:
        """`count` plans spread over what was played, A observing in one and B in the next, one in `THINNED` thinned
        and one in `INSISTENT` of those in which somebody insists, one in `FOLLOWING` of those in which one comes after
        the other, one in `SWITCHED` of those in which settings differ, one in `STRUCK` of those in which each thing
        fails; clean ones where there are enough of them, since a leak explains all that comes after it."""
        turned = _spread(self._switched, count // SWITCHED)
        struck = _spread(self._struck, count // STRUCK)
        after = min(count // FOLLOWING, len(self._following))
        rest = count - len(turned) - len(struck)
        names = _spread(self._clean, rest - after - min(count // INSISTENT, len(self._insistent)))
        names += _spread(self._insistent, rest - after - len(names))
        names += _spread(self._following, rest - len(names))
        names += _spread([*self._leaky, *self._leaky_switched], rest - len(names))
        names = _among(_among(names, struck), turned)
        plans = [self._timed[name] for name in names]
        ways = [_way(plan, index) for index, plan in enumerate(plans)]
        return [_or_thinned(way, index) for index, way in enumerate(ways)]

    def leaky(self, count: int) -> list[Plan]:
        """`count` plans spread over those that showed a finding, one in `SWITCHED` of them between twins whose settings
        differ, A observing in one and B in the next."""
        turned = _spread(self._leaky_switched, count // SWITCHED)
        names = _among(_spread(self._leaky, count - len(turned)), turned)
        plans = [self._timed[name] for name in names]
        return [_way(plan, index) for index, plan in enumerate(plans)]

    def both_ways(self, plans: Sequence[Plan]) -> list[Plan]:
        """Those of `plans` that were played and can be a pair's, each with either twin observing; after some of them
        the same thinned, where that leaves A anything to do."""
        known = [self._timed[name] for name in (plan.digest() for plan in plans) if name in self._timed]
        found: list[Plan] = []
        for start in range(0, len(known), BLOCK):
            ways = [way for plan in known[start : start + BLOCK] for way in (spared(plan), spared(swapped(plan)))]
            less = [(way, thinned(way, odd=index % 2)) for index, way in enumerate(ways)]
            found += [*ways, *(made for way, made in less if made != way and _observes(made))]
        return found

    def count(self, made: Sequence[Pair], kind: str = "plans") -> None:
        """Take down what came of one plan; `kind` says whether it was played as it is (``plans``) or with known leaks
        closed (``behind``)."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        for pair in made:
            self.counts[pair.result] = self.counts.get(pair.result, 0) + 1


def _way(plan: Plan, index: int) -> Plan:
    """A observes in one plan and B in the next; where one of them alone is cancelled, the other does, and where one has
    done all before the other comes, who comes."""
    broken = {step.who for step in plan.steps if cancels(step)}
    last = _comes_last(plan)
    turned = "A" in broken if len(broken) == 1 else last == "B" if last else index % 2 == 1
    return spared(swapped(plan) if turned else plan)


def _comes_last(plan: Plan) -> str | None:
    """The twin that does all it does after the other and a pause, if one does."""
    acting = [at for at, step in enumerate(plan.steps) if step.who in TWINS]
    turns = [who for who, _ in groupby(plan.steps[at].who for at in acting)]
    if len(turns) != len(TWINS):
        return None
    one = max(at for at in acting if plan.steps[at].who == turns[0])
    two = next(at for at in acting if at > one)
    return turns[1] if any(map(waits, plan.steps[one:two])) else None


def _or_thinned(plan: Plan, index: int) -> Plan:
    """One in `THINNED` thinned, where that leaves A anything to do."""
    if index % THINNED < THINNED - 1:
        return plan
    made = thinned(plan, odd=index // THINNED % 2)
    return made if _observes(made) else plan


def _observes(plan: Plan) -> bool:
    """Whether a thinned plan leaves A anything to do. Calls are asked with what the harness finds in each of the runs,
    all of which leave out the same; where it finds something else, what comes after is not judged."""
    return any(step.who == "A" for step in plan.steps)


def _among(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """`others` among `names`, evenly, so that what is cut short has some of each."""
    found = list(names)
    for index, other in enumerate(others):
        found.insert((index + 1) * len(names) // (len(others) + 1) + index, other)
    return found


def _spread(names: Sequence[str], count: int) -> list[str]:
    """`count` of `names`, evenly over all."""
    if count <= 0 or not names:
        return []
    count = min(count, len(names))
    return [names[index * len(names) // count] for index in range(count)]
