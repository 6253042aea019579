// A player: a sheet, and below it a slider over the glimpses, bars of KL, a button that plays them, and choices.
class Player extends Sheet {
  static PACE = 100; // milliseconds, a glimpse
  static HOLD = 20; // so many of them the last picture stays before it starts over

  // bars: KL of every glimpse; the rest is the sheet's
  constructor(root, {bars = false, ...options} = {}) {
    super(root, options);
    this.kl = null;
    this.clock = new Clock(Player.PACE, () => this.name());
    this.build(bars);
  }

  build(bars) {
    this.bars = bars ? element("div", {className: "bars", role: "group", "aria-label": "KL of every glimpse"}) : "";
    this.caption = element("small", {hidden: !bars});
    this.slider = slider(t => { this.pause(); this.glimpse = t; }, {min: 0, max: 1, value: 0, "aria-label": "glimpse"});
    this.time = element("div", {className: "timeline"}, this.bars, this.slider, this.caption);
    this.button = button("Play", () => this.clock.on ? this.pause() : this.play(), {className: "play"});
    this.place = element("output");
    this.boxes = checkbox("boxes", true, () => this.draw());
    this.key = element("span", {className: "key"});
    this.boxes.append(this.key);
    this.plain = checkbox("with the grey start", false, () => this.draw());
    this.plain.title = "the canvas itself, which starts as a mean image (eq. 8), not only what was written on it";
    this.loop = checkbox("loop", false);
    this.root.append(this.time, element("div", {className: "controls"}, this.button, this.place, this.boxes, this.plain,
      this.loop));
  }

  get options() { return {plain: this.plain.control.checked, boxes: this.boxes.control.checked}; }

  // Shows a recording; `kl`: nats of every glimpse; without `play` the slider stays where it is.
  show(recording, {kl = null, play = true} = {}) {
    this.pause();
    this.kl = kl;
    this.hold(recording);
    this.slider.max = this.last;
    this.time.style.setProperty("--places", this.last + 1);
    this.fillBars();
    this.fillKey();
    this.plain.hidden = !recording.ink;
    if (!play) this.glimpse = Math.min(this.at, this.last);
    else if (calm() || !this.root.clientWidth) this.glimpse = this.last;
    else this.play(true);
  }

  fillBars() {
    if (!this.bars) return;
    const kl = this.kl || [], tallest = Math.max(...kl, 0);
    this.caption.textContent = `How much each glimpse takes in (KL, eq. 10); the tallest bar is ${tallest.toFixed(1)} `
      + "nats";
    fillBars(this.bars, kl, 1, {
      name: t => `glimpse ${t}: ${kl[t - 1].toFixed(2)} nats`,
      choose: t => { this.pause(); this.glimpse = t; },
      point: t => this.say(t),
    });
  }

  // What the colours of the boxes mean, as far as there are boxes.
  fillKey() {
    const {read, write} = this.recording, key = (colour, text) => {
      const square = element("i");
      square.style.borderColor = colour;
      return element("span", {}, square, text);
    };
    this.key.replaceChildren(...(read ? [key(READING, "reads")] : []), ...(write ? [key(WRITING, "writes")] : []));
    this.boxes.hidden = !read && !write;
  }

  // Says where the slider is, or what the bar under the pointer holds.
  say(t = this.at) {
    const {glimpses: T, count} = this.recording;
    const place = t < 1 ? "before the first glimpse" : t > T ? "what came out" : `glimpse ${t} of ${T}`;
    this.place.textContent = place + (this.kl && t >= 1 && t <= T ? ` · KL ${this.kl[t - 1].toFixed(2)}` : "");
    this.slider.setAttribute("aria-valuetext", this.place.textContent);
    const seen = count > 1 ? `${count} drawings` : this.between ? "an image, and beside it its drawing" : "a drawing";
    this.canvas.setAttribute("aria-label", `${seen}: ${place}`);
  }

  get glimpse() { return this.at; }

  set glimpse(t) {
    if (!this.recording) return;
    this.at = Math.max(0, Math.min(Math.round(t), this.last));
    this.slider.value = this.at;
    if (this.bars) markBars(this.bars, this.at);
    this.say();
    this.name();
    this.draw();
  }

  // Plays from where the slider is, or from the beginning; at the end it rests, or starts over after a while.
  play(again = false) {
    if (!this.recording) return;
    if (again || this.at === this.last) this.glimpse = 0;
    let rest = 0;
    this.clock.run(() => {
      const over = this.at === this.last;
      if (!over) this.glimpse = this.at + 1;
      else if (++rest === Player.HOLD) this.glimpse = rest = 0;
      return this.at < this.last || this.loop.control.checked;
    });
  }

  pause() { this.clock.stop(); }

  // Names the button after what it does.
  name() {
    this.button.textContent = this.clock.on ? "Pause" : this.at >= this.last ? "Again" : "Play";
  }
}
