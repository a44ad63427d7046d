"""What a run leaves behind: a record of each step, what each twin was answered, and of all that the trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from harness import forgery
from harness.descent import Descents
from harness.loop import IsolationLoop
from harness.offers import Call
from harness.plan import Plan, Step
from harness.principal import BYSTANDER, Principal, Twins
from harness.probes._text import placed
from harness.recorder import Recorder
from harness.scanner import TokenScanner
from harness.target import Action
from harness.trace import Access, Mark, StepRecord, Trace

Place = tuple[str, str]
"""An entry and the name of an action or call there."""


class Logbook:
    """The notes of one run. `crossed` are the steps whose call was lent something of the other twin's, `lent` the
    numbers that calls were lent, by step."""

    def __init__(
        self,
        plan: Plan,
        twins: Twins,
        recorder: Recorder,
        loop: IsolationLoop,
        actions: Mapping[Place, Action],
        calls: Mapping[Place, Call],
    ) -> None:
        self.plan = plan
        self.twins = twins
        self.recorder = recorder
        self.loop = loop
        self.actions = actions
        self.calls = calls
        self.records: dict[int, StepRecord] = {}
        self.crossed: set[int] = set()
        self.lent: dict[int, tuple[str, ...]] = {}

    def note(self, index: int, step: Step, seq: int, started: float, outcome: str, detail: str) -> None:
        """Record that a step has ended now: `seq` is the number of its first access, `started` in virtual seconds."""
        place = (step.entry, step.action)
        self.records[index] = StepRecord(
            index=index, entry=step.entry, action=step.action, who=step.who, first_seq=seq,
            last_seq=len(self.recorder.accesses), started=started, ended=self.loop.time(), outcome=outcome,
            detail=detail, crossed=index in self.crossed, call=place in self.calls,
            wrong=place in self.actions and self.actions[place].is_wrong(step.payload),
            forged=forgery.named(step.payload, self.twins) if step.who else (), lent=self.lent.get(index, ()),
        )  # fmt: skip

    def answered(self, who: Principal, step: Step, value: object, rendered: bool) -> None:
        """Record what a step gave back as shown to its principal; `rendered`: the harness made text of it."""
        if who.label == BYSTANDER:
            return
        text = value if isinstance(value, str) else repr(value)
        self.recorder.observed[who.label].append(text)
        marks = self.recorder.marks(text)
        call = self.calls.get((step.entry, step.action))
        self.recorder.access(
            "outbound", "write", f"{step.entry}.{step.action}", "", new_owner=who.label, marks=marks,
            detail={"text": text[: self.recorder.kept], "returned": True, "rendered": rendered},
            code=call.code if call else None,
        )  # fmt: skip

    def failed(self, who: Principal, step: Step, text: str) -> None:
        """Record what a step's exception says as shown to its principal, where it says what is another's: that is
        mostly what the bot sends back. Any other error is no answer, and proves no way by which answers come."""
        marks = self.recorder.marks(text)
        if who.label == BYSTANDER or all(mark.label == who.label for mark in marks):
            return
        self.recorder.access(
            "outbound", "write", f"{step.entry}.{step.action}", "", new_owner=who.label, marks=marks,
            detail={"text": text[: self.recorder.kept], "raised": True},
        )  # fmt: skip

    def trace(self, begun: Iterable[int], scanner: TokenScanner, descents: Descents, now: float, wall: float) -> Trace:
        """The trace, once the loop is closed. Of `begun` steps those without a record never got their turn; `now` is
        the virtual time, `wall` what the run took, both in seconds."""
        recorder = self.recorder
        for index in set(begun) - self.records.keys():
            self.note(index, self.plan.steps[index], len(recorder.accesses), now, "cancelled", "before it began")
        accesses = list(recorder.accesses)
        if accesses:
            for label, texts in recorder.observed.items():
                marks = tuple(mark for mark in scanner.scan_joined(texts) if mark.label != label)
                if marks:
                    last = [a for a in accesses if a.sink == "outbound" and a.new_owner == label][-1]
                    accesses.append(_split(last, len(accesses), marks))
        return Trace(
            plan=self.plan.digest(),
            twins=self.twins,
            accesses=tuple(accesses),
            stacks=tuple(recorder.stacks),
            steps=tuple(self.records[index] for index in sorted(self.records)),
            # A page may tell where the bot lies: played again it lies elsewhere, and has told the same.
            observed={label: [placed(text) for text in texts] for label, texts in recorder.observed.items()},
            faults=tuple(msgspec.structs.replace(one, message=placed(one.message)) for one in recorder.faults),
            choices=dict(self.loop.choices),
            deviations=tuple(self.loop.deviations),
            met=tuple(self.loop.met),
            origins=tuple(descents.origins),
            descents=descents.at,
            waits=tuple(self.loop.waits),
            virtual_seconds=now,
            wall_seconds=wall,
        )


def _split(access: Access, seq: int, marks: tuple[Mark, ...]) -> Access:
    """The access that tells of a canary which no single message held, but several did together."""
    return msgspec.structs.replace(access, seq=seq, marks=marks, detail={"split": True})
