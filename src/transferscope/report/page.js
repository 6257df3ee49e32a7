// Reading needs none of this: it links the figures, dims verdicts and moves between cells with the arrow keys.
"use strict";

const marked = (id) => document.querySelectorAll(`[data-cell="${id}"]`);

function light(event, on) {
  const place = event.target.closest?.("[data-cell]");
  if (place) marked(place.dataset.cell).forEach((element) => element.classList.toggle("lit", on));
}
document.addEventListener("mouseover", (event) => light(event, true));
document.addEventListener("mouseout", (event) => light(event, false));
document.addEventListener("focusin", (event) => light(event, true));
document.addEventListener("focusout", (event) => light(event, false));

function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  const card = target.closest(".card");
  if (card) card.querySelector("summary").focus({ preventScroll: true });
  target.scrollIntoView();
}
addEventListener("hashchange", openTarget);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.hash === location.hash) openTarget(); // the same card again: no hashchange comes
});

document.querySelectorAll(".chips .chip").forEach((chip) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = chip.className;
  button.dataset.only = chip.dataset.only;
  button.setAttribute("aria-pressed", "false");
  button.append(...chip.childNodes);
  button.title = "Show these alone";
  chip.replaceWith(button);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") === "false";
    document.querySelectorAll(".chips button").forEach((other) => other.setAttribute("aria-pressed", String(on && other === button)));
    if (on) document.body.dataset.only = button.dataset.only;
    else delete document.body.dataset.only;
    document.querySelectorAll("[data-verdict]").forEach((e) => e.classList.toggle("kept", e.dataset.verdict === button.dataset.only));
  });
});

const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
document.querySelectorAll(".matrix").forEach((matrix) => {
  const rows = [...matrix.querySelectorAll("tr")].filter((row) => row.querySelector("td")).map((row) => [...row.querySelectorAll("td")]);
  matrix.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    const here = event.target.closest("td");
    if (!step || !here || event.altKey || event.ctrlKey || event.metaKey) return;
    let row = rows.findIndex((cells) => cells.includes(here));
    let column = rows[row].indexOf(here);
    do {
      row += step[0];
      column += step[1];
    } while (rows[row]?.[column] && !rows[row][column].querySelector("a"));
    const next = rows[row]?.[column]?.querySelector("a");
    if (next) {
      next.focus();
      event.preventDefault();
    }
  });
});

openTarget();
