// The page: connects the canvas, the service, the prediction and the explanation.

import { explain, health, model, predict, sendFeedback, ServiceError, Updater } from "./api.js";
import { DrawingCanvas } from "./canvas.js";
import { showExplanation } from "./explanation.js";
import { showError, showLatency, showPrediction } from "./prediction.js";

const CHECK_MILLISECONDS = 4000;
const SLOW_MILLISECONDS = 500; // the first explanation takes seconds where the service has to load Keras for it
const SLOW = "The first explanation takes some seconds. Predictions go on.";
const UNREACHABLE = "The service cannot be reached.";
const QUESTION = "Wrong? Choose the correct digit:";
const EMPTY = { recognition: { digit: null, confidence: 0, sure: false, probabilities: [] }, pixels: [], activations: [], saliency: [] };
const byId = (id) => document.getElementById(id);

const drawing = new DrawingCanvas(byId("canvas"));
let explanation = EMPTY;
let collecting = false;
let waiting = false; // for an explanation that takes long
let missing = null; // the reason why a prediction is shown without its explanation
let version;
const noChampion = document.getElementById("waiting-reason").textContent;

const updater = new Updater(async () => {
  const started = performance.now();
  try {
    explanation = drawing.isEmpty ? EMPTY : await explainOrPredict(await drawing.toBlob());
    showPrediction(explanation.recognition);
    showLatency(explanation === EMPTY ? null : performance.now() - started);
  } catch (error) {
    explanation = EMPTY;
    showError(error instanceof ServiceError ? error.message : UNREACHABLE);
    showLatency(null);
  }
  show();
});

function show() {
  const explained = explanation.recognition.digit === null || explanation.pixels.length > 0;
  showExplanation(explanation, explained ? null : missing);
  byId("feedback").hidden = !(collecting && explanation.pixels.length > 0);
}

// The explanation of a picture, or no more than its prediction while an explanation takes long.
async function explainOrPredict(picture) {
  if (!waiting) {
    const explaining = explain(picture);
    try {
      const quick = await Promise.race([explaining, new Promise((resolve) => setTimeout(resolve, SLOW_MILLISECONDS))]);
      if (quick) return quick;
      [waiting, missing] = [true, SLOW];
      updateWhenExplained(explaining);
    } catch (error) {
      missing = error.message; // a service that does not respond at all is noticed below
    }
  }
  const { predictions, version } = await predict(picture);
  return { ...EMPTY, recognition: predictions[0], version };
}

// The drawing may have changed since, and later explanations are quick.
async function updateWhenExplained(explaining) {
  try {
    await explaining;
    waiting = false;
    updater.schedule();
  } catch (error) {
    [waiting, missing] = [false, error.message];
    show();
  }
}

drawing.addEventListener("change", () => {
  askForFeedback();
  byId("hint").hidden = !drawing.isEmpty;
  byId("undo").disabled = byId("clear").disabled = drawing.isEmpty;
  updater.schedule();
});

// For a new drawing only: a late update of the one that was corrected must not take the thanks away.
function askForFeedback() {
  const status = byId("feedback-status");
  if (status.textContent !== QUESTION) status.textContent = QUESTION; // each change is read aloud
}

function setErasing(erasing) {
  drawing.erasing = erasing;
  byId("eraser").setAttribute("aria-pressed", String(erasing));
}

async function loadPicture(file) {
  try {
    await drawing.loadPicture(file);
  } catch {
    showError("This file cannot be read: expected PNG or JPEG.");
  }
}

byId("undo").addEventListener("click", () => drawing.undo());
byId("clear").addEventListener("click", () => drawing.clear());
byId("eraser").addEventListener("click", () => setErasing(!drawing.erasing));
byId("pen").addEventListener("input", (event) => (drawing.width = Number(event.target.value)));
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) loadPicture(file);
  event.target.value = ""; // so that the same file can be chosen again
});

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    drawing.undo();
  } else if (event.key === "Escape") drawing.clear();
  else if (event.key === "e" && !event.ctrlKey && !event.metaKey) setErasing(!drawing.erasing);
});
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) loadPicture(file);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) loadPicture(event.dataTransfer.files[0]);
  });
}

for (let digit = 0; digit < 10; digit++) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: digit });
  button.setAttribute("aria-label", `The correct digit is ${digit}`);
  button.addEventListener("click", async () => {
    try {
      await sendFeedback(explanation.pixels, explanation.recognition.digit, digit, explanation.version);
      byId("feedback-status").textContent = `Thank you. Stored as a ${digit}.`;
    } catch {
      byId("feedback-status").textContent = "The feedback could not be stored.";
    }
  });
  byId("correct-digits").append(button);
}

async function checkService() {
  try {
    await showHealth(await health());
  } catch {
    byId("model-summary").textContent = UNREACHABLE;
    version = undefined; // so that the model is shown again once the service responds
  }
  setTimeout(checkService, CHECK_MILLISECONDS);
}

async function showHealth(state) {
  const waiting = state.status === "waiting";
  byId("waiting").hidden = !waiting;
  for (const card of ["prediction", "explanation", "model"]) document.querySelector(`.${card}`).hidden = waiting;
  byId("problem").hidden = state.problem === null;
  byId("problem").textContent = state.problem ? `The newest champion cannot be served: ${state.problem}` : "";
  byId("waiting-title").textContent = state.problem ? "No model is served" : "No champion yet";
  byId("waiting-steps").hidden = state.problem !== null;
  byId("waiting-reason").textContent = state.problem ? `The champion cannot be served: ${state.problem}` : noChampion;
  collecting = state.collecting;
  if (state.version === version) return;
  byId("model-summary").textContent = waiting ? "no model is served" : "\u00a0";
  if (!waiting) showModel(await model());
  version = state.version; // set last, so that a failure on the way is tried again
  if (!waiting) updater.schedule();
}

function showModel(info) {
  const accuracy = (value) => (value === null ? "not evaluated" : `${(100 * value).toFixed(2)}%`);
  const rows = {
    Model: `${info.name} ${info.version}`,
    Sweep: info.sweep,
    Run: info.run,
    "Test accuracy": accuracy(info.test_accuracy),
    "Validation accuracy": accuracy(info.val_accuracy),
    Registered: new Date(info.created).toLocaleDateString("en", { dateStyle: "medium" }),
  };
  byId("model-summary").textContent = `${rows.Model} · test accuracy ${rows["Test accuracy"]}`;
  byId("model-info").replaceChildren(...Object.entries(rows).map(([name, text]) => infoRow(name, text, name === "Run" && info.run_url)));
}

function infoRow(name, text, link) {
  const row = document.createElement("div");
  const value = document.createElement("dd");
  value.append(link ? Object.assign(document.createElement("a"), { href: link, rel: "noreferrer", target: "_blank", textContent: text }) : text);
  row.append(Object.assign(document.createElement("dt"), { textContent: name }), value);
  return row;
}

checkService();
navigator.serviceWorker?.register("sw.js").catch(() => {}); // the page works without it
