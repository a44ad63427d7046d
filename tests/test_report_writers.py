"""What every writer owes: verdict first, the same bytes again, within its size, nothing the bot said as markup."""

from __future__ import annotations

import hashlib
import html.parser
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import junitparser
import msgspec
import pytest
from sarif_pydantic import Sarif

from harness.record import ErrorRecord, OverlayRecord
from harness.trace import Site
from reports import (
    console,
    html_report,
    json_report,
    junit_report,
    markdown_report,
    model,
    sarif_report,
)
from tests.sample_record import make_finding, make_record

Writer = Callable[[dict[str, Any], Path], Path]
WRITERS: list[Writer] = [
    json_report.write,
    html_report.write,
    sarif_report.write,
    junit_report.write,
    markdown_report.write,
]
ROOT = Path(model.__file__).parent.parent

DIGESTS = """
import hashlib, sys, tempfile
from pathlib import Path
from tests.sample_record import make_record
from reports import html_report, json_report, junit_report, markdown_report, model, sarif_report
report = model.from_record(make_record())
for module in (json_report, html_report, sarif_report, junit_report, markdown_report):
    path = module.write(report, Path(tempfile.mkdtemp()))
    print(hashlib.sha256(path.read_bytes()).hexdigest())
"""


class Page(html.parser.HTMLParser):
    """What a browser would see of a page: element names, ids, links, and the first texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "data", "action", "style") and "url(" in (value or "url("):
                self.sources.append(value or "")


def full_record() -> Any:
    """As large as a full run of the whole risk map: long timelines, many cells."""
    record = make_record(348, 60)
    longer = [
        msgspec.structs.replace(f, timeline=f.timeline[:3] + f.timeline[1:3] * 17 + f.timeline[3:], stack=f.stack * 8)
        for f in record.findings
    ]
    items = [msgspec.structs.replace(item, cells=(item.cells * 4)[:8]) for item in record.items]
    return msgspec.structs.replace(record, findings=tuple(longer), items=tuple(items))


def test_the_same_report_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    seen = set()
    for seed in ("0", "1", "77"):
        path = str(ROOT)
        run = subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path, "TZ": f"UTC-{seed[0]}"},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(run.stdout)
    assert len(seen) == 1
    report = model.from_record(make_record())
    here = [hashlib.sha256(write(report, tmp_path).read_bytes()).hexdigest() for write in WRITERS]
    assert here == seen.pop().split()


def test_a_report_read_back_renders_the_same(tmp_path: Path) -> None:
    report = model.from_record(make_record())
    json_report.write(report, tmp_path / "run")
    loaded = model.load(tmp_path / "run")
    for write in WRITERS:
        assert write(report, tmp_path / "a").read_bytes() == write(loaded, tmp_path / "b").read_bytes()


def test_a_report_of_before_a_field_was_added_still_renders(tmp_path: Path) -> None:
    report = model.from_record(make_record())
    for gone in ("requirements", "unclaimed", "soundness"):
        del report[gone]
    del report["run"]["started"]
    for cell in report["matrix"]:
        del cell["accesses_by"], cell["findings_by"]
    report["verdict"]["of_a_later_version"] = 1
    json_report.write(report, tmp_path)
    loaded = model.load(tmp_path)
    assert loaded["verdict"]["of_a_later_version"] == 1
    for write in WRITERS:
        assert write(loaded, tmp_path / "again").stat().st_size > 0


def test_a_full_run_stays_within_its_sizes(tmp_path: Path) -> None:
    report = model.from_record(full_record())
    assert html_report.write(report, tmp_path).stat().st_size <= html_report.LIMIT
    assert markdown_report.write(report, tmp_path).stat().st_size <= markdown_report.LIMIT


def test_markdown_says_what_it_left_out() -> None:
    text = markdown_report.render(model.from_record(full_record()))
    assert "left out to stay below 64 KiB" in text
    assert "left out" not in markdown_report.render(model.from_record(make_record()))


def test_markdown_names_every_finding_and_what_was_not_tried_before_it_leaves_anything_out() -> None:
    report = model.from_record(full_record())
    text = markdown_report.render(report)
    assert all(finding["fingerprint"] in text for finding in report["findings"])
    assert "told in full in report.html" in text
    assert "<summary>Not exercised: " in text
    assert "<summary>How far the harness can be believed" in text


def test_what_closed_without_a_planted_fault_is_named_where_faults_were_planted(tmp_path: Path) -> None:
    record = make_record()
    closed = {item.id for item in record.items if item.verdict == "closed"}
    tried = sorted(closed)[0]
    fault = msgspec.structs.replace(record.soundness.overlays[0], name="fault-tried", items=(tried,))

    def told(*overlays: OverlayRecord) -> tuple[str, str]:
        sound = msgspec.structs.replace(record.soundness, overlays=overlays, faults=len(overlays))
        report = model.from_record(msgspec.structs.replace(record, soundness=sound))
        return markdown_report.render(report), html_report.write(report, tmp_path).read_text("utf-8")

    said = f"{len(closed) - 1} items closed without a planted fault of that kind being tried here: "
    for text in told(fault):
        assert said in text and tried not in text.partition(said)[2].partition("\n")[0]
    assert not any("without a planted fault" in text for text in told())


def test_a_finding_of_no_single_place_names_none() -> None:
    record = make_record()
    nowhere = [msgspec.structs.replace(f, site=Site("", 0, "")) for f in record.findings]
    report = model.from_record(msgspec.structs.replace(record, findings=tuple(nowhere)))
    junit = ET.tostring(junit_report.build(report), encoding="unicode")
    for text in (markdown_report.render(report), console.summary(report), junit):
        assert "at no single place in the code" in text
        assert ":0 " not in text and "where: ," not in text


@pytest.mark.parametrize(
    ("dimensions", "title", "who"),
    [
        (("A", "P"), "Reads another agent's data", "agent B"),
        (("C",), "Reads another chat's data", "chat B"),
        (("A", "TA"), "Reads another tenant's data", "tenant B"),
    ],
)
def test_what_meets_within_one_tenant_is_not_called_tenants(dimensions: Any, title: str, who: str) -> None:
    record = make_record()
    inner = [
        msgspec.structs.replace(f, rule="foreign-read", source="A", observer="B", dimensions=dimensions)
        for f in record.findings
    ]
    findings = model.from_record(msgspec.structs.replace(record, findings=tuple(inner)))["findings"]
    assert {finding["title"] for finding in findings} == {title}
    assert all(finding["meaning"].startswith(f"While working for {who}, ") for finding in findings)


def test_the_verdict_comes_first_everywhere() -> None:
    report = model.from_record(make_record())
    line = report["verdict"]["line"]
    assert line in console.summary(report).splitlines()[0]
    assert line in markdown_report.render(report).splitlines()[0]
    page = html_report.render(report)
    body = page[page.index("<body>") :]
    assert 0 < body.index(line) < body.index("<nav")
    assert line.split(":")[0] not in body[: body.index("<h1>")]


def test_html_is_one_file_that_loads_nothing_and_links_only_to_itself() -> None:
    page = Page(html_report.render(model.from_record(make_record())))
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(page.tags)
    assert page.sources == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)


def test_html_holds_every_item_finding_error_and_overlay() -> None:
    record = make_record()
    text = html_report.render(model.from_record(record))
    page = Page(text)
    for finding in record.findings:
        assert f"f-{finding.fingerprint}" in page.ids
    for item in record.items:
        assert f"item-{item.id}" in page.ids
    for said in (
        *(e.where for e in record.errors),
        *(o.name for o in record.soundness.overlays),
        "31e15223",
        "fc10bf4",
    ):
        assert said in text
    assert text.count('class="lane-B k-violation"') == len(record.findings)


NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(1)>&\x00\x1b[31m| `x` **b** \n# h <!--"


def test_what_a_bot_says_is_never_markup(tmp_path: Path) -> None:
    finding = msgspec.structs.replace(make_finding(0), message=NASTY, key=NASTY, surface=f"person{NASTY}")
    record = make_record(findings=(finding,), errors=(ErrorRecord(kind="crash", message=NASTY),))
    report = model.from_record(record)
    page = Page(html_report.render(report))
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    markdown = markdown_report.render(report)
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert not any(line.startswith("# h") for line in markdown.splitlines())
    ET.parse(junit_report.write(report, tmp_path))
    assert "\x1b" not in console.summary(report)


def test_sarif_is_read_by_a_reader_nobody_here_wrote(tmp_path: Path) -> None:
    report = model.from_record(make_record())
    log = Sarif.model_validate_json(sarif_report.write(report, tmp_path).read_bytes())
    assert len(log.runs[0].results or []) == len(report["findings"])


def test_sarif_gives_one_result_for_one_cause() -> None:
    first = make_finding(0)
    again = msgspec.structs.replace(first, fingerprint="f" * 16, rule="context-mismatch", entry="timer")
    log = sarif_report.build(model.from_record(make_record(findings=(again, first))))
    results = log["runs"][0]["results"]
    assert len(results) == 1
    assert results[0]["ruleId"] == "shared-key"
    assert "context-mismatch" in results[0]["message"]["text"]
    assert results[0]["properties"]["fingerprints"] == sorted([first.fingerprint, again.fingerprint])


def test_one_cause_tells_every_rule_that_shows_it_and_where() -> None:
    both = ("foreign-read", "shared-key")
    shows = tuple(f"{rule}: key bot.cache at bot/cache.py:Cache.get" for rule in both)
    told = msgspec.structs.replace(make_finding(0), rule=both[0], rules=both, shows=shows)
    report = model.from_record(msgspec.structs.replace(make_record(), findings=(told,)))
    assert report["findings"][0]["rules"] == list(both)
    page = html_report.render(report)
    assert "shared-key" in page and "Where this cause shows (2)" in page and shows[1] in page
    assert "one cause, shown at 2 places by `foreign-read`, `shared-key`" in markdown_report.render(report)
    (result,) = sarif_report.build(report)["runs"][0]["results"]
    assert result["ruleId"] == "foreign-read" and "Also: shared-key." in result["message"]["text"]


def test_a_reader_is_told_which_findings_a_fix_confirms() -> None:
    sure = msgspec.structs.replace(make_finding(0), confirmed_by=("fix-cache",))
    fix = OverlayRecord(name="fix-cache", kind="fix", rule="shared-key", items=(), killed=True, right_rule=True)
    record = make_record(findings=(sure, make_finding(1)))
    sound = msgspec.structs.replace(record.soundness, overlays=(fix,))
    report = model.from_record(msgspec.structs.replace(record, soundness=sound))
    said = "1 of 2 findings vanished under a fix of the code (1 fix tried); 1 unconfirmed"
    assert said in html_report.render(report) and said in markdown_report.render(report)
    assert "it vanishes under the fix <code>fix-cache</code>" in html_report.render(report)
    assert "vanishes under `fix-cache`" in markdown_report.render(report)
    untried = model.from_record(make_record(findings=(make_finding(0),)))
    assert "none was tried in this run" in html_report.render(untried)


def test_sarif_fingerprints_survive_a_moved_line() -> None:
    first = make_finding(0)
    moved = msgspec.structs.replace(first, site=msgspec.structs.replace(first.site, line=400))
    marks = [
        sarif_report.build(model.from_record(make_record(findings=(finding,))))["runs"][0]["results"][0]
        for finding in (first, moved)
    ]
    assert marks[0]["partialFingerprints"] == marks[1]["partialFingerprints"]
    assert marks[0]["locations"] != marks[1]["locations"]


def test_sarif_tells_the_schedule_in_order_over_both_lanes() -> None:
    log = sarif_report.build(model.from_record(make_record(leaks=1)))
    flows = log["runs"][0]["results"][0]["codeFlows"][0]["threadFlows"]
    assert [flow["id"] for flow in flows] == ["nobody", "tenant A", "tenant B"]
    steps = sorted((step["executionOrder"], step["kinds"][0]) for flow in flows for step in flow["locations"])
    assert [kind for _, kind in steps] == ["step", "access", "switch", "step", "access", "violation"]


def test_junit_passes_only_what_is_closed(tmp_path: Path) -> None:
    record = make_record()
    suites = junitparser.JUnitXml.fromfile(str(junit_report.write(model.from_record(record), tmp_path)))
    cases = {case.name: case for suite in suites for case in suite if case.classname == "isolation.items"}
    assert set(cases) == {item.id for item in record.items}
    for item in record.items:
        case = cases[item.id]
        assert case.is_passed == (item.verdict == "closed")
        assert case.is_failure == (item.verdict == "open")
    assert suites.errors == 2
    assert suites.failures == 5  # four open items, and the finding that no item claims


def test_console_stays_within_its_width() -> None:
    said = "群聊里的另一个租户看到了这条消息" * 12 + " and " + "x" * 300
    finding = msgspec.structs.replace(make_finding(0), message=said)
    report = model.from_record(make_record(findings=(finding, make_finding(1))))
    for width in (40, 80, 120):
        assert max(map(console._columns, console.summary(report, width=width).splitlines())) <= width


def test_console_has_colours_only_when_asked() -> None:
    report = model.from_record(make_record())
    assert "\x1b[" not in console.summary(report)
    assert console.summary(report, colour=True).startswith("\x1b[1;31mOPEN")


@pytest.mark.parametrize("write", WRITERS)
def test_an_empty_run_is_reported_too(write: Writer, tmp_path: Path) -> None:
    bare = make_record(0, 0, errors=(), matrix=(), unclaimed=(), witnesses={})
    path = write(model.from_record(bare), tmp_path)
    assert path.stat().st_size > 0
    if path.suffix in (".json", ".sarif"):
        json.loads(path.read_bytes())


@pytest.mark.parametrize("writer", [html_report, markdown_report])
def test_how_code_came_to_run_without_its_context_is_told_with_the_place(writer: Any, tmp_path: Path) -> None:
    text = writer.write(model.from_record(make_record()), tmp_path).read_text(encoding="utf-8")
    assert "How it came to run there" in text
    told = next(line for line in text.splitlines() if "task Worker.run is created by B" in line)
    assert ("<b>" in told or "**" in told) and "bot/worker.py:12" in told, "the link where the two part, told apart"
