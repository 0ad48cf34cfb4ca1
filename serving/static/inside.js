// What goes on inside: the image that the network is given, what it goes by, its hidden layer.

const byId = (id) => document.getElementById(id);
const SPEAKS_FOR = [86, 180, 233]; // of Okabe and Ito, told apart with any colour vision
const SPEAKS_AGAINST = [230, 159, 0];
const SEEN = "28 × 28 pixels, cropped, scaled and centred as in MNIST";
const GOES_BY = "blue ink speaks for this digit, orange ink against it";

let last = { pixels: [], saliency: [], activations: [] };

export function showInside(explained) {
  last = explained;
  render();
}

for (const id of ["show-saliency", "show-hidden"]) byId(id).addEventListener("change", render);

function render() {
  drawSeen(byId("show-saliency").checked);
  byId("hidden-figure").hidden = !byId("show-hidden").checked;
  if (byId("show-hidden").checked) drawHidden();
}

function drawSeen(withSaliency) {
  const canvas = byId("seen");
  const context = canvas.getContext("2d");
  const size = canvas.width / 28;
  context.clearRect(0, 0, canvas.width, canvas.height);
  last.pixels.forEach((row, y) =>
    row.forEach((level, x) => {
      context.fillStyle = withSaliency ? blended(level, last.saliency[y][x]) : `rgb(${level} ${level} ${level})`;
      context.fillRect(x * size, y * size, size, size);
    }),
  );
  byId("seen-caption").textContent = withSaliency ? GOES_BY : SEEN;
}

function blended(level, weight) {
  const colour = weight > 0 ? SPEAKS_FOR : SPEAKS_AGAINST;
  const share = Math.sqrt(Math.abs(weight)); // small shares would not be seen
  return `rgb(${colour.map((part) => Math.round(share * part + (1 - share) * level * 0.55)).join(" ")})`;
}

function drawHidden() {
  const canvas = byId("hidden");
  const context = canvas.getContext("2d");
  const count = last.activations.length;
  const columns = Math.max(1, Math.ceil(Math.sqrt(count)));
  const size = canvas.width / columns;
  const most = Math.max(...last.activations, 1e-9);
  const gap = Math.min(2, size / 8);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  last.activations.forEach((activation, unit) => {
    context.globalAlpha = 0.06 + 0.94 * (activation / most);
    context.fillRect((unit % columns) * size, Math.floor(unit / columns) * size, size - gap, size - gap);
  });
  context.globalAlpha = 1;
  const active = last.activations.filter((activation) => activation > 0).length;
  byId("hidden-caption").textContent = count ? `${active} of ${count} hidden units are active` : "no drawing, or no hidden layer";
}
