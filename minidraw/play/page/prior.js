// The tab "From noise": new drawings, what one glimpse of a drawing decides, and the way from one drawing to another.
TABS.push({
  id: "prior",
  title: "From noise",
  start(section, house) { this.tab = new FromNoise(section, house); },
  shown() { this.tab.refresh(); },
  hidden() { this.tab.hidden(); },
});

// The latents of a glimpse, as a formula.
function z(glimpse) {
  return element("i", {}, "z", element("sub", {}, glimpse));
}

// A slider that says where it stands, and a button that moves it from its first to its last value.
class Stepper extends Clock {
  constructor(words, name, milliseconds, moved) {
    super(milliseconds, () => { this.button.textContent = this.on ? "Stop" : name; });
    Object.assign(this, {words, moved, label: element("span")});
    this.slider = slider(() => {
      this.stop();
      this.say();
      moved();
    }, {min: 1, max: 1, value: 1});
    this.button = button(name, () => this.on ? this.stop() : this.play());
    this.root = element("div", {className: "controls stepper"},
      element("div", {className: "step"}, this.label, this.slider), this.button);
    this.say();
  }

  get value() { return Number(this.slider.value); }

  set value(value) {
    this.slider.value = value;
    this.say();
  }

  say() {
    this.label.textContent = this.words(this.value);
    this.slider.setAttribute("aria-label", this.label.textContent);
  }

  play() {
    let next = this.value = 1;
    this.moved();
    this.run(async () => {
      this.value = ++next;
      await this.moved();
      return next < Number(this.slider.max);
    });
  }
}

// A player of a sheet whose images have about so many CSS pixels at least: `choices` are numbers of columns.
class SheetPlayer extends Player {
  constructor(root, choices, least, options) {
    super(root, options);
    Object.assign(this, {choices, least});
  }

  layout() {
    if (this.recording) this.columns = this.choices.find(n => this.wide(n) >= this.least) || this.choices.at(-1);
    super.layout();
  }

  wide(columns) {
    const [, W] = this.recording.shape, room = (this.root.clientWidth + 4) / columns - 4;
    return Math.floor(room * devicePixelRatio / W) * W / devicePixelRatio;
  }
}

class FromNoise {
  static COUNT = 24; // drawings of a sheet
  static OTHERS = 8; // variants beside the drawing itself
  static STEPS = 17; // of the way, both ends included

  constructor(section, house) {
    this.house = house;
    this.marks = []; // the cells that are A and B
    this.shows = null; // the request whose sheet one sees
    this.asked = {}; // by lab: the request whose answer is shown, or on its way
    this.labs = Object.fromEntries(["draw", "decide", "influence", "walk"].map(lab => [lab, new Asking(lab)]));
    section.append(...this.sheetParts(), this.decidePart(), this.walkPart());
  }

  hidden() {
    for (const stepper of [this.glimpse, this.step]) stepper.stop();
    for (const player of [this.sheet, this.variants, this.walker]) player.pause();
  }

  // Parts of the page

  sheetParts() {
    this.seed = element("input", {type: "number", min: 0, step: 1, value: 0, onchange: () => this.refresh()});
    const another = button("Other noise", () => {
      this.seed.value = Number(this.seed.value) + 1;
      this.refresh();
    });
    const root = element("div");
    this.sheet = new SheetPlayer(root, [12, 8, 6, 4], 80, {side: 196, select: cell => this.choose(cell)});
    this.advice = element("p", {className: "advice"});
    return [
      element("p", {}, "Let the network draw new pictures; choose one, ask which glimpse decides what it is, and walk ",
        "to another."),
      element("p", {}, "Nobody shows it anything: at each glimpse t it is given random numbers, the latents ", z("t"),
        " (eq. 13), which it turns into strokes inside the orange box (eqs 14 and 15). What all glimpses have added ",
        "up to is the picture (eq. 16). The same seed gives the same pictures."),
      element("div", {className: "controls above"}, another, element("label", {className: "seed"}, "seed", this.seed),
        this.saving("draw", this.sheet)),
      this.advice,
      root,
    ];
  }

  decidePart() {
    const root = element("div");
    this.variants = new SheetPlayer(root, [9, 3], 100, {side: 224});
    this.decides = element("h2");
    this.glimpse = new Stepper(t => `new noise for glimpse ${t} alone`, "Play through all glimpses", 700,
      () => this.decide());
    this.bars = element("div", {className: "bars", role: "group", "aria-label": "how much every glimpse decides"});
    this.time = element("div", {className: "timeline"}, this.bars);
    this.glimpse.slider.replaceWith(this.time);
    this.time.append(this.glimpse.slider);
    this.most = element("p", {className: "equation"});
    return this.deciding = element("section", {hidden: true, className: "parted"}, this.decides,
      element("p", {}, "A, and beside it what A would have been, had one glimpse t alone been given other random ",
        "numbers ", z("t"), ": eight times, each time others. Move the slider: which glimpses decide what it is, and ",
        "which only how it looks? Before that glimpse all nine are alike; play them to see where they part."),
      this.glimpse.root, this.most, root, this.saving("decide", this.variants));
  }

  walkPart() {
    const root = element("div");
    this.walker = new Player(root, {side: 392});
    this.step = new Stepper(k => `step ${k} of ${FromNoise.STEPS}`, "Walk", 250, () => this.showStep());
    this.step.slider.max = FromNoise.STEPS;
    this.row = element("div", {className: "steps", role: "group", "aria-label": "steps from A to B"});
    return this.walking = element("section", {hidden: true, className: "parted"},
      element("h2", {}, "Walk from A to B"),
      element("p", {}, "A and B are two lists of random numbers, ", z("1"), ", ", z("2"), ", … ; from one to the ",
        "other leads a way of such lists, and each of them is a drawing. It is an arc, not a straight line, so that ",
        "all of it is about as likely as A and B are (eq. 13)."),
      this.step.root, this.row, root, this.saving("walk", this.walker));
  }

  saving(lab, player) {
    const request = () => lab === "draw" ? this.shows : this.asked[lab];
    return saving(this.house.kinds, () => request() && [lab, request(), player.options]);
  }

  // What is asked for

  // Asks a lab; null where that failed, or where something newer has been asked meanwhile, or a new sheet.
  async answer(lab, request) {
    this.asked[lab] = request;
    const answer = await this.labs[lab].ask(request), mine = this.asked[lab] === request;
    if (!answer && mine) this.asked[lab] = null;
    return mine ? answer : null;
  }

  async refresh() {
    const request = {network: network().name, seed: Number(this.seed.value), count: FromNoise.COUNT};
    if (JSON.stringify(request) === JSON.stringify(this.asked.draw)) return;
    this.mark([]);
    const answer = await this.answer("draw", request);
    if (!answer) return; // one still sees the old one
    this.shows = request;
    this.sheet.show(answer.recording);
  }

  choose(cell) {
    if (!this.shows || (this.asked.draw && this.asked.draw !== this.shows)) return; // another sheet is on its way
    const others = this.marks.filter(mark => mark !== cell);
    this.mark(others.length < this.marks.length ? others : [...others.slice(0, 1), cell]);
  }

  mark(marks) {
    const [oldA, oldB] = this.marks, [a, b] = this.marks = marks;
    this.sheet.marked = new Map(marks.map((cell, i) => [cell, "AB"[i]]));
    this.deciding.hidden = a === undefined;
    this.walking.hidden = b === undefined;
    this.advice.textContent = [
      "Click a drawing (or Tab, arrow keys, Enter): it becomes A.",
      "Below you see what decides A. Click a second drawing: it becomes B.",
      "Further down you can walk from A to B. Click A or B again to choose another one.",
    ][marks.length];
    if (a !== oldA) this.newA(a);
    if (b !== undefined && (a !== oldA || b !== oldB)) this.walk(a, b);
    if (b === undefined) {
      this.step.stop();
      this.asked.walk = this.path = null;
    }
  }

  newA(a) {
    this.glimpse.stop();
    if (a === undefined) {
      this.asked.decide = this.asked.influence = null;
      return;
    }
    const T = this.sheet.recording.glimpses;
    this.glimpse.slider.max = T;
    this.time.style.setProperty("--places", T);
    this.glimpse.value = Math.min(this.glimpse.value, T);
    this.bars.replaceChildren();
    this.most.textContent = " ";
    this.decide(true).then(() => this.measure());
  }

  // How much every glimpse decides, as bars above the slider.
  async measure() {
    const answer = this.asked.decide && await this.answer("influence", {...this.asked.decide, glimpse: null});
    if (!answer || this.deciding.hidden) return;
    const percent = answer.influence.map(part => 100 * part);
    this.most.textContent = "Bars: how much of the picture changes by new noise in one glimpse alone, a mean over "
      + `pixels: ${Math.max(...percent).toFixed(1)} % at most, ${percent.at(-1).toFixed(1)} % by the last glimpse.`;
    fillBars(this.bars, percent, .01, {
      name: t => `glimpse ${t}: ${percent[t - 1].toFixed(1)} %`,
      choose: t => {
        this.glimpse.stop();
        this.glimpse.value = t;
        this.decide();
      },
    });
    markBars(this.bars, this.glimpse.value);
  }

  async decide(anew = false) {
    const t = this.glimpse.value;
    markBars(this.bars, t);
    this.decides.textContent = `What does glimpse ${t} decide?`;
    const request = {...this.shows, which: this.marks[0], glimpse: t, others: FromNoise.OTHERS};
    const answer = await this.answer("decide", request);
    if (!answer) return;
    this.variants.show(answer.recording, {play: false});
    if (anew) this.variants.glimpse = this.variants.last;
    this.variants.marked = new Map([[0, "A"]]);
  }

  async walk(from, to) {
    this.step.stop();
    this.path = null;
    const answer = await this.answer("walk", {...this.shows, from, to, steps: FromNoise.STEPS});
    if (!answer) return;
    this.path = answer.recording;
    this.row.replaceChildren(...this.smalls(answer.recording));
    this.step.value = (FromNoise.STEPS + 1) / 2;
    this.showStep();
    this.walker.glimpse = this.walker.last;
  }

  // Small pictures of all steps, of what came out, to click.
  smalls({canvas, count: n, shape: [H, W, K]}) {
    const bytes = pixels(canvas), last = bytes.length - n * H * W * K;
    return Array.from({length: n}, (_, i) => {
      const name = i === 0 ? "A" : i === n - 1 ? "B" : `${i + 1}`;
      return pictureButton(bytes, last + i * H * W * K, [H, W, K], `step ${i + 1}`, () => {
        this.step.stop();
        this.step.value = i + 1;
        this.showStep();
      }, element("small", {textContent: name}));
    });
  }

  showStep() {
    if (!this.path) return;
    const k = this.step.value - 1;
    this.walker.show(only(this.path, k), {play: false});
    press(this.row.children, k);
  }
}
