// The explanation: the network's input image, the saliency of its pixels and the activations of its hidden layer.

const byId = (id) => document.getElementById(id);
const RAISES = [86, 180, 233]; // colours of Okabe and Ito, told apart with any colour vision
const LOWERS = [230, 159, 0];
const INPUT_CAPTION = "Network input: 28 × 28 pixels, cropped, scaled and centred as in MNIST";
const SALIENCY_CAPTION = "Saliency: blue pixels raise the probability of this digit, orange pixels lower it";

let shown = { pixels: [], saliency: [], activations: [], reason: null };

// Show an explanation, or the reason why there is none for what is drawn.
export function showExplanation(explanation, reason) {
  shown = { ...explanation, reason };
  render();
}

for (const id of ["show-saliency", "show-hidden"]) byId(id).addEventListener("change", render);

function render() {
  drawInput(byId("show-saliency").checked);
  byId("hidden-figure").hidden = !byId("show-hidden").checked;
  if (byId("show-hidden").checked) drawHidden();
}

function drawInput(withSaliency) {
  const canvas = byId("network-input");
  const context = canvas.getContext("2d");
  const size = canvas.width / 28;
  context.clearRect(0, 0, canvas.width, canvas.height);
  shown.pixels.forEach((row, y) =>
    row.forEach((level, x) => {
      context.fillStyle = withSaliency ? blend(level, shown.saliency[y][x]) : `rgb(${level} ${level} ${level})`;
      context.fillRect(x * size, y * size, size, size);
    }),
  );
  byId("input-caption").textContent = shown.reason ?? (withSaliency ? SALIENCY_CAPTION : INPUT_CAPTION);
}

function blend(level, saliency) {
  const colour = saliency > 0 ? RAISES : LOWERS;
  const share = Math.sqrt(Math.abs(saliency)); // small shares would not be visible
  return `rgb(${colour.map((part) => Math.round(share * part + (1 - share) * level * 0.55)).join(" ")})`;
}

function drawHidden() {
  const canvas = byId("hidden");
  const context = canvas.getContext("2d");
  const count = shown.activations.length;
  const columns = Math.max(1, Math.ceil(Math.sqrt(count)));
  const size = canvas.width / columns;
  const highest = Math.max(...shown.activations, 1e-9);
  const gap = Math.min(2, size / 8);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  shown.activations.forEach((activation, unit) => {
    context.globalAlpha = 0.06 + 0.94 * (activation / highest);
    context.fillRect((unit % columns) * size, Math.floor(unit / columns) * size, size - gap, size - gap);
  });
  context.globalAlpha = 1;
  const active = shown.activations.filter((activation) => activation > 0).length;
  const none = shown.reason ? "" : "No drawing, or no hidden layer";
  byId("hidden-caption").textContent = count ? `${active} of ${count} hidden units are active` : none;
}
