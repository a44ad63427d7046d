"""What rules, verdicts and sinks mean in plain words, and which control of OWASP ASVS 5.0 a finding breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

VERDICTS: dict[str, tuple[str, str]] = {
    "open": ("Open", "something crossed; a witness shows it"),
    "waived": ("Waived", "open, and accepted by a named owner until a date"),
    "inert": ("Inert", "reached, but its owner cannot read its own data back: the feature does not work"),
    "not_exercised": ("Not exercised", "not tried enough to say anything"),
    "closed": ("Closed", "every cell was reached by both twins, every control held, nothing crossed"),
    "not_applicable": ("Not applicable", "another generation of the bot, or a module this target does not have"),
}
"""Verdict -> (label, meaning), worst first. Reports list verdicts in this order."""

SINKS = {
    "row": "a database row",
    "key": "a value held in memory",
    "file": "a file",
    "config": "a configuration value",
    "prompt": "a prompt sent to a model",
    "outbound": "an outgoing message",
    "event": "an event given to a plugin",
    "log": "a log record",
    "quota": "a counted allowance",
    "context": "the bot's own tenant context",
}

ENTRIES = {
    "api": "API message",
    "timer": "timer",
    "webui": "WebUI",
    "start": "start-up",
    "plugin": "plugin",
    "rest": "REST call",
    "script": "script",
    "world": "outside change",
}

DIMENSIONS = {"T": "tenant", "A": "agent", "C": "chat", "P": "platform"}

ASVS = {
    "8.4.1": "multi-tenant controls keep one tenant's operations from affecting another tenant",
    "8.2.2": "access to a data item is restricted to those with permission for that item",
    "8.3.3": "access follows the permissions of the original subject, not those of a service acting for it",
}
"""OWASP ASVS 5.0, chapter V8 (Authorization), shortened."""


class RuleWords(msgspec.Struct, frozen=True):
    """A rule for a reader: title, what it means for the tenant, ASVS controls. The meaning may name ``{source}``,
    ``{observer}`` and ``{what}``."""

    title: str
    meaning: str
    asvs: tuple[str, ...]


RULES: dict[str, RuleWords] = {
    "foreign-read": RuleWords(
        "Reads another tenant's data",
        "While working for {observer}, the bot read {what} that belongs to {source}. Whatever it does with it next is "
        "done on behalf of the wrong tenant.",
        ("8.4.1", "8.2.2"),
    ),
    "foreign-write": RuleWords(
        "Overwrites another tenant's data",
        "While working for {observer}, the bot changed {what} that belongs to {source}. {source} loses its own data or "
        "goes on working with data that somebody else put there.",
        ("8.4.1", "8.2.2"),
    ),
    "foreign-delete": RuleWords(
        "Deletes another tenant's data",
        "While working for {observer}, the bot deleted {what} that belongs to {source}. {source} loses data through "
        "no act of its own.",
        ("8.4.1", "8.2.2"),
    ),
    "canary-flow": RuleWords(
        "A secret reaches another tenant",
        "A secret of {source} turned up in {what} of {observer}. Whoever can look there sees what {source} said, is "
        "called or has configured.",
        ("8.4.1", "8.2.2"),
    ),
    "shared-key": RuleWords(
        "Two tenants share one record",
        "{source} and {observer} use the same key for {what}. The last to write wins, and both read what the "
        "other left.",
        ("8.4.1",),
    ),
    "context-missing": RuleWords(
        "Tenant data touched with no tenant set",
        "The bot touched {what} while it did not know for which tenant. It cannot refuse a wrong access there, and a "
        "filter by tenant has nothing to filter by.",
        ("8.3.3", "8.4.1"),
    ),
    "context-mismatch": RuleWords(
        "Work for one tenant runs as another",
        "The work was started by {observer}, but the bot believed that it was acting for {source} when it touched "
        "{what}. Checks by tenant pass for the wrong one.",
        ("8.3.3", "8.4.1"),
    ),
    "unscoped-statement": RuleWords(
        "Statement without the tenant's column",
        "A statement on {what} does not name the tenant, so it returns or changes the rows of all tenants.",
        ("8.2.2", "8.4.1"),
    ),
    "unscoped-constraint": RuleWords(
        "Uniqueness across tenants",
        "A unique key of {what} leaves the tenant out: the second tenant that uses the same identifier is refused, or "
        "its data is never stored.",
        ("8.4.1",),
    ),
    "default-fallback": RuleWords(
        "Silent fall back to the default",
        "{observer} has a setting of its own for {what}, but the bot worked with the process default and did not say "
        "so.",
        ("8.4.1",),
    ),
    "forged-identity": RuleWords(
        "An identity in the message wins over the credential",
        "{observer} named {source} inside the message and was treated as {source}.",
        ("8.3.3", "8.2.2", "8.4.1"),
    ),
    "interference": RuleWords(
        "Behaviour depends on another tenant",
        "What {observer} sees changes when only {source} changes. {observer} can learn about {source} from it.",
        ("8.4.1",),
    ),
    "demanded-absence": RuleWords(
        "Something is written that must not exist",
        "The bot wrote {what}, of which the risk map says that it is never written. Data lands where no isolation is "
        "promised.",
        ("8.4.1",),
    ),
    "unclaimed-surface": RuleWords(
        "A place no risk item speaks about",
        "A tenant reaches {what}, and no item of the risk map says whether it may be shared.",
        ("8.4.1",),
    ),
}

SEVERITY = tuple(RULES)
"""Rules, the most telling first: where several fire at one place, the first speaks for it."""


OUTCOMES = {
    "met": ("Met", "every claim was reached by both tenants, its control held, and no rule fired"),
    "broken": ("Broken", "a finding contradicts it"),
    "inert": ("Inert", "the feature it speaks of does not work, so nothing is shown"),
    "not_exercised": ("Not exercised", "some of it was not reached, or cannot be shown in this bot"),
}
"""What can become of a demand of the documents."""


def outcomes(requirements: list[dict[str, Any]]) -> str:
    """``5 met, 2 broken``: how many demands ended how."""
    counts = {name: sum(one["outcome"] == name for one in requirements) for name in OUTCOMES}
    return ", ".join(f"{count} {OUTCOMES[name][0].lower()}" for name, count in counts.items() if count)


def rule(name: str) -> RuleWords:
    """Words for a rule; an unknown rule gets neutral ones."""
    return RULES.get(name) or RuleWords(name, "Something of {source} met {observer} in {what}.", ("8.4.1",))


def who(label: str, kind: str = "tenant") -> str:
    """A twin's label for a reader."""
    return {"A": f"{kind} A", "B": f"{kind} B", "-": "nobody", "?": "a stranger"}.get(label, label)


def kind(dimensions: Iterable[str]) -> str:
    """What met: tenants or, where no plan that showed it had twins of two tenants, agents, chats, platforms of one."""
    letters = {letter for dimension in dimensions for letter in dimension}
    return next((word for letter, word in DIMENSIONS.items() if letter in letters), "tenant")


def apart(dimensions: Iterable[str]) -> str:
    """What twins differed in: ``agent, tenant, tenant and agent``."""
    return ", ".join(" and ".join(DIMENSIONS.get(letter, letter) for letter in one) for one in dimensions)


def title(rule_name: str, met: str = "tenant") -> str:
    """A finding's title; `met` as `kind` gives it."""
    return _of(rule(rule_name).title, rule_name, met)


def meaning(rule_name: str, sink: str, source: str, observer: str, met: str = "tenant") -> str:
    """One or two sentences on what a finding means for the tenant; `met` as `kind` gives it."""
    what = SINKS.get(sink, f"a {sink}")
    text = _of(rule(rule_name).meaning, rule_name, met)
    text = text.format(source=who(source, met), observer=who(observer, met), what=what)
    return text[0].upper() + text[1:]


def _of(text: str, rule_name: str, met: str) -> str:
    # A context that is missing is missing whatever the twins differ in.
    return text if rule_name == "context-missing" else text.replace("tenant", met)


def controls(tried: int | None, false_positives: int | None) -> str:
    """What the controls (odd but right behaviour that must stay silent) showed."""
    if tried is None or false_positives is None:
        return "false positives on controls (odd but right behaviour) were not measured by this run"
    return f"{plural(false_positives, 'false positive')} in {plural(tried, 'control')} (odd but right behaviour)"


def pairs(counts: Mapping[str, int]) -> str:
    """What came of playing plans as pairs: one tenant beside the other, alone, and beside other secrets."""
    held = sum(count for result, count in counts.items() if result not in ("plans", "behind"))
    if not held:
        return "whether one tenant feels the other was not tried (no plan was played as a pair)"
    told = {
        "equal": "{} equal",
        "moved": "{} equal until the other moved something in time",
        "explained": "{} differed by a leak that another rule shows",
        "differs": "{} differed",
        "lost": "{} did not end",
    }
    said = ", ".join(text.format(counts[result]) for result, text in told.items() if counts.get(result))
    played = counts.get("plans", 0) + counts.get("behind", 0)
    closed = f" ({counts['behind']} with known leaks closed)" if counts.get("behind") else ""
    return f"{plural(played, 'plan')} played as pairs{closed}, {plural(held, 'comparison')}: {said}"


def hardness(sound: Mapping[str, Any]) -> str:
    """How hard the planted faults were to find; empty where none was found."""
    if sound.get("median_plans") is None:
        return ""
    told = (
        f"a fault was found within {plural(sound['median_plans'], 'plan')}, by {plural(sound['median_steps'], 'step')} "
        f"with {plural(sound['median_deviations'], 'deviation')} (medians)"
    )
    records = {one["name"]: one for one in sound["overlays"]}
    named = ", ".join(f"{name} ({plural(records[name]['plans'], 'plan')})" for name in sound["hardest"])
    return f"{told}; the hardest: {named}"


def astray(sound: Mapping[str, Any]) -> str:
    """Faults that what belongs to none of their items was found by; empty where there are none."""
    names = sound.get("astray") or ()
    if not names:
        return ""
    return f"{plural(len(names), 'fault')} found by what belongs to none of the items planted for: {', '.join(names)}"


def untested(items: Sequence[Mapping[str, Any]], sound: Mapping[str, Any]) -> str:
    """Items that read closed though no planted fault that stands for them was found in this run; empty where there are
    none, and in a run that planted nothing."""
    found = {name for one in sound["overlays"] if one["right_rule"] for name in one["items"] if one["kind"] == "fault"}
    names = [item["id"] for item in items if item["verdict"] == "closed" and item["id"] not in found]
    if not names or not sound["faults"]:
        return ""
    return (
        f"{plural(len(names), 'item')} closed without a planted fault of that kind being tried here: {', '.join(names)}"
    )


def confirmed(findings: Sequence[Mapping[str, Any]], overlays: Sequence[Mapping[str, Any]]) -> str:
    """How many findings a change of the bot's code closed, so that they are more than a rule's opinion."""
    fixes = sum(overlay["kind"] == "fix" for overlay in overlays)
    if not fixes or not findings:
        return "" if not findings else "no finding was confirmed by a fix: none was tried in this run"
    sure = sum(bool(finding["confirmed_by"]) for finding in findings)
    rest = len(findings) - sure
    tried = plural(fixes, "fix", "fixes")
    told = f"{sure} of {plural(len(findings), 'finding')} vanished under a fix of the code ({tried} tried)"
    return f"{told}; {rest} unconfirmed" if rest else told


NOWHERE = "at no single place in the code"
"""Where something is that the harness saw in what the bot holds or hands out, and not in a piece of its code."""


def spot(site: Mapping[str, Any]) -> str:
    """A place in the bot's code: file, line and function, or that there is none."""
    return f"{site['file']}:{site['line']} {site['function']}" if site["file"] else NOWHERE


def plural(count: int, one: str, many: str = "") -> str:
    """``1 item``, ``2 items``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


ENDED = {"raised": "with an error", "refused": "refused", "unmet": "nothing to call it with", "cancelled": "cut off"}


def ended(outcomes: Mapping[str, int]) -> str:
    """How the tries of something ended, the most frequent first: ``3 with an error, 1 refused``."""
    ranked = sorted(outcomes.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count:,} {ENDED.get(name, name)}" for name, count in ranked)


def unserved(tries: Sequence[Mapping[str, Any]], most: int = 5) -> str:
    """One sentence on the target's own actions that were tried and never once served; empty where all were."""
    names = [f"{tried['entry']}.{tried['name']}" for tried in tries if not tried["call"]]
    if not names:
        return ""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{plural(len(names), 'action')} never once ended well: {', '.join(names[:most])}{more}"


def against(status: str, verdict: str) -> str:
    """What was measured held against what the documents claim: ``worse``, ``better``, ``as said`` or ``unmeasured``."""
    if verdict not in ("open", "waived", "closed"):
        return "unmeasured"
    if status in ("solved", "claimed", "removed"):
        return "as said" if verdict == "closed" else "worse"
    if status in ("open", "partly"):
        return "better" if verdict == "closed" else "as said"
    return "unmeasured"


def recent(timeline: Sequence[dict[str, Any]], surface: str, most: int = 14) -> list[dict[str, Any]]:
    """What a page has room for: the steps, what happened at the violated place, and of the rest what came last."""
    steps = [n for n, event in enumerate(timeline) if event["kind"] == "step"][:most]
    rest = [n for n, event in enumerate(timeline) if event["kind"] != "step"]
    there = [n for n in rest if surface and surface in timeline[n]["text"]][-most // 2 :]
    room = max(most - len(steps) - len(there), 4)
    return [timeline[n] for n in sorted({*steps, *there, *rest[-room:]})]
