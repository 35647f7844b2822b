"use strict";
const byId = (id) => document.getElementById(id);
const KEYS = { g: "good", b: "bad", s: "skip", u: "undo" };
// The token comes in the address after "#", which browsers send to nobody.
const token = location.hash.slice(1) || sessionStorage.getItem("token") || "";
let reviewer = localStorage.getItem("reviewer") || "";
let card = null;
let busy = false;

async function ask(route, more = {}) {
  if (busy) return;
  busy = true;
  byId("problem").textContent = "";
  try {
    const headers = { "Content-Type": "application/json", "X-Token": token };
    const body = JSON.stringify({ reviewer, ...more });
    const reply = await fetch(route, { method: "POST", headers, body });
    const found = await reply.json();
    if (reply.ok) {
      // only a name that the server has taken, and of this tab's own choice, is kept
      if (route === "next") localStorage.setItem("reviewer", reviewer);
      show(found);
    } else problem(found.error.message);
  } catch {
    problem("It may not be saved: the server does not answer. Start it again, and open the address that it prints.");
  } finally {
    busy = false;
  }
}

function problem(text) {
  byId("problem").textContent = text;
}

function show(found) {
  card = found.card;
  byId("who").hidden = true;
  byId("top").hidden = false;
  byId("card").hidden = byId("keys").hidden = !card;
  byId("done").hidden = Boolean(card);
  const wanted = Math.min(found.wanted, found.judged + found.left);
  byId("progress").max = Math.max(1, wanted);
  byId("progress").value = found.judged;
  byId("count").textContent = `${found.judged} of ${wanted}`;
  const own = Object.entries(found.own).map(([name, count]) => `${count} ${name}`);
  const last = found.last ? `; the last one: ${found.last}` : "";
  byId("remark").textContent = `${found.reviewer}: ${own.join(", ") || "nothing yet"}${last}`;
  if (card) {
    // never as HTML: these are strangers' texts
    byId("prompt").textContent = card.prompt;
    byId("answer").textContent = card.answer;
    byId("prompt").scrollTop = byId("answer").scrollTop = 0;
  } else {
    byId("keys").hidden = !found.last;
    byId("done").textContent =
      found.judged >= wanted
        ? "Done. Everything is saved; you can close the page."
        : "Others are judging the rest. Load the page again in a while.";
  }
  for (const name of ["good", "bad", "skip"]) byId(name).hidden = !card;
  document.querySelector(".question").hidden = !card;
  byId("undo").disabled = !found.last;
  byId("agreement").hidden = !found.agreement.length;
  byId("pairs").replaceChildren(...found.agreement.map(pairRow));
}

function pairRow(pair) {
  const row = document.createElement("tr");
  const kappa = pair.kappa === null ? "-" : pair.kappa.toFixed(2);
  const share = `${Math.round(100 * pair.share)}%`;
  for (const text of [pair.reviewers.join(", "), pair.n, share, kappa]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    row.append(cell);
  }
  return row;
}

function act(name) {
  if (name === "undo") ask("undo");
  else if (card) ask("judge", { key: card.key, verdict: name });
}

byId("who").addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy || !byId("name").value.trim()) return;
  reviewer = byId("name").value.trim();
  ask("next");
});
byId("other").addEventListener("click", () => {
  if (busy) return;
  localStorage.removeItem("reviewer");
  card = null;
  for (const name of ["top", "card", "keys", "done", "agreement"]) byId(name).hidden = true;
  byId("problem").textContent = "";
  byId("name").value = "";
  byId("who").hidden = false;
  byId("name").focus();
});
for (const name of Object.values(KEYS)) byId(name).addEventListener("click", () => act(name));
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = KEYS[event.key.toLowerCase()];
  if (name && byId("who").hidden) act(name);
});

if (token) {
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
}
if (reviewer) ask("next");
else byId("who").hidden = false;
