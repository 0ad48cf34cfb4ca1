// What the network says: the digit, how sure, and the ten probabilities.

const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const byId = (id) => document.getElementById(id);

const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement("li");
  bar.innerHTML = `<span>${digit}</span><div class="track"><div class="fill"></div></div><span class="share">–</span>`;
  return bar;
});
byId("bars").append(...bars);

export function showAnswer({ digit, confidence, sure, probabilities }) {
  const card = document.querySelector(".answer");
  card.classList.toggle("sure", sure);
  card.classList.toggle("unsure", digit !== null && !sure);
  byId("digit").textContent = digit ?? "";
  byId("verdict").textContent = digit === null ? "Nothing drawn yet" : sure ? `It is a ${digit}` : "Not sure";
  byId("confidence").textContent =
    digit === null
      ? "The network answers as you draw."
      : `${sure ? "" : `perhaps a ${digit}, `}confidence ${percent.format(confidence)}`;
  bars.forEach((bar, index) => {
    const share = probabilities[index];
    bar.classList.toggle("top", index === digit);
    bar.style.setProperty("--share", share ?? 0);
    bar.querySelector(".share").textContent = share === undefined ? "–" : percent.format(share);
  });
}

export function showRefusal(text) {
  showAnswer({ digit: null, confidence: 0, sure: false, probabilities: [] });
  byId("verdict").textContent = "No answer";
  byId("confidence").textContent = text;
}

export function showLatency(milliseconds) {
  const shown = milliseconds === null ? "" : `answered in ${Math.round(milliseconds)} ms`;
  byId("latency").textContent = shown || "\u00a0";
  document.body.dataset.latency = milliseconds ?? "";
}
