// The prediction: the digit, its confidence and the ten probabilities.

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const byId = (id) => document.getElementById(id);

const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement("li");
  bar.innerHTML = `<span>${digit}</span><div class="track"><div class="fill"></div></div><span class="share">–</span>`;
  return bar;
});
byId("bars").append(...bars);

export function showPrediction({ digit, confidence, sure, probabilities }) {
  const card = document.querySelector(".prediction");
  card.classList.toggle("sure", sure);
  card.classList.toggle("unsure", digit !== null && !sure);
  byId("digit").textContent = digit ?? "";
  byId("result").textContent = digit === null ? "Nothing drawn yet" : sure ? `It is a ${digit}` : "Not sure";
  byId("confidence").textContent =
    digit === null
      ? "The prediction updates as you draw."
      : `${sure ? "" : `perhaps a ${digit}, `}confidence ${percent.format(confidence)}`;
  bars.forEach((bar, index) => {
    const share = probabilities[index];
    bar.classList.toggle("top", index === digit);
    bar.style.setProperty("--share", share ?? 0);
    bar.querySelector(".share").textContent = share === undefined ? "–" : percent.format(share);
  });
}

export function showError(text) {
  showPrediction({ digit: null, confidence: 0, sure: false, probabilities: [] });
  byId("result").textContent = "No prediction";
  byId("confidence").textContent = text;
}

export function showLatency(milliseconds) {
  byId("latency").textContent = milliseconds === null ? "\u00a0" : `response time ${Math.round(milliseconds)} ms`;
  document.body.dataset.latency = milliseconds ?? "";
}
