"use strict";
const byId = (id) => document.getElementById(id);

function addAnswer() {
  const number = byId("answers").querySelectorAll("textarea").length + 1;
  const label = document.createElement("label");
  label.textContent = `Answer ${number}`;
  label.htmlFor = `answer${number}`;
  const text = document.createElement("textarea");
  text.id = `answer${number}`;
  text.rows = 3;
  byId("answers").append(label, text);
  return text;
}

function show(answers, found) {
  const items = found.order.map((index) => {
    const item = document.createElement("li");
    const reward = document.createElement("span");
    reward.className = "reward";
    reward.textContent = found.rewards[index].toFixed(3);
    const meter = document.createElement("meter");
    meter.min = 0;
    meter.max = 1;
    meter.value = found.rewards[index];
    const text = document.createElement("div");
    text.className = "text";
    text.textContent = answers[index];  // never as HTML: answers are strangers' texts
    item.append(reward, meter, text);
    return item;
  });
  byId("ranking").replaceChildren(...items);
}

async function rank(event) {
  event.preventDefault();
  byId("problem").textContent = "";
  byId("ranking").replaceChildren();
  const answers = [...byId("answers").querySelectorAll("textarea")]
    .map((area) => area.value)
    .filter((text) => text.trim());
  if (!answers.length) {
    byId("problem").textContent = "Write at least one answer.";
    return;
  }
  const headers = { "Content-Type": "application/json" };
  if (byId("token").value) headers.Authorization = `Bearer ${byId("token").value}`;
  byId("rank").disabled = true;
  try {
    const body = JSON.stringify({ prompt: byId("prompt").value, completions: answers });
    const reply = await fetch("rank", { method: "POST", headers, body });
    const found = await reply.json();
    if (reply.ok) show(answers, found);
    else byId("problem").textContent = found.error.message;
  } catch {
    byId("problem").textContent = "The server does not answer.";
  } finally {
    byId("rank").disabled = false;
  }
}

// A link may carry the texts: ?prompt=...&answer=...&answer=...
const given = new URLSearchParams(location.search);
byId("prompt").value = given.get("prompt") ?? "";
for (const text of given.getAll("answer")) addAnswer().value = text;
while (byId("answers").querySelectorAll("textarea").length < 2) addAnswer();
byId("add").addEventListener("click", () => addAnswer().focus());
byId("form").addEventListener("submit", rank);
if (given.has("answer")) byId("form").requestSubmit();
fetch("readyz")
  .then((reply) => reply.json())
  .then((facts) => { byId("model").textContent = `${facts.model}, method ${facts.method}`; })
  .catch(() => {});
