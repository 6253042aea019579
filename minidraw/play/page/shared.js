// What all parts of the page are made of: elements, pixels and boxes, clocks, hands.
const TABS = []; // of {id, title, start(section, house), shown(), hidden()}; each tab's file adds its own
const READING = "#56b4e9", WRITING = "#e69f00"; // as in pictures/sheets.py
const THIN = 1.5, THICK = 10; // CSS pixels, of a box's line
const ROOM = 2; // a box has an outline inside too where there are so many pixels of the image
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}; // across and down

// Returns a new element: what the element knows is set as a property, all else as an attribute.
function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function button(textContent, onclick, more = {}) {
  return element("button", {type: "button", textContent, onclick, ...more});
}

// A label with a checkbox in it, which is its `control`.
function checkbox(text, checked, onchange = () => {}) {
  return element("label", {}, element("input", {type: "checkbox", checked, onchange}), element("span", {}, text));
}

// A slider; moved(value) is called when it is moved.
function slider(moved, properties) {
  const input = element("input", {type: "range", step: 1, ...properties});
  input.oninput = () => moved(Number(input.value));
  return input;
}

// An image of bytes as a button.
function pictureButton(bytes, offset, [H, W, K], name, onclick, ...more) {
  const canvas = element("canvas", {width: W, height: H});
  paint(canvas.getContext("2d"), bytes, offset, H, W, K, 0, 0, 1);
  return element("button", {type: "button", "aria-label": name, onclick}, canvas, ...more);
}

// Marks the i-th of some buttons as the one that is chosen.
function press(buttons, i) {
  [...buttons].forEach((one, k) => one.setAttribute("aria-pressed", k === i));
}

// Fills a row with bars of a number for every glimpse, the highest of which is at least `least`: a click chooses one;
// point(t): the pointer or the focus is on one, or (undefined) on none any more.
function fillBars(row, numbers, least, {name, choose, point = () => {}}) {
  const most = Math.max(...numbers, least);
  row.replaceChildren(...numbers.map((number, i) => {
    const fill = element("i"), bar = button("", () => choose(i + 1), {tabIndex: -1, "aria-label": name(i + 1)});
    fill.style.height = `${Math.max(100 * number / most, 1)}%`;
    bar.onpointerenter = bar.onfocus = () => point(i + 1);
    bar.onpointerleave = bar.onblur = () => point();
    bar.append(fill);
    return bar;
  }));
}

// Marks the bar of a glimpse, and those before it.
function markBars(row, glimpse) {
  [...row.children].forEach((bar, i) => {
    bar.classList.toggle("now", i + 1 === glimpse);
    bar.classList.toggle("past", i + 1 < glimpse);
    bar.tabIndex = i + 1 === glimpse ? 0 : -1;
  });
}

// What an answer's grey pixels cost, if they do, whatever is drawn.
function unavoidable({grey}) {
  return grey > .5 ? `, ${nats(grey)} of them unavoidable, for grey pixels` : "";
}

// A number of nats.
function nats(value) {
  return value.toFixed(Math.abs(value) < 100 ? 1 : 0);
}

// Whether the reader likes pages on which nothing moves by itself.
function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

// CSS pixels of the window's height that so many lines of text and controls leave.
function spare(lines) {
  return Math.max(innerHeight - lines * parseFloat(getComputedStyle(document.body).fontSize), 120);
}

// Calls f when an element's width or the window's size is another one; not while the browser still measures.
function whenResized(node, f) {
  let width = null;
  new ResizeObserver(() => {
    if (node.clientWidth !== width) requestAnimationFrame(f);
    width = node.clientWidth;
  }).observe(node);
  window.addEventListener("resize", f);
}

// The window is on another screen, or zoomed, or its colours are others: all is laid out anew.
for (const query of [() => `(resolution: ${devicePixelRatio}dppx)`, () => "(prefers-color-scheme: dark)"]) {
  (function listen() {
    matchMedia(query()).addEventListener("change", () => {
      listen();
      window.dispatchEvent(new Event("resize"));
    }, {once: true});
  })();
}

// Runs a step, which may be async, every so many milliseconds until it returns false; it rests while nobody can see it.
class Clock {
  constructor(milliseconds, onchange = () => {}) {
    Object.assign(this, {milliseconds, onchange, turn: null});
  }

  get on() { return this.turn !== null; }

  async run(step) {
    const turn = this.turn = {};
    this.onchange();
    for (let last = performance.now(); this.turn === turn;) {
      const now = await new Promise(requestAnimationFrame);
      if (this.turn !== turn || now - last < this.milliseconds) continue;
      last = Math.max(last + this.milliseconds, now - this.milliseconds);
      if (await step() === false && this.turn === turn) this.stop();
    }
  }

  stop() {
    this.turn = null;
    this.onchange();
  }
}

// Follows pointers that press on a canvas until they are let go, or lost: down(event) may refuse one with false;
// hover(event): a pointer that does not press.
function follow(canvas, {down, move, up = () => {}, hover = () => {}}) {
  const held = new Set();
  canvas.onpointerdown = event => {
    if (event.button !== 0 || down(event) === false) return;
    event.preventDefault();
    if (canvas.tabIndex >= 0) canvas.focus({preventScroll: true});
    held.add(event.pointerId);
    canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = event => held.has(event.pointerId) ? move(event) : hover(event);
  canvas.onpointerup = canvas.onpointercancel = canvas.onlostpointercapture = event => {
    if (held.delete(event.pointerId)) up(event);
  };
}

// Where an event is on a canvas that is (W, H) wide and high.
function placeOn(canvas, event, W, H) {
  const {left, top, width, height} = canvas.getBoundingClientRect();
  return [(event.clientX - left) * W / width, (event.clientY - top) * H / height];
}

// Returns the bytes of base64.
function pixels(b64) {
  const text = atob(b64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// Paints an image of H x W x K bytes that begins at `offset`, enlarged without smoothing, its corner at (x, y).
function paint(context, bytes, offset, H, W, K, x, y, scale) {
  const small = paint.small ||= document.createElement("canvas");
  if (small.width !== W || small.height !== H) [small.width, small.height] = [W, H];
  const image = new ImageData(W, H), data = image.data, second = K > 1 ? 1 : 0, third = K > 2 ? 2 : second;
  for (let i = 0, from = offset; i < data.length; i += 4, from += K) {
    data[i] = bytes[from];
    data[i + 1] = bytes[from + second];
    data[i + 2] = bytes[from + third];
    data[i + 3] = 255;
  }
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, x, y, Math.round(W * scale), Math.round(H * scale));
}

// Draws a window [x, y, half, line], in pixels of an image whose corner is at (left, top) of the canvas.
function drawBox(context, [x, y, half, line], left, top, scale, colour, dashed = false) {
  const ratio = devicePixelRatio, edge = ratio, thick = Math.min(Math.max(line * scale, THIN * ratio), THICK * ratio);
  const inner = half * scale - thick / 2, outer = inner + thick;
  const band = (from, to, style) => {
    const side = Math.max(from, 0) + to; // of the square through the middle of the line
    context.lineWidth = to - Math.max(from, 0);
    context.strokeStyle = style;
    context.strokeRect(left + x * scale - side / 2, top + y * scale - side / 2, side, side);
  };
  if (!dashed) band(inner - edge > ROOM * scale ? inner - edge : inner, outer + edge, "#000");
  context.setLineDash(dashed ? [2 * scale, 2 * scale] : []);
  band(inner, outer, colour);
  context.setLineDash([]);
}

// Makes a canvas as large as given, in pixels of the screen, and returns its context.
function sized(canvas, width, height) {
  [canvas.width, canvas.height] = [Math.max(Math.round(width), 1), Math.max(Math.round(height), 1)];
  canvas.style.width = `${canvas.width / devicePixelRatio}px`;
  return canvas.getContext("2d");
}

// Pixels of the screen for one of an image, of which `count` are to fill `room` (CSS pixels): a whole number of them.
function whole(room, count) {
  const scale = room * devicePixelRatio / count;
  return scale > 1 ? Math.floor(scale) : scale;
}
