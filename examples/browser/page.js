import { load } from "./classifier.js";

const MOST_SHOWN = 6;
const element = (id) => document.getElementById(id);
const number = (value, digits) => value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

let model;
let last = 0;

try {
  model = await load(new URL("model/", location.href));
  const name = model.manifest.lineage.candidate ?? "a bundle";
  element("about").textContent = `${name} · ${number(model.bytes / 1e6, 2)} MB · ${model.labels.length} labels`;
  element("digest").textContent = model.digest.slice(0, 12);
  element("text").disabled = false;
  element("text").focus();
  window.label = model.label; // for whoever wants to try it in the console
  const given = new URLSearchParams(location.search).get("text");
  if (given) element("text").value = given;
  await show();
} catch (error) {
  wrong(error.message);
}
element("text").addEventListener("input", show);

async function show() {
  const turn = ++last;
  const text = element("text").value;
  if (!text.trim()) return clear();
  try {
    const { label, shares, ms } = await model.label(text);
    if (turn !== last) return;
    const order = shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a]);
    element("said").className = "";
    element("said").textContent = label;
    element("shares").replaceChildren(...order.slice(0, MOST_SHOWN).map((i) => row(model.labels[i], shares[i])));
    const more = shares.length - MOST_SHOWN;
    element("time").textContent = `${number(ms, 2)} ms, on this machine${more > 0 ? `; ${more} more labels` : ""}`;
  } catch (error) {
    wrong(error.message);
  }
}

function row(name, share) {
  const [item, label, bar, value] = ["li", "span", "meter", "span"].map((kind) => document.createElement(kind));
  label.textContent = name;
  bar.value = share;
  bar.ariaLabel = name;
  value.textContent = number(share, 3);
  item.append(label, bar, value);
  return item;
}

function clear() {
  element("said").textContent = element("time").textContent = "";
  element("shares").replaceChildren();
}

function wrong(message) {
  clear();
  element("said").className = "wrong";
  element("said").textContent = message;
}
