"use strict";
(() => {
  const data = JSON.parse(document.getElementById("cell-data").textContent);
  const total = data.cell.length;
  const field = (name, i) => (data.values[name] ? data.values[name][data[name][i]] : data[name][i]);
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== undefined && text !== null) element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const percent = (value) => (value === null ? "–" : value.toFixed(2));

  // The cells behind a number.
  const dialog = document.getElementById("cells");
  const body = document.getElementById("cells-body");
  const LIMIT = 100;
  const describe = (i) => {
    const article = make("article");
    const scores = data.accuracy[i] === null ? "" : ` · accuracy ${percent(data.accuracy[i])} % · ECE ${percent(data.ece[i])} %`;
    article.append(make("p", `${field("task", i)} · ${field("noise", i)} · ${field("method_label", i)} · ${field("setup", i)} · seed ${data.seed[i]}`));
    article.append(make("p", `${field("status", i)}${scores}${field("reason", i) ? ` · ${field("reason", i)}` : ""}`));
    const line = make("p", `cell ${data.cell[i]} · record `);
    line.append(make("code", data.record[i]));
    if (field("texts", i)) line.append(" · ", make("a", "its texts", { href: field("texts", i) }));
    article.append(line);
    if (data.command[i]) {
      const command = make("div", undefined, { class: "command" });
      const code = make("code", data.command[i]);
      const copy = make("button", "copy", { type: "button" });
      copy.addEventListener("click", () => {
        const done = () => { copy.textContent = "copied"; };
        const byHand = () => {
          getSelection().selectAllChildren(code);
          if (document.execCommand("copy")) done();
        };
        if (navigator.clipboard) navigator.clipboard.writeText(data.command[i]).then(done, byHand);
        else byHand();
      });
      command.append(code, copy);
      article.append(command);
    }
    return article;
  };
  const show = (indices) => {
    document.getElementById("cells-title").textContent = indices.length === 1 ? "1 cell" : `${indices.length} cells`;
    body.replaceChildren(...indices.slice(0, LIMIT).map(describe));
    if (indices.length > LIMIT) body.append(make("p", `The first ${LIMIT} are shown; cells.csv beside this page holds all.`));
    dialog.showModal();
    dialog.scrollTop = 0;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.number");
    if (button) show(button.dataset.cells.split(" ").map(Number));
    else if (event.target === dialog) dialog.close();
  });

  // Sorting: numbers by value, those without a number last; reference rows keep their place.
  for (const button of document.querySelectorAll("button.sort")) {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const column = head.cellIndex;
      const first = column === 0 ? "ascending" : "descending";
      const direction = !head.hasAttribute("aria-sort") ? first : head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1;
      const key = (row) => {
        const text = row.cells[column].dataset.value;
        if (text === undefined) return null;
        return column === 0 ? text : Number(text);
      };
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
      };
      const rows = head.closest("table").tBodies[0];
      rows.append(...[...rows.rows].sort(compare));
    });
  }

  // Filters over tables and figures: whole blocks, columns by task and noise source, rows by method.
  const form = document.querySelector(".filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  const differs = (element, wanted, names) =>
    names.some((name) => wanted[name] && element.dataset[name] && !(name === "kind" ? element.dataset.kind.split(" ") : [element.dataset[name]]).includes(wanted[name]));
  const narrow = (table, wanted) => {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const hidden = heads.map((head) => differs(head, wanted, ["task", "noise"]));
    heads.forEach((head, i) => { head.hidden = hidden[i]; });
    for (const body of table.tBodies) {
      for (const row of body.rows) [...row.cells].forEach((cell, i) => { cell.hidden = hidden[i]; });
    }
    const groups = table.tHead.rows.length > 1 ? [...table.tHead.rows[0].cells].slice(1) : [];
    let first = 1;
    for (const group of groups) {
      const span = Number(group.dataset.span);
      const left = hidden.slice(first, first + span).filter((each) => !each).length;
      group.hidden = left === 0;
      if (left) group.colSpan = left;
      first += span;
    }
    return heads.some((head, i) => !hidden[i] && (head.dataset.task || head.dataset.noise));
  };
  const folds = [...document.querySelectorAll("main details.fold")];
  const filter = () => {
    const wanted = Object.fromEntries(new FormData(form));
    for (const block of document.querySelectorAll("main .block")) {
      block.hidden = differs(block, wanted, ["setup", "task", "kind", "noise"]);
      for (const table of block.querySelectorAll("table.sortable")) {
        const narrowed = table.querySelector("thead [data-noise]") !== null;
        if (!narrow(table, wanted) && narrowed) block.hidden = true;
      }
      const face = wanted.kind && block.querySelector(`.toggle input[data-kind="${CSS.escape(wanted.kind)}"]`);
      if (face) face.checked = true;
    }
    const part = wanted.method.trim().toLowerCase();
    for (const row of document.querySelectorAll("table.sortable tbody tr")) {
      row.hidden = part !== "" && !row.cells[0].dataset.value.toLowerCase().includes(part);
    }
    for (const fold of folds) {
      fold.hidden = !fold.querySelector(".block:not([hidden])");
      if (wanted.kind) fold.open = !fold.hidden;
    }
  };
  form.addEventListener("input", filter);

  // The list of all cells, a page at a time.
  const find = document.getElementById("find");
  const more = document.getElementById("more");
  const list = document.querySelector("#cell-table tbody");
  const PAGE = 50;
  let matching = [];
  let shown = 0;
  const names = ["cell", "status", "task", "noise", "method_label", "setup", "seed"];
  const text = Array.from({ length: total }, (_, i) => names.map((name) => field(name, i)).join(" ").toLowerCase());
  const extend = () => {
    for (const i of matching.slice(shown, shown + PAGE)) {
      const row = make("tr");
      const first = make("td");
      first.append(make("button", data.cell[i], { class: "number", "data-cells": i }));
      row.append(first, ...names.slice(1).map((name) => make("td", field(name, i), name === "status" ? { class: field(name, i) } : {})));
      row.append(make("td", percent(data.accuracy[i])), make("td", percent(data.ece[i])));
      list.append(row);
    }
    shown = Math.min(shown + PAGE, matching.length);
    more.hidden = shown >= matching.length;
    document.getElementById("found").textContent = `${shown} of ${matching.length} shown`;
  };
  const search = () => {
    const terms = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    matching = Array.from({ length: total }, (_, i) => i).filter((i) => terms.every((term) => text[i].includes(term)));
    shown = 0;
    list.replaceChildren();
    extend();
  };
  find.addEventListener("input", search);
  more.addEventListener("click", extend);
  search();

  // Served by `bench report --serve`: load the page anew when it was made anew, unless its reader is in the middle of something.
  if (document.documentElement.hasAttribute("data-follow")) {
    let known;
    setInterval(async () => {
      const reply = await fetch(location.pathname, { method: "HEAD", cache: "no-store" }).catch(() => null);
      const made = reply && reply.headers.get("Last-Modified");
      if (known && made && made !== known && !dialog.open) location.reload();
      known = known || made;
    }, 2000);
  }
})();
