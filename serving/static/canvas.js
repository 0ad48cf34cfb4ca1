// The canvas for drawing with mouse, finger, pen and keyboard. Strokes are kept as points, so they can be undone.

const SENT_SIDE = 168; // six times the side of the network's input: enough for a small digit in a corner
const KEYBOARD_STEP = 12;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class DrawingCanvas extends EventTarget {
  #canvas;
  #strokes = [];
  #pointerStroke = null; // the stroke of the pointer that is down
  #pointerId = null;
  #cursor = null; // the position of the keyboard's pen
  #keyboardStroke = null; // the stroke of the keyboard's pen while it is down
  #picture = null;
  width = 36;
  erasing = false;

  constructor(canvas) {
    super();
    this.#canvas = canvas;
    canvas.addEventListener("pointerdown", (event) => this.#startPointerStroke(event));
    canvas.addEventListener("pointermove", (event) => this.#extendPointerStroke(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.#endPointerStroke(event));
    canvas.addEventListener("keydown", (event) => this.#handleKey(event));
    canvas.addEventListener("blur", () => this.#endKeyboardStroke());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#render());
    this.#render();
  }

  get isEmpty() {
    return this.#strokes.length === 0 && this.#picture === null;
  }

  undo() {
    this.#endKeyboardStroke();
    if (this.#strokes.length) this.#strokes.pop();
    else this.#picture = null;
    this.#changed();
  }

  clear() {
    this.#endKeyboardStroke();
    this.#strokes = [];
    this.#pointerStroke = this.#picture = null;
    this.#changed();
  }

  // Show a picture file instead of a drawing. Throws if the browser cannot decode it.
  async loadPicture(file) {
    const bitmap = await createImageBitmap(file);
    this.#strokes = [];
    this.#picture = { file, bitmap };
    this.#changed();
  }

  // The input of the service: the picture file as it is, or the drawing as PNG.
  async toBlob() {
    if (this.#picture) return this.#picture.file;
    const copy = new OffscreenCanvas(SENT_SIDE, SENT_SIDE);
    this.#draw(copy.getContext("2d"), SENT_SIDE / this.#canvas.width);
    return copy.convertToBlob({ type: "image/png" });
  }

  #startPointerStroke(event) {
    if (event.button > 0 || this.#pointerId !== null) return;
    event.preventDefault();
    this.#canvas.focus({ preventScroll: true });
    this.#pointerId = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#cursor = null;
    this.#pointerStroke = this.#newStroke(this.#position(event));
    this.#changed();
  }

  #extendPointerStroke(event) {
    if (event.pointerId !== this.#pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const move of events.length ? events : [event]) this.#pointerStroke?.points.push(this.#position(move));
    this.#changed();
  }

  #endPointerStroke(event) {
    if (event.pointerId === this.#pointerId) this.#pointerId = this.#pointerStroke = null;
  }

  #handleKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (!arrow && event.key !== " ") return;
    event.preventDefault();
    const side = this.#canvas.width;
    this.#cursor ??= [side / 2, side / 4];
    if (arrow) {
      const step = KEYBOARD_STEP * (event.shiftKey ? 3 : 1);
      this.#cursor = this.#cursor.map((value, axis) => Math.min(side, Math.max(0, value + step * arrow[axis])));
      this.#keyboardStroke?.points.push(this.#cursor);
    } else {
      this.#keyboardStroke = this.#keyboardStroke ? null : this.#newStroke(this.#cursor);
    }
    this.#changed();
  }

  #endKeyboardStroke() {
    this.#keyboardStroke = null;
    this.#render();
  }

  #newStroke(point) {
    this.#picture = null;
    const stroke = { points: [point], width: this.width, erase: this.erasing };
    this.#strokes.push(stroke);
    return stroke;
  }

  #position(event) {
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
    const background = colours.getPropertyValue("--canvas");
    const ink = colours.getPropertyValue("--ink");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = background;
    context.fillRect(0, 0, side, side);
    if (this.#picture) drawFitted(context, this.#picture.bitmap, side);
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) {
      context.strokeStyle = stroke.erase ? background : ink;
      context.lineWidth = stroke.width * (stroke.erase ? 1.6 : 1);
      context.stroke(pathThrough(stroke.points));
    }
  }

  #drawCursor(context) {
    const [x, y] = this.#cursor;
    context.lineWidth = this.#keyboardStroke ? 5 : 2;
    context.strokeStyle = getComputedStyle(this.#canvas).getPropertyValue("--accent");
    context.beginPath();
    context.arc(x, y, this.width / 2 + 3, 0, 2 * Math.PI);
    context.stroke();
  }
}

// A curve through the midpoints between the points, which rounds the corners of quick strokes.
function pathThrough(points) {
  const path = new Path2D();
  path.moveTo(...points[0]);
  for (let index = 1; index < points.length; index++) {
    const [previous, point] = [points[index - 1], points[index]];
    path.quadraticCurveTo(...previous, (previous[0] + point[0]) / 2, (previous[1] + point[1]) / 2);
  }
  path.lineTo(...points[points.length - 1]);
  return path;
}

function drawFitted(context, bitmap, side) {
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.drawImage(bitmap, (side - width) / 2, (side - height) / 2, width, height);
}
