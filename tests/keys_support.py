"""A recorder with two twins and a scanner of two plain tokens, for the tests of the key probe."""

from __future__ import annotations

import importlib
import itertools
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.principal import Principal, Twins, TwinSpec
from harness.probes.keys import KeyProbe
from harness.recorder import Recorder
from harness.target import Facts
from harness.trace import Access, Mark

_numbers = itertools.count()


class TokenScanner:
    """Finds ``canaryA`` and ``canaryB``."""

    def scan(self, data: str | bytes) -> tuple[Mark, ...]:
        text = data if isinstance(data, str) else data.decode("latin-1")
        return tuple(Mark(label, "message") for label in "AB" if f"canary{label}" in text)

    def scan_number(self, slot: str, value: float) -> tuple[Mark, ...]:
        return ()


def principal(label: str) -> Principal:
    return Principal(
        label=label,
        tenant=f"tenant{label}",
        agent="agent1",
        platform="qq",
        chat="group77",
        user="user5",
        credential=f"credential{label}",
        display={},
        secrets={},
        numbers={},
        pictures={},
    )


class Session(Recorder):
    """A recorder whose ambient context the test sets: ``session.as_("A")``."""

    def __init__(self, root: Path) -> None:
        self.principal: str | None = None
        twins = Twins(spec=TwinSpec(), a=principal("A"), b=principal("B"))
        super().__init__(twins, TokenScanner(), [root], self._identity, lambda: 0.0)

    def _identity(self) -> Mapping[str, str | None] | None:
        return {"tenant": f"tenant{self.principal}"} if self.principal else None

    def as_(self, label: str | None) -> None:
        self.principal = label

    def on(self, surface: str, *ops: str) -> list[Access]:
        """Accesses of a surface, of these operations only if any are named."""
        return [a for a in self.accesses if a.surface == surface and (not ops or a.op in ops)]


@contextmanager
def recording(*, enabled: bool = True, root: Path = Path(__file__).parent) -> Iterator[Session]:
    session = Session(root)
    with session.active() if enabled else nullcontext():
        yield session


class Bot:
    """A package written for one test, imported under a name of its own, with the probe installed and booted."""

    def __init__(self, folder: Path, owner_of_key: Any = None, **modules: str) -> None:
        self.name = f"keysbot{next(_numbers)}"
        self.folder = folder
        package = folder / self.name
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, source in modules.items():
            (package / f"{name}.py").write_text(textwrap.dedent(source).replace("BOT", self.name))
        self.probe = KeyProbe(owner_of_key)
        self.probe.install(Facts(name="fake", generation="g", packages=(self.name,)))
        sys.path.insert(0, str(folder))
        try:
            importlib.invalidate_caches()
            for name in modules:
                importlib.import_module(f"{self.name}.{name}")
        finally:
            sys.path.remove(str(folder))

    def __getitem__(self, name: str) -> Any:
        return sys.modules[f"{self.name}.{name}"]

    def module(self, name: str) -> ModuleType:
        return sys.modules[f"{self.name}.{name}"]

    @contextmanager
    def run(self) -> Iterator[Session]:
        """Boot, then one run."""
        self.probe.booted([self.folder])
        try:
            with recording(root=self.folder) as session:
                self.probe.begin(self.folder)
                yield session
        finally:
            self.close()

    def close(self) -> None:
        self.probe.remove()
        for name in [n for n in sys.modules if n.partition(".")[0] == self.name]:
            del sys.modules[name]
