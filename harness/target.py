"""What the harness asks of a bot. Everything particular to one bot stands behind this boundary.

The order of calls in a run: `prepare` (once, before anything of the bot is imported) and `boot` (once, in the
zygote), then in the fork of each plan `enter`, `furnish` (where offered), the overlays, `start`, `deliver` for each
step, `leave`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from harness.errors import UsageError
from harness.plan import EMPTY
from harness.principal import Principal, Twins, TwinSpec


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something the target lets the harness do: one kind of step.

        `payload` maps each payload field to what may stand there: a list of choices, or one of the words ``text``
    (a template that names secrets), ``int``, ``flag``. `principal` is false for steps nobody acts (a bare tick).
    `wrong` maps payload fields to the choices that carry a wrong identity or none: a call the bot must refuse. A choice
    whose texts hold ``{other.tenant}`` (or another field of `harness.principal.PUBLIC`) names the other twin: the bot
    must go on acting for whoever sent it. `weight` is how often, relative to the others, a generated plan takes this
    action (0: the tour alone does). `call` is true for one that the harness found in the booted bot and carries out
    itself (`harness.offers`), `takes` for one of these that takes things away.
    """

    entry: str
    name: str
    payload: dict[str, Any] = {}
    principal: bool = True
    weight: int = 1
    about: str = ""
    wrong: dict[str, Any] = {}
    call: bool = False
    takes: bool = False

    def is_wrong(self, payload: Mapping[str, Any]) -> bool:
        """Whether a step with this payload carries a wrong identity."""
        return any(payload.get(name) in values for name, values in self.wrong.items())


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """Sharing on purpose: `surface` (glob) of `sink` may be met by both tenants, for `reason`. The glob is held against
    the surface as traces have it: for files the pattern with ids replaced (``data/config/*.json``), not a path.

    `site`, a glob over ``path:function``, says where only one piece of code may share: it must stand in the access's
    stack. `within` are the dimensions for which alone it holds, by their letters: what the chats (C) or platforms (P)
    of one agent share is not shared by tenants. Both empty: whatever code, and all dimensions.
    """

    sink: str
    surface: str
    reason: str
    site: str = ""
    within: str = ""


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """Code that runs on `entry` before a credential is known and may touch `surfaces` (globs) without context. What of
    another's it meets there is judged as anywhere.

    `site` is a glob over ``path:function`` that must stand in the access's stack. As narrow as it is.
    """

    entry: str
    site: str
    surfaces: tuple[str, ...]
    reason: str


class Hidden(msgspec.Struct, frozen=True, kw_only=True):
    """Something the target replaces, and what the harness therefore cannot see.

    `module` is a glob over the bot's paths whose cells count as not exercised (empty: none do).
    """

    what: str
    hides: str
    module: str = ""


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A timer of the bot: its name and how often it ticks (seconds)."""

    name: str
    interval: float


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the target declares, as plain data: all that rules and reports may know of a bot.

    `owner_columns` maps column names that carry an owner to the principal's field (``tenant_id`` -> ``tenant``).
    `place_columns` maps column names that say where something was said to ``chat`` or ``platform``.
    `scoping` is the set of fields a tenant-scoped row must be told apart by, in the bot's own design.
    `speaks` names, for ``chat`` and ``platform``, the entries on which a principal acts as that chat or platform and
    not as the agent whose chats they all are.
    `caches` are containers whose entries anybody's flow may put out to make room, since nothing is lost that its owner
    could not get again; whoever reads or writes another's entry there is judged as anywhere.
    `refuses` is true of a bot that claims to refuse a call without context; what claims nothing is not held to it.
    `packages` are the top-level module names that belong to the bot. `plumbing` are globs over
    ``path:function`` of frames that every access passes (an ORM's base class, a config proxy): a finding is named by
    the first frame above them. `hostile` are the families of ids (`harness.hostile`) that the bot must keep apart.
    `third` says whether the target writes a third tenant into its bot where twins have one (`Twins.everyone`).
    `answers` are globs over ``module:function`` of the stand-ins that wait as long as an answer from outside would
    take: exploring lets such an answer come late or at once. `pauses` are waits, in seconds, longer than the usual
    ones of a plan, that this bot can be played through in good time: one plan of the tour takes each.
    `switches` says whether the target writes its bot's settings as `Principal.setting` and `Principal.marked` give
    them, so that twins may differ in them. `fronted` maps a state (`Furnished.states`) to the entry whose requests are
    made under their sender's context in plans that begin there, as behind a front that knows who asks: a bot that
    refuses whoever comes without context is looked at behind that door as well.
    """

    name: str
    generation: str
    packages: tuple[str, ...]
    owner_columns: dict[str, str] = {}
    place_columns: dict[str, str] = {}
    scoping: tuple[str, ...] = ("tenant",)
    speaks: dict[str, tuple[str, ...]] = {}
    refuses: bool = False
    shared: tuple[Shared, ...] = ()
    caches: tuple[Shared, ...] = ()
    regions: tuple[Region, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    timers: tuple[Timer, ...] = ()
    threads: tuple[str, ...] = ()
    plumbing: tuple[str, ...] = ()
    hostile: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    third: bool = False
    pauses: tuple[float, ...] = ()
    switches: bool = False
    fronted: dict[str, str] = {}


class Patcher:
    """Applies attribute patches and can take them back (overlays, replaced parts). `adopt` is told of each: the new
    value and the former one."""

    def __init__(self, adopt: Callable[[Any, Any], None] = lambda value, former: None) -> None:
        self._adopt = adopt
        self._undo: list[tuple[Any, str, Any, bool]] = []
        self.bound: list[tuple[Any, str, Any]] = []
        """What was set: the object, the attribute, the value. In order; empty once it was undone."""

    def set(self, holder: Any, name: str, value: Any) -> Any:
        """Set `holder.name` to `value`; returns the former value. Raises AttributeError when there is none."""
        missing = object()
        own = vars(holder).get(name, missing) if hasattr(holder, "__dict__") else missing
        former = getattr(holder, name)
        self._adopt(value, former)
        self._undo.append((holder, name, own, own is missing))
        self.bound.append((holder, name, value))
        setattr(holder, name, value)
        return former

    def undo(self) -> None:
        """Take back every patch, last first."""
        self.bound.clear()
        while self._undo:
            holder, name, own, absent = self._undo.pop()
            if absent:
                delattr(holder, name)
            else:
                setattr(holder, name, own)


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """A named patch applied at boot of a plan.

    A ``fault`` opens a leak on correct code: a finding of `rule` whose surface matches `surface` must appear. A
    ``control`` is correct but odd behaviour of correct code: under it no rule may fire, `rule` least of all, while
    both twins touch `surface`. A ``fix`` closes a leak on leaking code: every finding of `rule` on `surface`, and of
    each further (rule, surface) in `also`, must vanish, and nothing else change. All are globs. `items` are the
    risk-map ids it stands for. `site`, a glob over ``path:function`` that must stand in the finding's stack, keeps two
    leaks of one surface apart, and so does `dimension`, a glob over what the twins differ in. `includes` names fixes
    whose patch is part of this one.

    A fault with `overlap` shows only where flows overlap in a certain order: it is tried on explored schedules,
    of plans in which both twins touch a surface that this glob matches.
    """

    name: str
    kind: Literal["fault", "fix", "control"]
    about: str
    rule: str
    surface: str = "*"
    items: tuple[str, ...] = ()
    also: tuple[tuple[str, str], ...] = ()
    site: str = "*"
    dimension: str = "*"
    includes: tuple[str, ...] = ()
    overlap: str = ""
    apply: Callable[[Patcher], None]

    def speaks_of(self, rule: str, surface: str, frames: Sequence[str] = ("",), dimension: str | None = None) -> bool:
        """Whether a finding of `rule` on `surface`, met under `frames` (``path:function``) by twins of `dimension`
        (None: whichever), is this overlay's."""
        return (
            (dimension is None or fnmatch.fnmatchcase(dimension, self.dimension))
            and any(fnmatch.fnmatchcase(frame, self.site) for frame in frames)
            and any(
                fnmatch.fnmatchcase(rule, mine) and fnmatch.fnmatchcase(surface, place)
                for mine, place in ((self.rule, self.surface), *self.also)
            )
        )


class Watch(Protocol):
    """How a target tells the harness of what no generic probe can see. Given to `enter`; usable until `leave`."""

    def config(
        self,
        surface: str,
        key: str,
        value: Any,
        *,
        level: str,
        overridden: bool,
        announced: bool = False,
        slot: str = "",
    ) -> None:
        """A config read: the section and key, the value, the level that answered (``agent``, ``tenant``,
        ``default``), whether the reading tenant has an override planted there, whether the fallback was said. `slot`
        names the planted number to compare a numeric value with (`Principal.numbers`; default: ``surface.key``)."""

    def prompt(self, model: str, text: str, *, identity: Mapping[str, str | None] | None = None) -> None:
        """Text about to leave for a model. `identity`: whom the call itself names, where it names anyone."""

    def outbound(self, channel: str, text: str, *, recipient: Mapping[str, str | None] | None) -> None:
        """A message about to leave for `recipient` (identity by field name; None when it names nobody)."""

    def event(self, name: str, text: str) -> None:
        """Something handed to a plugin or event handler."""

    def refused(self, sink: str, surface: str, reason: str) -> None:
        """The bot itself would not touch a place (a table, a config section) for want of the right context. No probe
        sees that, since nothing happens; but it is what tells a place that refuses from one that nobody tries."""

    def overlaid(self) -> Sequence[tuple[Any, str, Any]]:
        """What overlays have set in this plan: object, attribute, value. A target that puts the bot's memory back when
        it restarts sets it again, since a restart changes no code."""


class Target(Protocol):
    """A bot the harness can drive. See the module docstring for the order of calls."""

    name: str

    def facts(self) -> Facts:
        """Declarations, as plain data. Callable before `prepare`."""

    def actions(self) -> Sequence[Action]:
        """The steps it offers, over all entries. Callable before `prepare`."""

    def version(self) -> str:
        """The bot's commit or release, as recorded in the report. Raises TargetError when the checkout is missing."""

    def risk_map(self) -> Path:
        """The risk map that speaks about this bot."""

    def overlays(self) -> Sequence[Overlay]:
        """Its fault and fix overlays. Names are unique. Callable before `prepare`; `apply` only after `boot`."""

    def twins(self, spec: TwinSpec) -> Twins:
        """Twins in the shapes this bot accepts. Equal specs give equal twins."""

    def prepare(self, folder: Path) -> None:
        """Lay out a working folder (config, database schema or template). Nothing of the bot is imported yet.
        Raises TargetError that says what is missing and what to do."""

    def boot(self, folder: Path) -> None:
        """Import the bot with `folder` as its root, replace what must be replaced. Single-threaded, databases
        closed on return."""

    def roots(self) -> tuple[Path, ...]:
        """Folders whose code is the bot's (after `boot`): frames under them are sites."""

    def enter(self, folder: Path, twins: Twins, watch: Watch) -> None:
        """In the fork of a plan: `folder` is now the private copy. Rebind every root, open the database, write the
        twins' tenants, credentials and configuration."""

    async def start(self) -> None:
        """Boot sequence inside the loop, as the bot's main does it; fires its start-up events."""

    async def restart(self) -> None:
        """Stop what `start` started and start again on the state that rests on disk."""

    async def deliver(self, entry: str, action: str, who: Principal | None, payload: Mapping[str, Any]) -> Any:
        """Carry out one step. Texts in `payload` are already rendered. The returned value is what the principal
        sees; an exception is recorded as the step's outcome."""

    async def configure(self, who: Principal, change: Mapping[str, Any]) -> None:
        """Change a tenant's configuration from outside, as its owner would."""

    def ambient(self) -> Mapping[str, str | None] | None:
        """The bot's own context at this moment: identity by field name, None or empty values when absent."""

    def owner_of_path(self, path: str) -> Mapping[str, str | None] | None:
        """Whom a path (relative to the private folder) names, or None."""

    def owner_of_key(self, surface: str, key: str) -> Mapping[str, str | None] | None:
        """Whom a container's key names, or None."""

    def plants(self) -> Mapping[str, Callable[[Principal], Awaitable[None]]]:
        """One planted access for each sink only the target can see (``config``, ``prompt``, ``outbound``): called
        under that principal's step, it must make the bot do one such access."""

    async def leave(self) -> None:
        """End of a plan: cancel what runs, close the database."""


class Exposed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a booted bot a tenant may call beside the target's own actions, to be found by the harness itself.

    `functions` maps an entry to globs over imported modules, whose public functions are meant, or ``module:attribute``
    for an object, whose public methods are. `apps` maps an entry to an ASGI application with a `routes` list.
    `avoid` are globs over ``module.function`` and ``METHOD path`` of what ends or replaces the process itself.
    """

    functions: dict[str, tuple[str, ...]] = {}
    apps: dict[str, Any] = {}
    avoid: tuple[str, ...] = ()


@runtime_checkable
class Exposing(Protocol):
    """What a target has besides when it lets the harness call functions and routes that it finds by itself."""

    def exposes(self) -> Exposed:
        """What may be called. Asked once, after `boot`."""

    def acting(self, who: Principal | None) -> AbstractContextManager[Any]:
        """The bot's own context of that principal (None: no context at all), as it is when a plugin's code runs."""

    async def request(
        self, entry: str, who: Principal, method: str, path: str, query: Mapping[str, Any], body: Any
    ) -> tuple[int, str]:
        """One request to an application of `exposes`, with what a page of that principal sends. Status and body."""


@runtime_checkable
class Settling(Protocol):
    """A target that works something out once for all plans, after the bot has booted and the probes stand."""

    def settle(self) -> None:
        """Called once, in the process that plays the plans or that they are forked from. Leaves the bot as it is."""


@runtime_checkable
class Furnished(Protocol):
    """What a target offers besides when its bot may find something of both twins from earlier days at its start."""

    def states(self) -> Sequence[str]:
        """Names of the states a plan may begin with, beside ``empty`` (``filled``: some of everything; ``full``: all
        limits reached; ``legacy``: what an older release left behind). Callable before `prepare`."""

    def furnish(self, state: str) -> None:
        """Write that state, between `enter` and `start`: what the bot's own code would have left for each twin, with
        the owner and canaries of each. Not recorded, as it is no access of the bot's."""


CROWD = "crowd:"
"""Before the number of further tenants, the state of a bot that serves them beside the twins. No plan is drawn with
it: it is there to tell what each tenant costs."""


@runtime_checkable
class Crowded(Protocol):
    """What a target offers besides when its bot may serve more tenants than the twins."""

    def crowd(self, count: int) -> None:
        """Write `count` further tenants as a state is written (see `Furnished.furnish`): such as the bot will serve
        from its start on, equal in kind and size, with nobody's canaries."""


@runtime_checkable
class Budgeted(Protocol):
    """A target that says what playing it may cost."""

    def budget(self) -> Mapping[str, float]:
        """Figures of `isolation bench` by name, and the value each must reach or stay below (`harness.asked`)."""


def states_of(target: Target) -> tuple[str, ...]:
    """The states that plans for this target may begin with, ``empty`` first."""
    return (EMPTY, *(target.states() if isinstance(target, Furnished) else ()))


def furnish(target: Target, state: str) -> None:
    """Let `target` write `state`. Raises UsageError on one that it does not offer."""
    if state == EMPTY:
        return
    further = state.removeprefix(CROWD)
    if further != state and further.isdecimal() and isinstance(target, Crowded):
        target.crowd(int(further))
        return
    if not isinstance(target, Furnished) or state not in target.states():
        raise UsageError(
            f"target {target.name} cannot start from the state {state!r}; it offers: {', '.join(states_of(target))}"
        )
    target.furnish(state)
