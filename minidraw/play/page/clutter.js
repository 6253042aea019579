// The tab "Find the digit": a digit that one drags through clutter, and a classifier that looks for it.
TABS.push({
  id: "clutter",
  title: "Find the digit",
  network: house => house.classifier?.name ?? "",
  start(section, house) {
    if (house.classifier) this.page = new Clutter(section, house);
    else section.append("There is no network here that names what it sees.");
  },
  shown() { this.page?.shown(); },
  hidden() { this.page?.pause(); },
});

class Clutter {
  static PACE = 600; // milliseconds, a glimpse
  static BESIDE = 23.5; // lines above and below the image
  static AROUND = 39; // lines around what is seen in a glimpse

  // Of one image but for where the digit is, which is being dragged.
  static alike(a, b) { return a.digit === b.digit && a.seed === b.seed && a.scraps === b.scraps; }

  constructor(section, house) {
    Object.assign(this, {section, house, digit: {class: 7, number: 0}, place: null, seed: 2, told: null, asked: null});
    this.at = 0; // the glimpse that is shown, of 1, 2, ...
    this.asking = new Asking("classify", Clutter.alike);
    this.clock = new Clock(Clutter.PACE, () => { this.playButton.textContent = this.clock.on ? "Pause" : "Play"; });
    this.build();
    this.listen();
    whenResized(section, () => this.draw());
  }

  build() {
    const {glimpses: T, classes, words} = this.house.classifier;
    this.digits = classes.map((name, k) => button(name, () => this.choose(k)));
    this.mine = button("what is on the tab Draw", () => this.take());
    this.bare = checkbox("no clutter", false, () => this.update());
    this.every = checkbox("earlier windows", true, () => this.draw());
    this.words = element("span", {className: "words"});
    this.canvas = element("canvas", {role: "application", tabIndex: 0, className: "field",
      "aria-label": "the image; drag the digit, or move it by the arrow keys"});
    this.seen = element("canvas", {role: "img", "aria-label": "what is seen through the window"});
    this.verdict = element("p", {className: "verdict", "aria-live": "polite"});
    this.slider = slider(t => { this.pause(); this.glimpse = t; },
      {min: 1, max: T, value: T, "aria-label": "glimpse"});
    this.playButton = button("Play", () => this.clock.on ? this.pause() : this.play(), {className: "play"});
    this.number = element("output");
    this.seenTitle = element("h3");
    this.bars = element("div", {className: "chances"}, ...classes.map(name => element("div", {},
      element("span", {textContent: name}), element("i", {}, element("b")), element("output"))));
    this.table = element("table", {className: "heat", "aria-labelledby": "heat"});
    this.section.append(
      element("p", {}, `Drag the digit through the clutter. The network looks for it through a window, ${T} times one `
        + "after another, and every time decides where to look next. You see what it sees there, and what it then "
        + "takes the digit for."),
      element("div", {className: "buttons digits"}, element("span", {textContent: "Digit"}), ...this.digits,
        this.mine, this.words),
      element("div", {className: "finding"},
        element("div", {className: "where"}, this.canvas, element("div", {className: "timeline"}, this.slider),
          element("div", {className: "controls"}, this.playButton, this.number),
          element("div", {className: "controls"}, button("other clutter", () => { this.seed++; this.update(); }),
            this.bare, this.every)),
        this.verdict,
        element("div", {className: "glance"}, element("figure", {}, this.seenTitle, this.seen),
          element("figure", {}, element("h3", {textContent: "What it takes it for"}), this.bars)),
        element("figure", {className: "ways"}, element("h3", {id: "heat", textContent: "Glimpse by glimpse"}),
          this.table, element("p", {className: "equation"}, "In a row: what is seen (eq. 27, before γ), and how likely "
            + "each digit is, had it to answer after this glimpse. Click one. Network: ", words, ".")),
        saving(this.house.kinds, () => this.asked && ["classify", this.asked, {boxes: true}])));
  }

  // What is asked for

  get request() {
    const {digit, seed, place} = this, [x, y] = place || [];
    return {digit, seed, ...(this.bare.control.checked ? {scraps: 0} : {}), ...(place ? {x, y} : {})};
  }

  async shown() {
    const image = onDraw()?.image;
    this.mine.disabled = !image || !("drawn" in image || "picture" in image);
    this.mine.title = this.mine.disabled ? "draw a digit there first" : "placed as in MNIST";
    if (!this.told && await this.update() && !calm() && this.section.clientWidth) this.play();
  }

  async update() {
    const request = this.request, told = await this.asking.ask(request);
    if (!told) return false;
    const moved = this.told && (this.clock.on || Clutter.alike(request, this.asked));
    [this.told, this.asked] = [told, request];
    this.place ||= told.place;
    [this.image, this.glimpses] = [pixels(told.image), pixels(told.seen)];
    this.fill();
    this.glimpse = moved ? this.at : told.glimpses;
    return true;
  }

  // A digit of a kind; asked for once more it is another one.
  choose(kind) {
    const again = this.digit.class === kind;
    this.digit = {class: kind, number: again ? this.digit.number + 1 : 0};
    this.update();
  }

  take() {
    this.digit = {...onDraw().image, whole: false};
    this.update();
  }

  move(x, y) {
    const [H, W] = this.told.shape, inside = (k, side) => Math.min(Math.max(Math.round(k), 0), side - this.told.side);
    const [left, top] = [inside(x, W), inside(y, H)];
    if (left === this.place[0] && top === this.place[1]) return;
    this.place = [left, top];
    this.update();
  }

  // The hand

  listen() {
    const {canvas} = this, at = event => placeOn(canvas, event, this.told.shape[1], this.told.shape[0]);
    let held = null; // from the pointer to the digit's corner
    follow(canvas, {
      down: event => {
        if (!this.told || held) return false;
        this.pause();
        const [x, y] = at(event), [left, top] = this.place, {side} = this.told;
        const on = x >= left && x < left + side && y >= top && y < top + side;
        held = on ? [left - x, top - y] : [-side / 2, -side / 2];
        if (!on) this.move(x + held[0], y + held[1]);
      },
      move: event => {
        const [x, y] = at(event);
        this.move(x + held[0], y + held[1]);
      },
      up: () => { held = null; },
    });
    canvas.onkeydown = event => {
      const [x, y] = ARROWS[event.key] || [0, 0];
      if (!this.told || !(x || y)) return;
      event.preventDefault();
      this.move(this.place[0] + 2 * x, this.place[1] + 2 * y);
    };
    const over = on => () => { this.over = on; this.draw(); };
    [canvas.onpointerenter, canvas.onpointerleave] = [over(true), over(false)];
    canvas.onfocus = canvas.onblur = () => this.draw();
  }

  // The glimpses

  set glimpse(t) {
    this.at = Math.min(Math.max(t, 1), this.told.glimpses);
    this.slider.value = this.at;
    this.number.textContent = `glimpse ${this.at} of ${this.told.glimpses}`;
    this.slider.setAttribute("aria-valuetext", this.number.textContent);
    this.say();
    this.draw();
  }

  play() {
    if (!this.told) return;
    this.glimpse = 1;
    this.clock.run(() => {
      this.glimpse = this.at + 1;
      return this.at < this.told.glimpses;
    });
  }

  pause() { this.clock.stop(); }

  // What is seen

  // The table of all glimpses: what each saw, and what was likely then.
  fill() {
    const {glimpses: T, size: N, classes, probabilities} = this.told;
    const heads = ["glimpse", "what is seen"].map(name => element("th", {scope: "col", "aria-label": name}));
    const head = element("tr", {}, ...heads,
      ...classes.map(name => element("th", {scope: "col", textContent: name})));
    this.rows = probabilities.map((chances, t) => {
      const small = element("canvas", {width: N, height: N});
      paint(small.getContext("2d"), this.glimpses, t * N * N, N, N, 1, 0, 0, 1);
      const choose = button(t + 1, null, {"aria-label": `glimpse ${t + 1} of ${T}`});
      const row = element("tr", {}, element("th", {scope: "row"}, choose), element("td", {}, small));
      row.append(...chances.map((p, k) => {
        const fill = element("i");
        fill.style.opacity = p;
        return element("td", {title: `glimpse ${t + 1}: ${classes[k]} ${percent(p)}`, "aria-label": percent(p)}, fill);
      }));
      row.onclick = () => { this.pause(); this.glimpse = t + 1; };
      return row;
    });
    this.table.replaceChildren(head, ...this.rows);
  }

  say() {
    const {classes, probabilities, label, words, glimpses: T} = this.told, chances = probabilities[this.at - 1];
    const best = chances.indexOf(Math.max(...chances)), right = label === null ? null : best === label;
    const after = this.at === T ? "It says" : `After glimpse ${this.at} it would say`;
    const judged = right === null ? "" : element("span", {className: right ? "right" : "wrong",
      textContent: right ? "right" : `wrong, it is a ${classes[label]}`});
    this.verdict.replaceChildren(`${after} `, element("b", {textContent: classes[best]}),
      ` (${percent(chances[best])})`, judged);
    this.words.textContent = words ? `${label === null ? "" : `a ${classes[label]}: `}${words}` : "your drawing";
    press(this.digits, this.asked.digit.class);
    this.seenTitle.textContent = `What it sees in glimpse ${this.at}`;
    [...this.bars.children].forEach((row, k) => {
      row.querySelector("b").style.width = `${100 * chances[k]}%`;
      row.querySelector("output").textContent = percent(chances[k]);
      row.classList.toggle("now", k === best);
    });
    this.rows.forEach((row, t) => row.classList.toggle("now", t + 1 === this.at));
  }

  draw() {
    if (!this.told || !this.section.clientWidth) return;
    const {canvas, seen, told: {shape: [H, W], read, size: N, side, place}} = this, ratio = devicePixelRatio;
    const room = Math.min(canvas.parentElement.clientWidth, spare(Clutter.BESIDE));
    const scale = room * ratio / Math.max(H, W), context = sized(canvas, W * scale, H * scale);
    canvas.parentElement.style.setProperty("--sheet", canvas.style.width);
    paint(context, this.image, 0, H, W, 1, 0, 0, scale);
    if (this.over || document.activeElement === canvas) {
      context.setLineDash([3 * ratio, 5 * ratio]);
      [context.strokeStyle, context.lineWidth] = ["#fff9", ratio];
      context.strokeRect(place[0] * scale, place[1] * scale, side * scale, side * scale);
      context.setLineDash([]);
    }
    if (this.every.control.checked) {
      context.globalAlpha = .7;
      read.slice(0, this.at - 1).forEach(([x, y, half]) => drawBox(context, [x, y, half, 0], 0, 0, scale, READING));
      context.globalAlpha = 1;
    }
    const [x, y, half, line] = read[this.at - 1];
    drawBox(context, [x, y, half, Math.max(line, 3 * ratio / scale)], 0, 0, scale, READING);
    const large = whole(Math.min(seen.parentElement.clientWidth - 30, spare(Clutter.AROUND)), N);
    paint(sized(seen, N * large, N * large), this.glimpses, (this.at - 1) * N * N, N, N, 1, 0, 0, large);
  }
}

// A probability in percent; a network is never wholly certain.
function percent(p) {
  return p > .995 ? "> 99 %" : `${Math.round(100 * p)} %`;
}
