// The paper that is drawn on: by mouse, touch, pen and keyboard. Strokes are kept as points, so they can be undone.

const SENT_SIDE = 168; // six times what the network sees, which is enough for a small digit in a corner
const STEP = 12;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Paper extends EventTarget {
  #canvas;
  #strokes = [];
  #current = null; // the stroke of the pointer that is down
  #pointer = null;
  #cursor = null; // where the pen of the keyboard is
  #typed = null; // the stroke of the keyboard's pen while it is down
  #picture = null;
  width = 36;
  erasing = false;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#go(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#end(event));
    canvas.addEventListener("keydown", (event) => this.#type(event));
    canvas.addEventListener("blur", () => this.#liftTyped());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#render());
    this.#render();
  }

  get isEmpty() {
    return this.#strokes.length === 0 && this.#picture === null;
  }

  undo() {
    this.#liftTyped();
    if (this.#strokes.length) this.#strokes.pop();
    else this.#picture = null;
    this.#changed();
  }

  clear() {
    this.#liftTyped();
    this.#strokes = [];
    this.#current = this.#picture = null;
    this.#changed();
  }

  // Show a picture file instead of a drawing. Throws where the browser cannot decode it.
  async place(file) {
    const bitmap = await createImageBitmap(file);
    this.#strokes = [];
    this.#picture = { file, bitmap };
    this.#changed();
  }

  // What is recognised: the picture file as it is, or the drawing as PNG.
  async toBlob() {
    if (this.#picture) return this.#picture.file;
    const sent = new OffscreenCanvas(SENT_SIDE, SENT_SIDE);
    this.#draw(sent.getContext("2d"), SENT_SIDE / this.#canvas.width);
    return sent.convertToBlob({ type: "image/png" });
  }

  #begin(event) {
    if (event.button > 0 || this.#pointer !== null) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#cursor = null;
    this.#current = this.#newStroke(this.#place(event));
    this.#changed();
  }

  #go(event) {
    if (event.pointerId !== this.#pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) this.#current?.points.push(this.#place(one));
    this.#changed();
  }

  #end(event) {
    if (event.pointerId === this.#pointer) this.#pointer = this.#current = null;
  }

  #type(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    const side = this.#canvas.width;
    this.#cursor ??= [side / 2, side / 4];
    if (arrow) {
      const step = STEP * (event.shiftKey ? 3 : 1);
      this.#cursor = this.#cursor.map((value, axis) => Math.min(side, Math.max(0, value + step * arrow[axis])));
      this.#typed?.points.push(this.#cursor);
    } else {
      this.#typed = this.#typed ? null : this.#newStroke(this.#cursor);
    }
    this.#changed();
  }

  #liftTyped() {
    this.#typed = null;
    this.#render();
  }

  #newStroke(point) {
    this.#picture = null;
    const stroke = { points: [point], width: this.width, erase: this.erasing };
    this.#strokes.push(stroke);
    return stroke;
  }

  #place(event) {
    const box = this.#canvas.getBoundingClientRect();
    const scale = this.#canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  #changed() {
    this.#render();
    this.dispatchEvent(new Event("change"));
  }

  #render() {
    const context = this.#canvas.getContext("2d");
    this.#draw(context, 1);
    if (this.#cursor) this.#drawCursor(context);
  }

  #draw(context, scale) {
    const side = this.#canvas.width;
    const colours = getComputedStyle(this.#canvas);
    const paper = colours.getPropertyValue("--paper");
    const ink = colours.getPropertyValue("--ink");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
    if (this.#picture) drawFitted(context, this.#picture.bitmap, side);
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      context.strokeStyle = stroke.erase ? paper : ink;
      context.lineWidth = stroke.width * (stroke.erase ? 1.6 : 1);
      context.stroke(pathThrough(stroke.points));
    }
  }

  #drawCursor(context) {
    const [x, y] = this.#cursor;
    context.lineWidth = this.#typed ? 5 : 2;
    context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--accent");
    context.beginPath();
    context.arc(x, y, this.width / 2 + 3, 0, 2 * Math.PI);
    context.stroke();
  }
}

// Through the middles between the points, which makes the corners of a quick hand round.
function pathThrough(points) {
  const path = new Path2D();
  path.moveTo(...points[0]);
  for (let index = 1; index < points.length; index++) {
    const [before, here] = [points[index - 1], points[index]];
    path.quadraticCurveTo(...before, (before[0] + here[0]) / 2, (before[1] + here[1]) / 2);
  }
  path.lineTo(...points[points.length - 1]);
  return path;
}

function drawFitted(context, bitmap, side) {
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
}
