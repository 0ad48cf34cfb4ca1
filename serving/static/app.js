// Puts the page together: the paper, the service, what is shown.

import { showAnswer, showLatency, showRefusal } from "./answer.js";
import { showInside } from "./inside.js";
import { Paper } from "./paper.js";
import { explain, giveFeedback, health, Live, model, Refusal } from "./service.js";

const CHECK_MILLISECONDS = 4000;
const UNREACHABLE = "The service cannot be reached.";
const NOTHING = { recognition: { digit: null, confidence: 0, sure: false, probabilities: [] }, pixels: [], activations: [], saliency: [] };
const byId = (id) => document.getElementById(id);

const paper = new Paper(byId("paper"));
let answered = NOTHING;
let collecting = false;
let version;

const live = new Live(
  async () => (paper.isEmpty ? NOTHING : explain(await paper.toBlob())),
  async (question) => {
    const started = performance.now();
    try {
      answered = await question();
      showAnswer(answered.recognition);
      showLatency(answered === NOTHING ? null : performance.now() - started);
    } catch (error) {
      answered = NOTHING;
      showRefusal(error instanceof Refusal ? error.message : UNREACHABLE);
      showLatency(null);
    }
    showInside(answered);
    byId("feedback").hidden = !collecting || answered.recognition.digit === null;
    byId("thanks").textContent = "Was it something else?";
  },
);

paper.addEventListener("change", () => {
  byId("hint").hidden = !paper.isEmpty;
  byId("undo").disabled = byId("clear").disabled = paper.isEmpty;
  live.changed();
});

function setErasing(erasing) {
  paper.erasing = erasing;
  byId("eraser").setAttribute("aria-pressed", String(erasing));
}

async function takePicture(file) {
  try {
    await paper.place(file);
  } catch {
    showRefusal("That is no picture that can be read: expected PNG or JPEG.");
  }
}

byId("undo").addEventListener("click", () => paper.undo());
byId("clear").addEventListener("click", () => paper.clear());
byId("eraser").addEventListener("click", () => setErasing(!paper.erasing));
byId("pen").addEventListener("input", (event) => (paper.width = Number(event.target.value)));
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) takePicture(file);
  event.target.value = ""; // the same file may be chosen again
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    paper.undo();
  } else if (event.key === "Escape") paper.clear();
  else if (event.key === "e" && !event.ctrlKey && !event.metaKey) setErasing(!paper.erasing);
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
  if (file) takePicture(file);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) takePicture(event.dataTransfer.files[0]);
  });
}

for (let truth = 0; truth < 10; truth++) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: truth });
  button.setAttribute("aria-label", `That was a ${truth}`);
  button.addEventListener("click", async () => {
    try {
      await giveFeedback(answered.pixels, answered.recognition.digit, truth, answered.version);
      byId("thanks").textContent = `Thank you: stored as a ${truth}.`;
    } catch {
      byId("thanks").textContent = "That could not be stored.";
    }
  });
  byId("truths").append(button);
}

async function checkService() {
  try {
    await showHealth(await health());
  } catch {
    byId("speaker").textContent = UNREACHABLE;
  }
  setTimeout(checkService, CHECK_MILLISECONDS);
}

async function showHealth(now) {
  const waiting = now.status === "waiting";
  byId("waiting").hidden = !waiting;
  document.querySelector(".answer").hidden = document.querySelector(".inside").hidden = waiting;
  document.querySelector(".facts").hidden = waiting;
  byId("problem").hidden = now.problem === null;
  byId("problem").textContent = now.problem ? `A newer champion was refused: ${now.problem}` : "";
  if (waiting && now.problem) byId("trouble").textContent = `The champion cannot be served: ${now.problem}`;
  collecting = now.collecting;
  if (now.version === version) return;
  byId("speaker").textContent = waiting ? "no champion yet" : "\u00a0";
  if (!waiting) showFacts(await model());
  version = now.version; // once all is shown: what failed on the way is tried again
  if (!waiting) live.changed();
}

function showFacts(facts) {
  const accuracy = (value) => (value === null ? "not evaluated" : `${(100 * value).toFixed(2)}%`);
  const rows = {
    Model: `${facts.name} ${facts.version}`,
    Sweep: facts.sweep,
    Run: facts.run,
    "Test accuracy": accuracy(facts.test_accuracy),
    "Validation accuracy": accuracy(facts.val_accuracy),
    Registered: new Date(facts.created).toLocaleDateString("en", { dateStyle: "medium" }),
  };
  byId("speaker").textContent = `${rows.Model} · test accuracy ${rows["Test accuracy"]}`;
  byId("facts").replaceChildren(...Object.entries(rows).map(([name, text]) => fact(name, text, name === "Run" && facts.run_url)));
}

function fact(name, text, link) {
  const row = document.createElement("div");
  const value = document.createElement("dd");
  value.append(link ? Object.assign(document.createElement("a"), { href: link, rel: "noreferrer", target: "_blank", textContent: text }) : text);
  row.append(Object.assign(document.createElement("dt"), { textContent: name }), value);
  return row;
}

checkService();
navigator.serviceWorker?.register("sw.js").catch(() => {}); // the page works without it
