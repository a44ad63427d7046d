"""Trials of the harness itself: planted faults must be found by the right rule, fixes must close their leak only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Protocol

import msgspec

from harness import pairs
from harness.finding import Finding
from harness.following import Following
from harness.nearness import Nearness
from harness.ordering import Doing, nearest
from harness.overlap import WITHIN, hunt, speaks_of
from harness.pairing import Pairing
from harness.plan import Plan
from harness.pool import Pool
from harness.record import OverlayRecord
from harness.riskmap import RiskMap
from harness.rules._scope import coarsest
from harness.rules.interference import RULE
from harness.shrink import shrink
from harness.strategies import DIMENSIONS, TEXTS, TWIN_SEEDS
from harness.target import Facts, Overlay, Target, states_of
from harness.trace import Trace
from harness.witness import Witnessed

BOUND = 300
"""Explored plans that a fault of order gets in a campaign, where it is one trial of many."""

PORTION = 24
"""Plans of the tour a fault is tried on before what plain code shows elsewhere is looked into."""

PATIENCE = 24
"""Plans that are tried beyond the first that shows a fault, where what it shows belongs to none of its items."""

DOUBTS = 4
"""Findings of a portion that are looked for without the fault, where plain code is known to show them on some plan."""

BESIDE = 8
"""Findings that are not a fix's own and are played under it to see that they stay."""


class OutOfTime(Exception):
    """The time for trials was up before this one was decided either way."""


class Ground(Protocol):
    """What a trial needs of the campaign it belongs to: what plain code showed, and how to play and judge."""

    pool: Pool
    facts: Facts
    target: Target
    riskmap: RiskMap
    pairing: Pairing
    seed: int

    @property
    def found(self) -> Mapping[str, Witnessed]:
        """Findings without any overlay, by fingerprint."""

    @property
    def touched(self) -> Nearness:
        """What plans touched without any overlay."""

    @property
    def did(self) -> Mapping[str, frozenset[Doing]]:
        """What a plan (by digest) did without any overlay."""

    def judge(self, trace: Trace) -> list[Finding]:
        """Findings of one trace."""

    def items_of(self, finding: Finding) -> tuple[str, ...]:
        """Ids of the risk items that the finding belongs to."""

    def late(self) -> bool:
        """Whether the time for trials is up."""

    def shows(self, fingerprint: str, plans: Sequence[Plan], rule: str) -> list[bool]:
        """Of each plan, whether it shows the finding, by that rule."""


def try_fault(ground: Ground, overlay: Overlay, tour: Sequence[Plan], small: bool) -> OverlayRecord:
    """Whether the fault is found on some plan of the tour, or else on one of `later`, by the rule it names, which plain
    code does not show. With `small` the witness is shrunk. A fault of order is hunted for on explored plans instead.
    Raises OutOfTime when it is late before anything was found."""
    if overlay.overlap:
        return _hunted(ground, overlay, small)
    paired = overlay.rule == RULE
    # A pair costs as much as two plans: the tour is taken in its own order, what matters most first, but for the few
    # plans that have much done by both and are alone in showing what is kept of a switch.
    ordered = sorted(tour, key=lambda plan: plan.twins.settings != "switched")
    chosen = (
        chain(ground.pairing.both_ways(ordered), _observed(ground))
        if paired
        else chain(candidates(ground, overlay, tour), later(ground))
    )
    tally = _Tally(ground, overlay)
    while plans := [reseeded(plan, ground.seed, overlay) for plan in islice(chosen, PORTION)]:
        if tally.count and ground.late():
            if tally.hits:
                break
            raise OutOfTime
        leaky = _tried(ground, overlay, plans, tally)
        # Plain code that leaks there in some other way need not do so on this plan.
        if not tally.hits:
            tally.hits += [one for one in leaky[:DOUBTS] if not _without(ground, *one)]
        if tally.done():
            break
    if tally.hits and not tally.right:
        between = _Tally(ground, overlay)
        _tried(ground, overlay, list(_between_others(ground, overlay, tally)), between)
        tally.add(between)
    if not tally.hits:
        told = sorted(tally.others)[:4]
        detail = f"instead: {'; '.join(told)}" if told else "nothing was found"
        return _overlay_record(overlay, bool(told), False, detail, plans=tally.count)
    plan, finding, rule = next((hit for hit in tally.hits if tally.mine(hit)), tally.hits[0])
    count = next((at for at, one in enumerate(tally.plans, 1) if one == plan), tally.count)
    if small:
        plan, _ = shrink(plan, lambda tried: ground.shows(finding.fingerprint, tried, rule))
    return _killed(ground, overlay, finding, plan, count)


Hit = tuple[Plan, Finding, str]
"""A plan, what it showed of the overlay, and the rule that says so."""


class _Tally:
    """What plans under one overlay showed: what speaks of it (`hits`), and what else is new."""

    def __init__(self, ground: Ground, overlay: Overlay) -> None:
        self.ground = ground
        self.items = frozenset(overlay.items if overlay.rule != RULE else ())
        self.plans: list[Plan] = []
        self.hits: list[Hit] = []
        self.others: set[str] = set()

    @property
    def count(self) -> int:
        return len(self.plans)

    def mine(self, hit: Hit) -> bool:
        """Whether what was found belongs to an item that the fault stands for."""
        return not self.items or not self.items.isdisjoint(self.ground.items_of(hit[1]))

    @property
    def right(self) -> bool:
        """Whether there is what speaks of the fault and belongs to its items."""
        return any(map(self.mine, self.hits))

    def add(self, more: _Tally) -> None:
        """Count what was tried besides."""
        self.plans += more.plans
        self.hits += more.hits

    def done(self) -> bool:
        """Whether that is so; a while after the first that does not belong to them, it will do."""
        return self.right or (bool(self.hits) and self.count - self.plans.index(self.hits[0][0]) > PATIENCE)


def _tried(ground: Ground, overlay: Overlay, plans: Sequence[Plan], tally: _Tally) -> list[Hit]:
    """Play `plans` until the tally is done. Returns what speaks of the overlay, but plain code is known to show on some
    plan."""
    leaky: list[Hit] = []
    for plan, findings in _each(ground, plans, overlay.rule, stop=tally.done):
        if tally.done():
            continue  # was under way
        tally.plans.append(plan)
        for finding in findings:
            known = ground.found.get(finding.fingerprint)
            fresh = [rule for rule in finding.rules if known is None or rule not in known.finding.rules]
            right = [rule for rule in finding.rules if speaks_of(overlay, finding, (rule,))]
            if set(right) & set(fresh):
                tally.hits.append((plan, finding, next(rule for rule in right if rule in fresh)))
            elif right:
                leaky.append((plan, finding, right[0]))
            elif fresh:
                tally.others.add(f"{fresh[0]} on {finding.surface}")
    return leaky


def _between_others(ground: Ground, overlay: Overlay, tally: _Tally) -> Iterator[Plan]:
    """Plans that showed the fault, between twins that differ as the cells of its items have it, where those did not."""
    cells = [cell for item in ground.riskmap.items if item.id in overlay.items for cell in item.cells]
    wanted = dict.fromkeys(cell.dimension for cell in cells)
    shown = {plan.digest(): plan for plan, _, _ in tally.hits if not plan.twins.hostile}
    for plan in list(shown.values())[:DOUBTS]:
        for dimension in wanted if coarsest(plan.twins.dimension) not in wanted else ():
            yield msgspec.structs.replace(plan, twins=msgspec.structs.replace(plan.twins, dimension=dimension))


def _without(ground: Ground, plan: Plan, finding: Finding, rule: str) -> bool:
    """Whether the plan shows the finding without the fault as well."""
    return ground.shows(finding.fingerprint, [msgspec.structs.replace(plan, overlays=())], rule)[0]


def _hunted(ground: Ground, overlay: Overlay, small: bool) -> OverlayRecord:
    within = WITHIN if small else BOUND
    ended = hunt(
        ground, overlay, ground.target.actions(), ground.seed, within=within, small=small, late=ground.late
    )  # fmt: skip
    if ended.finding is not None and ended.plan is not None:
        return _killed(ground, overlay, ended.finding, ended.plan, ended.plans)
    if ended.plans < within:
        raise OutOfTime
    detail = f"instead: {'; '.join(ended.instead[:4])}" if ended.instead else "nothing was found"
    detail += f" in {ended.plans} explored plans"
    return _overlay_record(overlay, bool(ended.instead), False, detail, plans=ended.plans)


def _each(
    ground: Ground, plans: Sequence[Plan], rule: str, stop: Callable[[], bool]
) -> Iterator[tuple[Plan, list[Finding]]]:
    """Plans with what they show, as `rule` needs them played: pairs first in one variant, then in the other."""
    for variant in pairs.VARIANTS if rule == RULE else pairs.VARIANTS[:1]:
        played = pairs.judged(ground.pool, plans, ground.facts, ground.judge, rule=rule, variants=(variant,), stop=stop)
        yield from ((plan, findings) for plan, (_, findings) in zip(plans, played, strict=False))


def candidates(ground: Ground, overlay: Overlay, tour: Sequence[Plan]) -> Iterator[Plan]:
    """Plans to try the overlay on, most promising first: those that touched its place or a place of its rows, then the
    others; within each, unlike ones first."""
    for some in ground.touched.split(overlay, ground.riskmap, ground.facts.name, tour):
        yield from nearest(overlay, some, ground.did)


def later(ground: Ground) -> Iterator[Plan]:
    """Plans in which one twin does everything before the other comes, for what no plan of the tour shows."""
    target = ground.target
    following = Following(target.actions(), ground.seed, DIMENSIONS, states_of(target), TWIN_SEEDS)
    yield from (following.draw(TEXTS) for _ in range(len(following)))


def _observed(ground: Ground) -> Iterator[Plan]:
    """The same as pairs, in which whoever comes last observes. When its steps start is known once a plan was played."""
    for plan in later(ground):
        [outcome] = ground.pool.map([plan])
        if outcome.trace is not None:
            kept = Pairing(ground.facts.scoping)
            kept.add(plan, outcome.trace, clean=True)
            yield from kept.chosen(1)


def reseeded(plan: Plan, seed: int, overlay: Overlay) -> Plan:
    """`plan` under the overlay, with other twins and other draws for every seed; as it is for seed 0."""
    twins = plan.twins
    if seed:
        twins = msgspec.structs.replace(twins, seed=(twins.seed + seed) % TWIN_SEEDS)
    return msgspec.structs.replace(plan, seed=plan.seed + seed, twins=twins, overlays=(overlay.name,))


HINT = "then write the narrow fix for it, and name that in `includes` here"
"""What to do about a fix that closes more than it speaks of."""


def try_fix(ground: Ground, overlay: Overlay) -> OverlayRecord:
    """Whether the fix makes its findings vanish from their witnesses, and leaves others as they are: all, or where
    there are many, `BESIDE` of them spread over the findings.

    Its findings are those that it aims at (`_aims_at`). Where fixes have a part of their patch in common, each may
    close what the others speak of.
    """
    akin = [other for other in ground.target.overlays() if other.kind == "fix" and _akin(other, overlay)]
    mine: list[tuple[str, Witnessed]] = []
    rest: list[tuple[str, Witnessed]] = []
    for fingerprint, witnessed in ground.found.items():
        if overlay.name in witnessed.plan.overlays:
            continue  # seen behind the fix, which neither closes nor spares it
        if _aims_at(overlay, witnessed.finding):
            mine.append((fingerprint, witnessed))
        elif not any(speaks_of(other, witnessed.finding) for other in akin):
            rest.append((fingerprint, witnessed))
    if not mine:
        return _overlay_record(overlay, False, False, "there is no finding for it to close")
    rest = rest[:: max(1, -(-len(rest) // BESIDE))]
    still = _still(
        ground, overlay, [(f, plan) for f, w in mine for plan in _witnesses(w)] + [(f, w.plan) for f, w in rest]
    )
    # What only a pair shows must be played as one.
    still |= {f for f, w in mine + rest if w.finding.rule == RULE and any(ground.shows(f, [_under(w, overlay)], RULE))}
    # A witness may ask in a way that the fix refuses; the finding is there as long as another plan shows it.
    still |= _still(ground, overlay, [(f, plan) for f, w in rest if f not in still for plan in _witnesses(w)[1:]])
    left = [f for f, _ in mine if f in still]
    gone = [f for f, _ in rest if f not in still]
    detail = f"closes {len(mine) - len(left)} of {len(mine)}"
    if left:
        detail += f"; still there: {', '.join(left)}"
    if gone:
        detail += f"; closes besides: {', '.join(gone)} (is that another leak? {HINT})"
    # What vanishes besides may be the fix's damage, and confirms nothing.
    closes = tuple(f for f, _ in mine if f not in still)
    return msgspec.structs.replace(_overlay_record(overlay, not left, not gone, detail), closes=closes)


def _still(ground: Ground, overlay: Overlay, tried: Sequence[tuple[str, Plan]]) -> set[str]:
    """The fingerprints that plans show under the overlay, of those they are tried for."""
    plans = [msgspec.structs.replace(plan, overlays=(overlay.name,)) for _, plan in tried]
    return {
        fingerprint
        for (fingerprint, _), outcome in zip(tried, ground.pool.map(plans), strict=True)
        if outcome.trace is None or any(f.fingerprint == fingerprint for f in ground.judge(outcome.trace))
    }


def _aims_at(overlay: Overlay, finding: Finding) -> bool:
    """Whether the fix is to close the finding: it speaks of it by the finding's own rule, and where that is a flow that
    shows on several sinks, on each of them. Of any other that it speaks of it closes a part, and what is left may stay.
    """
    shown = [place for place in finding.places if place.rule == finding.rule]
    meant = {
        place.sink
        for place in shown
        if overlay.speaks_of(place.rule, place.surface, (place.site, *place.stack), place.dimension)
    }
    return bool(meant) and (finding.spans != "sinks" or meant == {place.sink for place in shown})


def _akin(one: Overlay, other: Overlay) -> bool:
    """Whether two fixes have a part of their patch in common."""
    return one.apply is other.apply or not {one.name, *one.includes}.isdisjoint((other.name, *other.includes))


def _under(witnessed: Witnessed, overlay: Overlay) -> Plan:
    return msgspec.structs.replace(witnessed.plan, overlays=(overlay.name,))


def _witnesses(witnessed: Witnessed) -> list[Plan]:
    """The witness, and the plans of all rules and dimensions that show the finding: a fix must close all of it."""
    finding = witnessed.finding
    others = [plan for shown, plan in sorted(witnessed.besides.items()) if shown != (finding.rule, finding.dimension)]
    return list({plan.digest(): plan for plan in (witnessed.plan, *others)}.values())


def _killed(ground: Ground, overlay: Overlay, finding: Finding, plan: Plan, plans: int) -> OverlayRecord:
    made = _overlay_record(overlay, True, True, finding.message, plans=plans)
    return msgspec.structs.replace(
        made, witness=plan.to_json().decode(), steps=len(plan.steps), deviations=len(plan.tape),
        opens=ground.items_of(finding), fingerprint=finding.fingerprint,
    )  # fmt: skip


def _overlay_record(overlay: Overlay, killed: bool, right: bool, detail: str, *, plans: int = 0) -> OverlayRecord:
    return OverlayRecord(
        name=overlay.name, kind=overlay.kind, rule=overlay.rule, items=overlay.items, killed=killed, right_rule=right,
        detail=detail, plans=plans,
    )  # fmt: skip
