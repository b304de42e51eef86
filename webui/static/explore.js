// The table of a result: only operators that fit the column, values as they are typed, and the link to copy.

import { getJson } from "./api.js";
import { announce } from "./status.js";

const PAUSE_MS = 150;
const NO_VALUE = new Set(["empty", "filled"]);
const LISTS = new Set(["in", "not-in"]);

const form = document.querySelector(".explore-add");
const column = form.elements.namedItem("column");
const operator = form.elements.namedItem("operator");
const value = form.elements.namedItem("value");
const values = document.querySelector("#filter-values");
const every = [...operator.options];

const chosen = () => column.selectedOptions[0];

function fitOperators() {
  const fitting = new Set(JSON.parse(chosen().dataset.operators));
  const before = operator.value;
  operator.replaceChildren(...every.filter((option) => fitting.has(option.value)));
  operator.value = fitting.has(before) ? before : operator.options[0].value;
  fitValue();
}

function fitValue() {
  value.disabled = NO_VALUE.has(operator.value);
  value.required = !value.disabled;
  value.placeholder = { between: "100..200", in: "one, another", "not-in": "one, another" }[operator.value] ?? "";
  suggest();
}

let asked = 0;

async function suggest() {
  const mine = ++asked;
  values.replaceChildren();
  if (!("text" in chosen().dataset) || value.disabled) return;
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  if (mine !== asked) return;
  const cut = LISTS.has(operator.value) ? value.value.lastIndexOf(",") + 1 : 0;
  const [before, typed] = [value.value.slice(0, cut), value.value.slice(cut).trim()];
  const query = new URLSearchParams({ column: column.value, prefix: typed });
  let found = [];
  try {
    found = (await getJson(`jobs/${form.dataset.jobId}/table/suggest?${query}`)).values;
  } catch {
    return; // a filter can be typed without suggestions
  }
  if (mine !== asked) return;
  values.replaceChildren(...found.map(({ value: text, rows }) => new Option(`${rows} rows`, before + text)));
}

// "or …" behind a filter: the next one goes beside it.
function besides() {
  const beside = form.elements.namedItem("beside");
  for (const button of document.querySelectorAll("[data-beside]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      beside.value = button.dataset.beside;
      (value.disabled ? column : value).focus();
    });
  }
}

function copying() {
  const button = document.querySelector("[data-copy]");
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(new URL(button.dataset.copy, location.href).href);
    button.textContent = "Copied";
    announce("The link to this view is copied");
  });
}

column.addEventListener("change", fitOperators);
operator.addEventListener("change", fitValue);
value.addEventListener("input", suggest);
fitOperators();
besides();
copying();
