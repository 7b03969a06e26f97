// Filtering and sorting the list of sessions. It can be read without.
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const body = $("sessions");
  const rows = [...body.rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const query = $("query");
  $("bar").hidden = false;

  const root = document.documentElement;
  const remember = (act) => { try { return act(localStorage); } catch { return null; } };
  const chosen = remember((store) => store.getItem("holdfast-theme"));
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  $("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    remember((store) => store.setItem("holdfast-theme", root.dataset.theme));
  });

  const filter = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, place) => {
      const fits = words.every((word) => texts[place].includes(word));
      row.hidden = !fits;
      if (fits) left += 1;
    });
    $("count").value = words.length ? `${left} of ${rows.length}` : "";
  };
  query.addEventListener("input", filter);
  query.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    query.value = "";
    filter();
    query.blur();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target === query || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    query.focus({ preventScroll: true });
  });

  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  const heads = [...document.querySelectorAll("th")];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const sorted = rows.map((row) => [key(row), row]);
      sorted.sort((a, b) => collator.compare(a[0], b[0]) * (up ? 1 : -1));
      body.append(...sorted.map((pair) => pair[1]));
    });
  });
})();
