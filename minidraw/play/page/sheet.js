// A sheet: one moment of a recording, an image a cell, with the boxes of its windows; cells can be marked and chosen.
class Sheet {
  static count = 0; // of sheets on the page

  // root: where the sheet goes; columns: cells a row, null for what fits best; side: CSS pixels of an image at most;
  // originals: the original with the blue box left of the drawing with the orange one; select(i): cell i is chosen;
  // tall: how much of the window's height it takes at most, where `columns` does not say how wide it is.
  constructor(root, {columns = null, side = 160, originals = false, select = null, tall = .6} = {}) {
    Object.assign(this, {root, columns, side, originals, select, tall, recording: null, marks: new Map()});
    [this.at, this.cursor, this.number] = [0, 0, Sheet.count++];
    this.canvas = element("canvas", {className: "sheet", role: "img", "aria-label": "nothing yet"});
    root.classList.add("player");
    root.append(this.canvas);
    if (select) this.selecting();
    whenResized(root, () => this.layout());
  }

  get options() { return {plain: false, boxes: true}; }

  // The moment when all is drawn.
  get last() { return this.recording ? this.recording.glimpses + 1 : 1; }

  hold(recording) {
    this.recording = recording;
    this.bytes = {};
    for (const name of ["canvas", "ink", "start", "empty", "originals"]) {
      this.bytes[name] = recording[name] && pixels(recording[name]);
    }
    this.cursor = Math.min(this.cursor, recording.count - 1);
    this.nameCells();
    this.layout();
  }

  // Cells with a frame and a label: a Map of cell number -> text.
  set marked(marks) {
    this.marks = marks;
    this.nameCells();
    this.draw();
  }

  // Cells that are chosen: by a click, or by the arrow keys and Enter.

  selecting() {
    const {canvas} = this;
    Object.assign(canvas, {role: "listbox", tabIndex: 0, ariaMultiSelectable: true});
    canvas.classList.add("select");
    canvas.onclick = event => {
      const cell = this.cellAt(event);
      if (cell !== null) this.choose(cell);
    };
    canvas.onfocus = canvas.onblur = () => this.draw();
    canvas.onkeydown = event => {
      const [x, y] = ARROWS[event.key] || [0, 0], moves = x || y;
      if (!this.recording || (!moves && event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      const next = this.cursor + x + y * this.across;
      if (!moves) this.choose(this.cursor);
      else if (next >= 0 && next < this.recording.count) this.go(next);
    };
  }

  go(cell) {
    this.cursor = cell;
    this.nameCells();
    this.draw();
  }

  choose(cell) {
    this.go(cell);
    this.select(cell);
  }

  // What a screen reader has of the cells.
  nameCells() {
    if (!this.select || !this.recording) return;
    this.canvas.replaceChildren(...Array.from({length: this.recording.count}, (_, i) => {
      const mark = this.marks.get(i), textContent = `drawing ${i + 1}${mark ? `, ${mark}` : ""}`;
      return element("span", {role: "option", id: `cell-${this.number}-${i}`, textContent,
        "aria-selected": this.marks.has(i)});
    }));
    this.canvas.setAttribute("aria-activedescendant", `cell-${this.number}-${this.cursor}`);
  }

  // The number of the cell below the pointer, or null.
  cellAt(event) {
    if (!this.recording || !this.scale) return null;
    const [x, y] = placeOn(this.canvas, event, this.canvas.width, this.canvas.height);
    const column = Math.floor(x / (this.cellWidth + this.gap)), row = Math.floor(y / (this.cellHeight + this.gap));
    const cell = row * this.across + column;
    return column >= 0 && column < this.across && row >= 0 && cell < this.recording.count ? cell : null;
  }

  // What is seen

  // Gives the sheet its size: as large as its place allows, in whole pixels of the screen for each of the image.
  layout() {
    const width = this.root.clientWidth;
    if (!this.recording || !width) return;
    const {shape: [H, W], count: n} = this.recording, ratio = devicePixelRatio;
    const pair = this.bytes.originals && this.originals, wide = pair ? 2 : 1;
    this.gap = Math.max(1, Math.round((n > 1 ? 4 : 0) * ratio));
    this.between = pair ? Math.round((n > 1 ? 1 : 12) * ratio) : 0;
    const tall = Math.max(innerHeight * this.tall, 240);
    this.across = Math.min(n, this.columns || bestColumns(n, H, wide * W, tall, width, this.side * wide));
    const rows = Math.ceil(n / this.across), room = (width * ratio + this.gap) / this.across - this.gap - this.between;
    let scale = Math.min(room / wide / W, this.side * ratio / Math.max(H, W));
    if (!this.columns) scale = Math.min(scale, (tall * ratio / rows - this.gap) / H);
    if (n > 1 && scale > 1 && scale < 12) scale = Math.floor(scale);
    this.scale = scale;
    this.cellWidth = wide * Math.round(W * scale) + this.between;
    this.cellHeight = Math.round(H * scale);
    sized(this.canvas, this.across * (this.cellWidth + this.gap) - this.gap,
      rows * (this.cellHeight + this.gap) - this.gap);
    this.root.style.setProperty("--sheet", this.canvas.style.width);
    this.draw();
  }

  // The bytes of all drawings at this moment: where the first begins, and how far the next is from it.
  frame(plain) {
    const {canvas, ink, start, empty} = this.bytes, {shape: [H, W, K], glimpses: T, count} = this.recording;
    const size = H * W * K, bare = plain || !ink;
    if (this.at < 1) return [bare ? start : empty, 0, 0];
    if (this.at > T) return [canvas, (T - 1) * count * size, size];
    return [bare ? canvas : ink, (this.at - 1) * count * size, size];
  }

  draw() {
    if (!this.recording || !this.scale) return;
    const context = this.canvas.getContext("2d"), {shape: [H, W, K], count, glimpses, read, write} = this.recording;
    const {boxes, plain} = this.options, [bytes, first, step] = this.frame(plain), beside = this.between > 0;
    const t = boxes && this.at >= 1 && this.at <= glimpses ? this.at - 1 : null;
    this.edge = getComputedStyle(this.root).getPropertyValue("--edge");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (let i = 0; i < count; i++) {
      const [left, top] = this.corner(i), right = left + (beside ? Math.round(W * this.scale) + this.between : 0);
      if (beside) this.image(context, this.bytes.originals, i * H * W * K, left, top);
      this.image(context, bytes, first + i * step, right, top);
      const looks = read?.[t]?.[i], writes = write?.[t]?.[i];
      if (looks) this.boxOn(context, looks, left, top, READING);
      if (writes) this.boxOn(context, writes, right, top, WRITING, !beside && looks && coincide(looks, writes));
    }
    this.drawMarks(context);
  }

  // An image with a hair line around it: black ones would be lost on a dark page.
  image(context, bytes, offset, left, top) {
    const [H, W, K] = this.recording.shape;
    paint(context, bytes, offset, H, W, K, left, top, this.scale);
    context.lineWidth = 1;
    context.strokeStyle = this.edge;
    context.strokeRect(left + .5, top + .5, Math.round(W * this.scale) - 1, this.cellHeight - 1);
  }

  // The left upper corner of cell i, in pixels of the sheet.
  corner(i) {
    const row = Math.floor(i / this.across), column = i % this.across;
    return [column * (this.cellWidth + this.gap), row * (this.cellHeight + this.gap)];
  }

  // A box, as far as it lies on its image.
  boxOn(context, box, left, top, colour, dashed) {
    context.save();
    context.beginPath();
    context.rect(left, top, Math.round(this.recording.shape[1] * this.scale), this.cellHeight);
    context.clip();
    drawBox(context, box, left, top, this.scale, colour, dashed);
    context.restore();
  }

  drawMarks(context) {
    const ratio = devicePixelRatio, style = getComputedStyle(this.root), accent = style.getPropertyValue("--accent");
    const frame = (i, width, colour) => {
      const [left, top] = this.corner(i), inset = width / 2;
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.strokeRect(left + inset, top + inset, this.cellWidth - width, this.cellHeight - width);
    };
    const size = Math.min(Math.max(this.cellHeight / 6, 12 * ratio), 20 * ratio); // of the letters
    context.font = `600 ${size}px system-ui, "DejaVu Sans", sans-serif`;
    context.textBaseline = "top";
    for (const [i, text] of this.marks) {
      if (i >= this.recording.count) continue;
      const [left, top] = this.corner(i);
      frame(i, 3 * ratio, accent);
      context.fillStyle = accent;
      context.fillRect(left, top, Math.min(context.measureText(text).width + size * .7, this.cellWidth), size * 1.4);
      context.fillStyle = style.getPropertyValue("--card");
      context.fillText(text, left + size * .35, top + size * .25, this.cellWidth - size * .5);
    }
    if (this.select && this.canvas.matches(":focus-visible")) {
      frame(this.cursor, 4 * ratio, "#000");
      frame(this.cursor, 2 * ratio, "#fff");
    }
  }
}

// True where two windows' lines would hide each other.
function coincide(a, b) {
  return [0, 1, 2].every(i => Math.abs(a[i] - b[i]) < Math.max(a[3], b[3]));
}

// How many columns make the cells of `n` images, (h, w) each, largest in a sheet of at most (height, width).
function bestColumns(n, h, w, height, width, side) {
  let best = 1, most = 0;
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const full = rows * columns === n ? 1 : .97; // rather no gaps in the last row
    const scale = full * Math.min(width / columns / w, height / rows / h, side / Math.max(h, w));
    if (scale > most + 1e-9) [best, most] = [columns, scale];
  }
  return best;
}

// Returns drawing i of a recording as a recording of its own.
function only(recording, i) {
  const {glimpses: T, count: n, shape: [H, W, K]} = recording, size = H * W * K;
  const frames = b64 => {
    if (!b64) return null;
    const all = pixels(b64), some = new Uint8Array(T * size);
    for (let t = 0; t < T; t++) some.set(all.subarray((t * n + i) * size, (t * n + i + 1) * size), t * size);
    return btoa(Array.from(some, byte => String.fromCharCode(byte)).join(""));
  };
  const boxes = all => all && all.map(of => [of[i]]);
  return {...recording, count: 1, canvas: frames(recording.canvas), ink: frames(recording.ink),
    write: boxes(recording.write), read: boxes(recording.read)};
}
