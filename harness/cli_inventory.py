"""`isolation inventory`: what there is in a bot, what a tour of it reached, and what no risk item claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from harness import catalogue, contract, riskmap, touring
from harness.cli_common import Ticker, examples, target_options
from harness.coverage import Coverage, Reach
from harness.inventory import Inventory
from harness.plan import Plan
from harness.pool import Pool
from harness.record import UnclaimedRecord
from harness.riskmap import RiskItem
from harness.surfaces import Surfaces, unclaimed
from harness.target import Target, Timer, states_of

CLAIMS = 3
"""Items that a line of a place names; the rest are counted."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place that the tour reached, and the items with a pattern that an access there matches."""

    sink: str
    surface: str
    entries: tuple[str, ...]
    accesses: int
    items: tuple[str, ...]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A step that the target lets the harness do."""

    entry: str
    action: str
    about: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--format json`` prints."""

    target: str
    version: str
    inventory: Inventory
    timers: tuple[Timer, ...]
    actions: tuple[Offer, ...]
    places: tuple[Place, ...]
    unclaimed: tuple[UnclaimedRecord, ...]


@click.command(
    short_help="List what there is in a bot.",
    epilog=examples("""
isolation inventory --unclaimed
isolation inventory --format json > inventory.json
"""),
)
@target_options
@click.option("--unclaimed", "bare", is_flag=True, help="Only tenant places that no risk item claims.")
@click.option(
    "--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
def inventory(
    target_name: str, root: Path | None, db_root: Path | None, bare: bool, style: Literal["text", "json"]
) -> None:
    """List what there is in a bot: tables, containers, objects, clients, routes, tasks, handlers, functions; and every
    place that a tour of it reached, with the items that claim it. Ends with what tenants reach and no item claims."""
    spec = catalogue.target_spec(target_name)
    target = catalogue.make_target(spec, root, db_root)
    contract.asked(target, spec, "version")
    show = Ticker()
    show.say(f"booting {target_name} ...")
    with Pool(spec, root=root, db_root=db_root) as pool:
        made = _listing(target, pool, show)
    show.end()
    if bare:
        made = msgspec.structs.replace(made, inventory=Inventory(), timers=(), actions=(), places=())
    if style == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(made), indent=1).decode())
        return
    for line in _lines(made, bare):
        click.echo(line)


def _listing(target: Target, pool: Pool, show: Ticker) -> Listing:
    facts = target.facts()
    items = riskmap.load(target.risk_map()).items
    # One way of differing reaches every place there is; the others only ask who meets there.
    tour = touring.tour([*target.actions(), *pool.ready.calls], states=states_of(target), fronted=facts.fronted)
    plans = [plan for plan in tour if plan.twins.dimension == "T"]
    coverage, surfaces = Coverage(), Surfaces(facts)
    for number, outcome in enumerate(pool.map(plans), 1):
        show.say(f"tour: {number}/{len(plans)}")
        if outcome.trace is not None:
            coverage.add(outcome.trace)
            surfaces.add(outcome.trace)
    return Listing(
        target=facts.name, version=target.version(),
        inventory=pool.survey(plans[0] if plans else Plan(), _modules(items, facts.name)), timers=facts.timers,
        actions=tuple(
            Offer(entry=a.entry, action=a.name, about=a.about) for a in (*target.actions(), *pool.ready.calls)
        ),
        places=tuple(_places(coverage, items, facts.name)), unclaimed=unclaimed(surfaces, items),
    )  # fmt: skip


def _modules(items: Iterable[RiskItem], target: str) -> tuple[str, ...]:
    """Globs over the paths of the modules that the risk map names, by code or by the surface of a container."""
    found = set()
    for item in items:
        for pattern in item.places.get(target, ()):
            if pattern.site != "*":
                found.add(pattern.site.partition(":")[0])
    return tuple(sorted(found - {"*"}))


def _places(coverage: Coverage, items: Iterable[RiskItem], target: str) -> Iterator[Place]:
    places: dict[tuple[str, str], list[tuple[Reach, int]]] = {}
    for reach, count in coverage.counts.items():
        places.setdefault((reach.sink, reach.surface), []).append((reach, count))
    for (sink, surface), reaches in sorted(places.items()):
        yield Place(
            sink=sink, surface=surface, entries=tuple(sorted({reach.entry for reach, _ in reaches})),
            accesses=sum(count for _, count in reaches),
            items=tuple(
                item.id for item in items
                if any(pattern.matches(sink, surface, reach.stack)
                       for pattern in item.places.get(target, ()) for reach, _ in reaches)
            ),
        )  # fmt: skip


def _lines(made: Listing, bare: bool) -> Iterator[str]:
    if not bare:
        yield from _groups(made)
        yield f"places a tour reached ({len(made.places)})"
        for place in made.places:
            more = f" and {len(place.items) - CLAIMS} more" if len(place.items) > CLAIMS else ""
            said = ", ".join(place.items[:CLAIMS]) + more if place.items else "no item"
            entries = ",".join(place.entries)
            yield f"{place.sink:9} {place.surface:56} {entries:24} {place.accesses:6}  {said}"
        yield ""
    yield f"tenant places that no risk item claims ({len(made.unclaimed)})"
    for one in made.unclaimed:
        where = f"{one.site.file}:{one.site.line} {one.site.function}"
        yield f"{one.sink:9} {one.surface:56} {','.join(one.entries):24} {one.accesses:6}  {one.holding}; {where}"


def _groups(made: Listing) -> Iterator[str]:
    found = made.inventory
    groups: dict[str, list[str]] = {
        "tables": [_table(table) for table in found.tables],
        "containers": [f"{c.surface:72} {c.kind:12} {c.elements:6}  {c.watched}" for c in found.containers],
        "caches of functions": list(found.caches),
        "objects and their cells": [f"{o.surface:72} {', '.join(o.cells)}" for o in found.holders],
        "clients of other libraries": [f"{c.surface:72} {c.kind}" for c in found.clients],
        "routes": [f"{','.join(r.methods):12} {r.path:48} {r.endpoint}" for r in found.routes],
        "timers": [f"{t.name:40} every {t.interval:.0f} s" for t in made.timers],
        "tasks under way": [f"{t.code:72} {t.count}" for t in found.tasks],
        "handlers in containers": [f"{h.surface:72} {h.code}" for h in found.handlers],
        "steps the target offers": [f"{a.entry:9} {a.action:24} {a.about}" for a in made.actions],
        "public functions of modules the risk map names": [
            f"{'async ' if f.kind == 'coroutine' else ''}{f.module}.{f.name}{f.parameters}" for f in found.functions
        ],
    }
    for title, lines in groups.items():
        yield f"{title} ({len(lines)})"
        yield from (f"  {line}" for line in lines)
        yield ""


def _table(table: Any) -> str:
    parts = [f"{table.name:28} owners {', '.join(table.owners) or 'NONE'}; key {', '.join(table.primary) or 'none'}"]
    parts += [f"unique {', '.join(key)}" for key in table.unique]
    parts += [f"foreign {link}" for link in table.foreign]
    return "; ".join(parts)
