"use strict";
// A click on a column head sorts the table, a second click reverses the order. Empty cells stay last in both orders;
// equal ones keep their order. `downFirst(head)`: true if the first click on it puts the greatest first.
function sortTables(buttons, downFirst) {
  const names = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const key = (cell, number) =>
    number ? ("number" in cell.dataset ? Number(cell.dataset.number) : null) : cell.textContent.trim() || null;
  const sort = (head) => {
    const body = head.closest("table").tBodies[0];
    const number = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : downFirst(head);
    const keyed = Array.from(body.rows, (row) => [key(row.cells[head.cellIndex], number), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = number ? a - b : names.compare(a, b);
      return down ? -order : order;
    });
    body.append(...keyed.map(([, row]) => row));
    head.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  buttons.forEach((button) => button.addEventListener("click", () => sort(button.closest("th"))));
}
