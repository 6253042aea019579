// The tab "Attention": one window over an image, its filters, what is read through it and written back.
TABS.push({
  id: "filterbank",
  title: "Attention",
  network: () => "", // what it shows is no network's
  start(section, house) { this.page = new Filterbank(section); },
  shown() { this.page.shown(); },
  hidden() { this.page.stop(); },
});

// What the tab Draw shows, as {network, image}; null as long as it shows nothing.
function onDraw() {
  return TABS.find(tab => tab.id === "draw").page?.request || null;
}

class Filterbank {
  static WINDOW = {gx: 0, gy: 0, log_variance: 1.6, log_delta: -.7, log_gamma: 0};
  static PRESETS = [
    ["half of the image", {}],
    ["the whole image", {log_delta: 0, log_variance: 3}],
    ["small and sharp (fig. 4)", {gy: -.3, log_delta: -1.9, log_variance: -1}],
    ["the whole, too sharp", {log_delta: 0, log_variance: -3}],
    ["very wide filters", {log_variance: 5.5}],
    ["far outside", {gx: 1.7}],
  ];
  static SLIDERS = [
    ["gx", "*g̃_{X}*", "to the left and right", -2, 2, .01],
    ["gy", "*g̃_{Y}*", "up and down", -2, 2, .01],
    ["log_delta", "log *δ̃*", "how far apart the filters are", -5, 1.5, .05],
    ["log_variance", "log *σ*^{2}", "how wide each of them is", -5, 7, .05],
    ["log_gamma", "log *γ*", "how strong all is read", -3, 3, .05],
  ];
  static CORNER = 16; // CSS pixels around a corner of the box where it can be pulled
  static GLIDE = 700; // milliseconds, from one window to another

  constructor(section) {
    Object.assign(this, {section, window: {...Filterbank.WINDOW}, size: 12, told: null, asked: null, picked: [3, 7]});
    this.image = {strokes: 3, size: 100};
    this.of = null; // the network that the image is for, if it is one of a network's
    this.asking = new Asking("filterbank", (a, b) => a.image === b.image && a.network === b.network);
    this.clock = new Clock(0);
    this.pointers = new Map();
    this.bench = new Bench();
    this.build();
    this.listen();
    whenResized(section, () => this.bench.draw());
  }

  build() {
    this.fromDraw = button("what is on the tab Draw", () => this.take(onDraw()));
    this.test = button("a test image", () =>
      this.take({image: {number: Math.floor(Math.random() * 10000)}, network: network().name}));
    this.words = element("span", {className: "words"});
    this.section.append(
      element("p", {}, ...formula("Drag the blue window, or pull at its corners: you see what is read through its "
        + "filters (each is one of *F_{Y}* times one of *F_{X}*), and that written back.")),
      element("div", {className: "buttons"}, button("another digit", () => this.another()), this.fromDraw, this.test,
        this.words),
      element("div", {className: "buttons presets"}, element("span", {textContent: "Try"}),
        ...Filterbank.PRESETS.map(([name, window]) => button(name, () => this.glide(window)))),
      element("div", {className: "bank"}, ...this.bench.parts, element("div", {className: "knobs"}, ...this.knobs(),
        saving(["png"], () => this.asked && ["filterbank", this.asked, {}], {png: "image, filters and patch"}))));
  }

  knobs() {
    this.sliders = {};
    this.equations = {};
    const knob = (name, sign, words, min, max, step, change) => {
      const moved = value => { this.stop(); change(value); };
      const input = slider(moved, {min, max, step, "aria-label": `${name.replace("_", " ")}: ${words}`});
      const value = element("output");
      this.sliders[name] = {input, value};
      this.equations[name] = element("span", {className: "equation"});
      const label = element("label", {}, element("span", {}, ...formula(sign)), input, value);
      return element("div", {className: "knob"}, label, element("p", {}, `${words}: `, this.equations[name]));
    };
    return [
      ...Filterbank.SLIDERS.map(([name, ...more]) => knob(name, ...more, value => this.set({[name]: value}))),
      knob("size", "*N*", "filters along a side", 2, 28, 1, size => { this.size = size; this.update(); }),
    ];
  }

  // What is asked for

  get request() {
    const network = this.of ? {network: this.of} : {};
    return {...network, image: this.image, window: {...this.window}, size: this.size};
  }

  shown() {
    this.fromDraw.disabled = !onDraw();
    this.fromDraw.title = onDraw() ? "" : "there is nothing yet: open that tab first";
    this.test.title = `of those for ${network().name}`;
    if (!this.told) this.update();
  }

  async update() {
    for (const [name, {input, value}] of Object.entries(this.sliders)) {
      input.value = name === "size" ? this.size : this.window[name];
      value.textContent = name === "size" ? this.size : Number(input.value).toFixed(2).replace("-", "−");
    }
    const request = this.request, told = await this.asking.ask(request);
    if (!told) return;
    [this.told, this.asked] = [told, request];
    const {words, shape: [H, W]} = told;
    this.words.textContent = `${words || "your drawing"}, ${W}×${H} pixels`;
    for (const [name, text] of Object.entries(equations(told))) this.equations[name].replaceChildren(...formula(text));
    this.pick(...this.picked);
  }

  set(window) {
    for (const [name, , , low, high] of Filterbank.SLIDERS) {
      if (name in window) this.window[name] = Math.min(Math.max(window[name], low), high);
    }
    this.update();
  }

  take({image, network = null}) {
    [this.image, this.of] = [image, network];
    this.update();
  }

  another() {
    this.take({image: {strokes: "strokes" in this.image ? this.image.strokes + 1 : 3, size: 100}});
  }

  // Moves the window to another place and shape within a moment.
  glide(window) {
    const from = {...this.window}, to = {...Filterbank.WINDOW, ...window}, began = performance.now();
    this.clock.run(() => {
      const way = calm() ? 1 : Math.min((performance.now() - began) / Filterbank.GLIDE, 1);
      const soft = way * way * (3 - 2 * way), between = ([name, end]) => [name, from[name] + (end - from[name]) * soft];
      this.set(Object.fromEntries(Object.entries(to).map(between)));
      return way < 1;
    });
  }

  stop() { this.clock.stop(); }

  pick(row, column) {
    if (!this.told) return;
    this.picked = [row, column].map(k => Math.min(Math.max(k, 0), this.told.size - 1));
    this.bench.show(this.told, this.picked);
  }

  // The hand on the image, and on the patch

  listen() {
    const {image, patch} = this.bench;
    follow(image, {
      down: event => {
        if (!this.told) return false;
        this.stop();
        this.pointers.set(event.pointerId, this.place(event));
        this.grip();
      },
      move: event => {
        this.pointers.set(event.pointerId, this.place(event));
        this.pull();
      },
      up: event => {
        this.pointers.delete(event.pointerId);
        if (this.pointers.size) this.grip();
      },
      hover: event => {
        if (this.told) image.style.cursor = this.corner(this.place(event)) ? "nwse-resize" : "move";
      },
    });
    image.addEventListener("wheel", event => { // once it was clicked: before, the wheel moves the page
      if (document.activeElement !== image || event.ctrlKey) return;
      event.preventDefault();
      this.stop();
      this.set({log_delta: this.window.log_delta + event.deltaY * (event.deltaMode ? .016 : .001)});
    }, {passive: false});
    image.onkeydown = event => {
      const [x, y] = ARROWS[event.key] || [0, 0], stretch = {"+": .05, "-": -.05}[event.key] || 0;
      if (!this.told || !(x || y || stretch)) return;
      event.preventDefault();
      this.stop();
      const [across, down] = this.told.g_per_pixel, {gx, gy, log_delta} = this.window;
      this.set({gx: gx + x * across, gy: gy + y * down, log_delta: log_delta + stretch});
    };
    patch.onpointermove = patch.onpointerdown = event => {
      const size = this.told?.size;
      if (size) this.pick(...placeOn(patch, event, size, size).map(Math.floor).reverse());
    };
    patch.onkeydown = event => {
      const [x, y] = ARROWS[event.key] || [0, 0];
      if (!(x || y)) return;
      event.preventDefault();
      this.pick(this.picked[0] + y, this.picked[1] + x);
    };
  }

  // Where an event is, in pixels of the image.
  place(event) {
    const [H, W] = this.told.shape;
    return placeOn(this.bench.image, event, W, H);
  }

  // True near a corner of the box, where it is large enough to have some.
  corner([x, y]) {
    const [middleX, middleY, half] = this.told.box, {image} = this.bench;
    const near = Math.min(Filterbank.CORNER * this.told.shape[1] / image.clientWidth, half * .6);
    return [x - middleX, y - middleY].every(way => Math.abs(Math.abs(way) - half) < near);
  }

  // What is in the hand from now on: the window, one of its corners, or with two fingers its size.
  grip() {
    const places = [...this.pointers.values()], {box, window} = this.told;
    this.held = {places, window: {...window}, box, corner: places.length === 1 && this.corner(places[0])};
    const inside = [0, 1].every(k => Math.abs(places[0][k] - box[k]) < box[2]);
    if (places.length === 1 && !inside && !this.held.corner) { // beside it: the window comes to the hand
      this.held.places = [[box[0], box[1]]];
      this.pull();
    }
  }

  pull() {
    const [first, second] = this.pointers.values(), {places, window, box, corner} = this.held;
    const apart = (a, b) => Math.max(Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]), .5);
    if (second) return this.set({log_delta: window.log_delta + Math.log(apart(first, second) / apart(...places))});
    if (corner) return this.set({log_delta: window.log_delta + Math.log(apart(first, box) / apart(places[0], box))});
    const [across, down] = this.told.g_per_pixel, [[x, y]] = places;
    this.set({gx: window.gx + (first[0] - x) * across, gy: window.gy + (first[1] - y) * down});
  }
}
