"""The HTML report in Chromium: filters, links, keyboard, paper, light and dark, wide and narrow; nothing is loaded.

Wants a Chromium (`chromium` in Debian, or CHROMIUM=/path); where there is none these tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from reports import html_report, model
from tests.sample_record import VERDICTS, fingerprint, make_record

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[test]'")

ITEMS = 24
PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def chromium() -> str:
    """Where Chromium is; empty when there is none."""
    return os.environ.get("CHROMIUM", "") or next((found for name in PLACES if (found := shutil.which(name))), "")


pytestmark = pytest.mark.skipif(not chromium(), reason="no Chromium: install the package chromium, or set CHROMIUM")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as player:
        # Without the sandbox, which root in a container cannot have. The page is our own.
        started = player.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    report = model.from_record(make_record(ITEMS, 4))
    return html_report.write(report, tmp_path_factory.mktemp("report")).as_uri()


@pytest.fixture
def page(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The report, opened. Whatever it asks for beside itself, or complains of, fails the test."""
    wanted = getattr(request, "param", {})
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **wanted})
    tab = context.new_page()
    trouble: list[str] = []
    tab.on("request", lambda asked: trouble.append(asked.url) if asked.url.split("#")[0] != address else None)
    tab.on("console", lambda said: trouble.append(said.text) if said.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.goto(address)
    yield tab
    context.close()
    assert trouble == []


def shown(page: Any) -> list[str]:
    """Ids of the items a filter leaves."""
    ids: list[str] = page.eval_on_selector_all("details.item:not([hidden])", "all => all.map(one => one.id)")
    return ids


def cells(page: Any) -> dict[str, list[list[str]]]:
    """Each item's cells: sink, entry, dimension."""
    told: dict[str, str] = page.eval_on_selector_all(
        "details.item", "all => Object.fromEntries(all.map(one => [one.id, one.dataset.cells]))"
    )
    return {one: [cell.split("/") for cell in said.split()] for one, said in told.items()}


def test_filters_leave_what_matches(page: Any) -> None:
    assert len(shown(page)) == ITEMS
    for verdict in VERDICTS:
        page.select_option("select[name=verdict]", verdict)
        left = shown(page)
        assert left and len(left) < ITEMS
        assert all(page.get_attribute(f"[id='{one}']", "data-verdict") == verdict for one in left)
        assert page.locator(f"[id='{left[0]}'] > summary").is_visible()
    page.click("button[type=reset]")
    every = cells(page)
    for place, (name, value) in enumerate((("sink", "row"), ("entry", "webui"), ("dimension", "P"))):
        page.select_option(f"select[name={name}]", value)
        assert set(shown(page)) == {one for one, has in every.items() if any(value in cell[place] for cell in has)}
        page.click("button[type=reset]")
    page.select_option("select[name=sink]", "row")
    page.select_option("select[name=entry]", "webui")
    both = {one for one, has in every.items() if any(cell[:2] == ["row", "webui"] for cell in has)}
    assert set(shown(page)) == both
    assert page.text_content("#shown") == f"{len(both)} of {ITEMS} items"


def test_search_finds_words_and_says_when_nothing_matches(page: Any) -> None:
    page.fill("input[name=text]", "ITEM-003")
    assert shown(page) == ["item-item-003"]
    page.fill("input[name=text]", "no such thing")
    assert shown(page) == []
    assert page.locator("#nothing").is_visible()
    page.click("#clear")
    page.wait_for_function("many => document.querySelectorAll('details.item:not([hidden])').length === many", arg=ITEMS)
    assert page.evaluate("document.activeElement.name") == "text"


def test_a_count_leads_to_its_items(page: Any) -> None:
    page.click(".counts a[data-verdict=inert]")
    assert {page.get_attribute(f"[id='{one}']", "data-verdict") for one in shown(page)} == {"inert"}


def test_an_item_leads_to_its_finding_and_back(page: Any) -> None:
    link = page.locator("details.item a[href^='#f-']").first
    item = link.evaluate("one => one.closest('details.item').id")
    page.click(f"[id='{item}'] > summary")
    assert page.locator(f"[id='{item}'] table").is_visible()
    finding = link.get_attribute("href")[1:]
    link.click()
    page.wait_for_function("id => document.getElementById(id).open", arg=finding)
    told = page.locator(f"[id='{finding}'] .timeline li.k-violation")
    assert told.is_visible()
    assert page.locator(f"[id='{finding}'] code.cmd").first.text_content().startswith("isolation replay ")
    assert page.evaluate("document.activeElement.parentElement.id") == finding
    page.go_back()
    assert page.evaluate("location.hash") == ""
    page.click(f"[id='{finding}'] .body a[href='#{item}']")
    page.wait_for_function("id => document.activeElement.parentElement.id === id", arg=item)


def test_a_link_shows_what_a_filter_or_a_fold_hides(page: Any) -> None:
    page.select_option("select[name=verdict]", "inert")
    beyond = page.locator("details.beyond details.item").first.get_attribute("id")
    page.evaluate("id => { location.hash = id; }", beyond)
    page.wait_for_function("id => document.getElementById(id).open", arg=beyond)
    assert page.locator(f"[id='{beyond}'] .body").is_visible()
    assert len(shown(page)) == ITEMS


FOCUS = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect();
  const seen = box.bottom > 0 && box.top < innerHeight;
  const name = one.tagName + "." + (one.name || one.parentElement.className);
  return [name, seen ? parseFloat(getComputedStyle(one).outlineWidth) : 0];
}"""
"""What has the focus, and how wide the outline is that shows it."""


def test_all_can_be_done_with_the_keyboard(page: Any) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator("a.skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#findings"
    reached: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        where, width = page.evaluate(FOCUS)
        assert width >= 2, f"focus on {where} cannot be seen"
        reached.append(where)
        if where.startswith("SUMMARY.item"):
            break
    order = [one for one in reached if one.startswith(("SUMMARY.finding", "INPUT", "SELECT", "SUMMARY.item"))]
    assert [one for one in order if not one.startswith("SUMMARY.finding")] == [
        "INPUT.text", "SELECT.verdict", "SELECT.sink", "SELECT.entry", "SELECT.dimension", "SELECT.against", order[-1],
    ]  # fmt: skip
    assert order[0].startswith("SUMMARY.finding")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")


def test_paper_shows_all_that_is_folded_and_nothing_to_click(page: Any) -> None:
    folded = "document.querySelectorAll('details:not([open])').length"
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.folded = {folded}; }})")
    before = page.locator("details[open]").count()
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate("window.folded") == 0
    assert page.locator("details[open]").count() == before
    page.emulate_media(media="print")
    for chrome in ("nav", "#filters", "a.skip", "#nothing"):
        assert not page.locator(chrome).is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


SIZES = [
    {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for width in (1280, 420)
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize(
    "page", SIZES, indirect=True, ids=lambda size: f"{size['viewport']['width']}-{size['color_scheme']}"
)
def test_it_fits_and_can_be_read(page: Any, request: pytest.FixtureRequest) -> None:
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= room
    dark = "dark" in request.node.name
    for selector in (
        "body",
        "header.verdict",
        ".item .badge",
        ".timeline .k-violation div",
        ".why",
        ".lead",
    ):
        text, ground = (luminance(colour) for colour in page.eval_on_selector(selector, COLOURS))
        assert (text > ground) == dark
        light, deep = max(text, ground), min(text, ground)
        assert (light + 0.05) / (deep + 0.05) >= 4.5, f"{selector} is too faint"


COLOURS = """one => {
  const text = getComputedStyle(one).color;
  while (getComputedStyle(one).backgroundColor === "rgba(0, 0, 0, 0)") one = one.parentElement;
  return [text, getComputedStyle(one).backgroundColor];
}"""


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2) of a colour as a browser writes it."""
    channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_finding_opens_by_its_address(browser: Any, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}#f-{fingerprint(0)}")
    tab.wait_for_function("id => document.getElementById(id).open", arg=f"f-{fingerprint(0)}")
    tab.close()
