/* What the pages need beyond the theme. Everything works without it, only less comfortably. */
(() => {
  "use strict";

  // From a folder, a browser may not read the pages that a search finds: show their titles alone.
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") {
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  }

  // What scrolls sideways can be reached and moved with the keyboard.
  const BOXES = ".dlp-scroll, .dlp-plot, .dlp-scoreboard, .cell_output, div.math, .pst-scrollable-table-container, pre";
  function label(box) {
    if (box.matches("pre")) return "Code or output, scrolls sideways";
    if (box.matches("div.math")) return "Formula, scrolls sideways";
    if (box.querySelector("table")) return "Table, scrolls sideways";
    return "Figure, scrolls sideways";
  }
  function openToKeyboard() {
    for (const box of document.querySelectorAll(BOXES)) {
      const wide = box.scrollWidth > box.clientWidth + 1;
      if (wide && !box.hasAttribute("tabindex")) {
        box.tabIndex = 0;
        box.dataset.dlpScrolls = "";
        if (!box.hasAttribute("role")) box.setAttribute("role", "region");
        if (!box.hasAttribute("aria-label")) box.setAttribute("aria-label", label(box));
      } else if (!wide && "dlpScrolls" in box.dataset) {
        for (const name of ["tabindex", "role", "aria-label", "data-dlp-scrolls"]) box.removeAttribute(name);
      }
    }
  }

  function option(value, text) {
    const item = document.createElement("option");
    item.value = value;
    item.textContent = text;
    return item;
  }
  function field(form, text, control) {
    const box = document.createElement("label");
    box.append(text, control);
    form.append(box);
    control.addEventListener("input", () => form.dispatchEvent(new Event("change")));
    return control;
  }
  function choice(form, text, rows, key) {
    const select = document.createElement("select");
    select.append(option("", "all"));
    for (const value of new Set(rows.map((row) => row.dataset[key]))) select.append(option(value, value));
    return field(form, text, select);
  }

  // The ledger can be filtered and sorted.
  function ledger(table) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const form = document.createElement("form");
    form.className = "dlp-filter";
    form.addEventListener("submit", (event) => event.preventDefault());
    const selects = ["verdict", "profile", "chapter"].map((key) => [key, choice(form, `Show ${key}`, rows, key)]);
    const search = document.createElement("input");
    search.type = "search";
    field(form, "Containing", search);
    const shown = document.createElement("output");
    form.append(shown);
    form.addEventListener("change", () => {
      const words = search.value.toLowerCase();
      for (const row of rows) {
        const fits = selects.every(([key, select]) => !select.value || row.dataset[key] === select.value);
        row.hidden = !(fits && row.textContent.toLowerCase().includes(words));
      }
      shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} lines`;
    });
    table.before(form);
    form.dispatchEvent(new Event("change"));
    [...table.tHead.rows[0].cells].forEach((cell, column) => sortable(cell, column, body, rows));
  }
  function sortable(cell, column, body, rows) {
    if (column > 1) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent;
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of cell.parentNode.cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => (column === 1 ? row.dataset.order : row.cells[0].textContent.trim());
      const sorted = [...rows].sort((a, b) => (up ? 1 : -1) * key(a).localeCompare(key(b)));
      body.append(...sorted);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const table of document.querySelectorAll(".dlp-ledger")) ledger(table);
    openToKeyboard();
  });
  window.addEventListener("load", () => {
    openToKeyboard();
    if (window.MathJax && MathJax.startup) MathJax.startup.promise.then(openToKeyboard);
  });
  window.addEventListener("resize", openToKeyboard);
})();
