"use strict";
(() => {
  const form = document.getElementById("filters");
  const items = [...document.querySelectorAll("details.item")];
  const groups = [...document.querySelectorAll("section.group")];
  const shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase()]));

  const matches = (item, want) => {
    if (want.verdict && item.dataset.verdict !== want.verdict) return false;
    if (want.against) {
      const said = item.dataset.against;
      const ok = want.against === "disagree" ? said.endsWith("disagree") : said.replace(" disagree", "") === want.against;
      if (!ok) return false;
    }
    if (want.sink || want.entry || want.dimension) {
      // One cell must match all three: an item with a row on the API and a file on a timer is no row on a timer.
      const hit = item.dataset.cells.split(" ").some((cell) => {
        const [sink, entry, dimension] = cell.split("/");
        return cell && (!want.sink || sink === want.sink) && (!want.entry || entry === want.entry) &&
          (!want.dimension || dimension.includes(want.dimension));
      });
      if (!hit) return false;
    }
    return want.words.every((word) => texts.get(item).includes(word));
  };

  const apply = () => {
    const want = Object.fromEntries(new FormData(form));
    want.words = want.text.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const item of items) {
      item.hidden = !matches(item, want);
      if (!item.hidden) count += 1;
    }
    const narrowed = Object.values(want).some((value) => value.length);
    for (const group of groups) {
      group.hidden = !group.querySelector("details.item:not([hidden])");
      const beyond = group.querySelector("details.beyond");
      if (!beyond) continue;
      beyond.hidden = !beyond.querySelector("details.item:not([hidden])");
      beyond.open = narrowed && !beyond.hidden;
    }
    shown.textContent = `${count} of ${items.length} items`;
    nothing.hidden = count > 0;
  };

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  document.getElementById("clear").addEventListener("click", () => { form.reset(); form.elements.text.focus(); });
  for (const link of document.querySelectorAll("a[data-verdict]")) {
    link.addEventListener("click", () => { form.reset(); form.elements.verdict.value = link.dataset.verdict; setTimeout(apply); });
  }
  apply();

  // A link to an item or a finding opens it, and shows it even when a filter hides it.
  const follow = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || target.tagName !== "DETAILS") return;
    if (target.hidden) { form.reset(); setTimeout(apply); }
    setTimeout(() => { target.closest("details.beyond")?.setAttribute("open", ""); target.open = true; target.scrollIntoView(); target.querySelector("summary").focus({ preventScroll: true }); });
  };
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) follow();
  });
  follow();

  // On paper nothing can be opened: all that is folded is printed.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
})();
