// A click on the head of a column puts the rows of its table in order, and a second one turns the order around.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const words = new Intl.Collator(undefined, { numeric: true });
  const of = (row, place) => {
    const cell = row.cells[place];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  // Numbers come before words: what is not known is last either way.
  const compare = (one, other, sign) => {
    const both = typeof one === typeof other;
    if (!both) return typeof one === "number" ? -1 : 1;
    return sign * (typeof one === "number" ? one - other : words.compare(one, other));
  };
  heads.forEach((head, place) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [of(row, place), row]);
      rows.sort(([one], [other]) => compare(one, other, sign));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
// What is wider than its frame says so: it fades where it goes on, and the keyboard scrolls it.
for (const frame of document.querySelectorAll(".scroll, pre")) {
  const look = () => {
    const beyond = frame.scrollWidth - frame.clientWidth;
    frame.classList.toggle("wide", beyond > 1);
    frame.classList.toggle("goes-on", beyond - frame.scrollLeft > 1);
    if (beyond > 1) frame.tabIndex = 0;
    else frame.removeAttribute("tabindex");
  };
  frame.addEventListener("scroll", look, { passive: true });
  // The window may change, and so may the table: a switch shows more of it. An observer must not change what it observes.
  const sizes = new ResizeObserver(() => requestAnimationFrame(look));
  for (const one of [frame, ...frame.children]) sizes.observe(one);
}
