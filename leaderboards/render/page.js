(() => {
  "use strict";
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));
  const filter = document.getElementById("filter");
  const leading = document.getElementById("leading");
  const closer = document.getElementById("closer");
  const rows = all("tbody tr");
  const dots = new Map(all("[data-row]").map((dot) => [dot.dataset.row, dot]));
  const text = new Map(rows.map((row) => [row, (row.textContent + " " + row.dataset.words).toLowerCase()]));

  function show() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => text.get(row).includes(word));
      row.hidden = !fits || (leading.checked && row.dataset.leading === "0");
      shown += row.hidden ? 0 : 1;
      dots.get(row.id)?.classList.toggle("dim", row.hidden);
    }
    for (const section of all("section[id]")) {
      section.hidden = !all("tbody tr", section).some((row) => !row.hidden);
    }
    document.getElementById("nothing").hidden = shown > 0 || rows.length === 0;
    document.getElementById("count").textContent =
      shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }

  function light(id, on) {
    dots.get(id)?.classList.toggle("lit", on);
    document.getElementById(id).classList.toggle("lit", on);
  }

  const isScore = (head) => head.classList.contains("number") && !head.matches(".place, .rank, .source");
  sortTables(all("th button"), isScore);
  // The filter is kept in the address as its fragment, which pages opened from a disk may change too.
  const MARK = "#filter=";
  function remember() {
    history.replaceState(null, "", filter.value ? MARK + encodeURIComponent(filter.value) : "#");
  }
  function recall() {
    if (!location.hash.startsWith(MARK)) return;
    try { filter.value = decodeURIComponent(location.hash.slice(MARK.length)); } catch { return; }
    show();
  }

  filter.addEventListener("input", () => { show(); remember(); });
  window.addEventListener("hashchange", recall);
  leading.addEventListener("change", show);
  closer.addEventListener("change", () => document.body.classList.toggle("closer", closer.checked));
  for (const row of rows) {
    row.addEventListener("mouseenter", () => light(row.id, true));
    row.addEventListener("mouseleave", () => light(row.id, false));
  }
  for (const [id, dot] of dots) {
    dot.addEventListener("mouseenter", () => light(id, true));
    dot.addEventListener("mouseleave", () => light(id, false));
    dot.addEventListener("click", () => document.getElementById(id).scrollIntoView({ block: "center" }));
  }
  document.getElementById("closer-label").hidden = !document.querySelector(".more");
  document.body.classList.add("live");
  show();
  recall();
})();
