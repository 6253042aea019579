// The tab "Draw": one draws a digit, the network reads it and draws it again.
TABS.push({
  id: "draw",
  title: "Draw",
  start(section, house) { this.page = new DrawPage(section, house); },
  shown() { this.page.shown(); },
  hidden() { this.page.player.pause(); },
  take(file) { this.page.take(file); },
  undo() { this.page.undo(); },
});

const PAD = 280, PEN = 26; // pixels of the sketch pad, and of its pen for images of 28 pixels
const LARGEST = 16 * 1024 * 1024; // bytes of a picture's file; server.py takes 24 MB of base64
const STEPS = 50; // that can be undone

// The sketch pad: what was drawn on it, and every step to it for Undo.
class Pad {
  constructor(ondrawn, onbegin) {
    this.canvas = element("canvas", {className: "pad", width: PAD, height: PAD, role: "img"});
    this.canvas.setAttribute("aria-label", "sketch pad: draw here with the mouse, a pen or a finger");
    this.context = this.canvas.getContext("2d");
    this.title = element("h3");
    this.hint = element("span", {className: "hint", textContent: "draw a digit here"});
    this.root = element("div", {className: "padroot"}, this.canvas, this.hint);
    Object.assign(this, {ondrawn, onbegin, pen: PEN, history: [], stroke: null});
    this.state = {strokes: [], image: null, shown: null}; // strokes on black, or an image: what is asked, what is seen
    this.listen();
    this.paint();
  }

  get empty() { return !this.state.strokes.length && !this.state.image; }

  listen() {
    const {canvas} = this, place = event => placeOn(canvas, event, PAD, PAD);
    follow(canvas, {
      down: event => {
        if (this.stroke) return false; // one finger at a time
        this.stroke = [place(event)];
        this.onbegin();
        this.paint();
      },
      move: event => {
        const events = event.getCoalescedEvents?.() || [];
        this.stroke.push(...(events.length ? events : [event]).map(place));
        this.paint();
      },
      up: () => {
        const {stroke} = this;
        this.stroke = null;
        this.change({strokes: [...this.state.strokes, stroke], image: null, shown: null});
        this.ondrawn(performance.now());
      },
    });
    canvas.oncontextmenu = event => event.preventDefault();
  }

  change(state) {
    this.history = [...this.history.slice(1 - STEPS), this.state];
    this.state = state;
    this.paint();
  }

  undo() {
    if (this.stroke || !this.history.length) return false;
    this.state = this.history.pop();
    this.paint();
    return true;
  }

  // Shows an image that was not drawn here as a network sees it; the same image replaces what another one saw.
  lay(image, {originals, shape: [H, W, K]}) {
    const again = this.state.image === image;
    this.change({strokes: [], image, shown: {bytes: pixels(originals), H, W, K}});
    if (again) this.history.pop();
  }

  paint() {
    const {context, state} = this, strokes = this.stroke ? [...state.strokes, this.stroke] : state.strokes;
    context.fillStyle = "#000";
    context.fillRect(0, 0, PAD, PAD);
    if (state.shown && !this.stroke) {
      const {bytes, H, W, K} = state.shown, scale = PAD / Math.max(H, W);
      paint(context, bytes, 0, H, W, K, Math.round((PAD - W * scale) / 2), Math.round((PAD - H * scale) / 2), scale);
    }
    context.strokeStyle = "#fff";
    context.lineWidth = this.pen;
    context.lineCap = context.lineJoin = "round";
    strokes.forEach(points => this.line(points));
    this.hint.hidden = !this.empty || this.stroke !== null;
    this.title.textContent = state.image && !this.stroke ? "The image" : "Your drawing";
  }

  // A smooth line: curves from middle to middle of what lies between the points; a single point is a dot.
  line(points) {
    const {context} = this, [x, y] = points[0], end = points.at(-1);
    context.beginPath();
    context.moveTo(x, y);
    for (let i = 1; i < points.length - 1; i++) {
      const [[a, b], [c, d]] = [points[i], points[i + 1]];
      context.quadraticCurveTo(a, b, (a + c) / 2, (b + d) / 2);
    }
    context.lineTo(end[0] + .01, end[1]); // a line of no length would not be drawn
    context.stroke();
  }

  // What the program is asked to read.
  get image() { return this.state.image || {drawn: this.canvas.toDataURL("image/png").split(",")[1]}; }
}

class DrawPage {
  constructor(section, house) {
    Object.assign(this, {section, seed: 0, request: null, reading: null});
    this.pad = new Pad(since => this.read(since), () => this.begun());
    this.asking = new Asking("read");
    this.build(house);
  }

  build(house) {
    this.file = element("input", {type: "file", accept: "image/*", hidden: true});
    this.file.onchange = () => { this.take(this.file.files[0]); this.file.value = ""; };
    this.mnist = checkbox("as in MNIST", true, () => this.again());
    this.mnist.title = "centred and scaled as the digits it has learned from";
    this.noise = element("output");
    this.words = element("span", {className: "words"});
    this.numbers = element("div", {className: "bound", hidden: true});
    this.intro = element("p");
    this.sees = element("h3");
    const show = element("div");
    const heads = element("div", {className: "heads"}, this.sees, element("h3", {textContent: "What it draws"}));
    this.section.append(
      this.intro,
      element("div", {className: "drawing"},
        element("div", {className: "sketch"}, this.pad.title, this.pad.root,
          element("div", {className: "buttons"},
            button("Undo", () => this.undo(), {title: "the last stroke (Ctrl-Z)"}),
            button("Clear", () => this.clear()),
            button("Test image", () => this.test(), {title: "an image that it has not been trained on"}),
            button("Picture", () => this.file.click(), {title: "a file; or drop one here, or paste one"}),
            this.file)),
        element("div", {className: "result"}, heads, show),
        element("div", {className: "more"}, element("p", {}, this.words, " ", this.noise),
          element("div", {className: "buttons"}, button("Draw it otherwise", () => this.other(),
            {title: "the same image, drawn again with other random numbers z"}), this.mnist),
          saving(house.kinds, () => this.request && ["read", this.request, this.player.options])),
        this.numbers));
    this.player = new Player(show, {originals: true, bars: true, side: 1000, tall: 1});
  }

  // Shows what the chosen network makes of the pad; of an empty one, a test image shows what will happen.
  shown() {
    if (this.request?.network === network().name) return;
    this.adapt();
    if (this.pad.empty) this.example();
    else this.again();
  }

  example() {
    this.send(this.anyImage(), {title: "for example: "});
  }

  // What depends on the network: whether it is one of single digits, and how wide a line its images have.
  adapt() {
    const {digits, shape, read, write, words} = network();
    const what = digits ? "a digit" : words.startsWith("two_digits") ? "one or two digits" : "something";
    const boxes = [...(read ? ["looks (blue)"] : []), ...(write ? ["writes (orange)"] : [])].join(" and ");
    const seen = boxes ? `where each of its glimpses ${boxes}` : "what each of its glimpses adds";
    this.intro.textContent = `Draw ${what}: after every stroke the network looks at it and draws it again. You see `
      + `${seen}${boxes && "; the thicker a box's line, the coarser it looks or writes"}.`;
    this.sees.textContent = read ? "What it sees, and where it looks" : "What it sees";
    this.mnist.hidden = !digits;
    this.pad.pen = digits ? PEN : Math.max(PEN * 28 / Math.max(shape[1], shape[2]), 6);
    this.pad.hint.textContent = `draw ${what} here`;
    this.pad.paint();
  }

  // The pen is down.
  begun() {
    this.forget();
    delete document.body.dataset.latency;
  }

  // What was asked is about another image.
  forget() {
    this.asking.drop();
    this.reading = null;
  }

  anyImage() { return {number: Math.floor(Math.random() * 10000)}; }

  // Asks for what lies on the pad; since: when the pen was lifted.
  read(since = null) {
    if (!this.pad.empty) this.send(this.pad.image, {since, laid: this.pad.state.image !== null});
  }

  again() {
    if (!this.pad.empty) this.read();
    else if (this.request) this.send(this.request.image, {});
  }

  // Asks for an image, plays the answer and, if `laid`, shows the image on the pad as the network sees it.
  async send(image, {since = null, title = "", laid = false}) {
    this.reading = null;
    const whole = !network().digits || !this.mnist.control.checked; // else it is placed as MNIST's are
    const request = {network: network().name, image: {...image, whole}, seed: this.seed};
    const answer = await this.asking.ask(request);
    if (!answer) return;
    if (laid) this.pad.lay(image, answer.recording);
    this.show(answer, request, title);
    if (since !== null) requestAnimationFrame(() => setTimeout(() => {
      document.body.dataset.latency = Math.round(performance.now() - since);
    }));
  }

  show(answer, request, title) {
    this.request = request;
    this.player.show(answer.recording, {kl: answer.kl});
    this.words.textContent = title + answer.words;
    this.noise.textContent = `(noise ${request.seed})`;
    const kl = answer.kl.reduce((sum, one) => sum + one, 0);
    const tile = (value, sign, name, text) => element("div", {},
      element("p", {}, ...(sign ? [element("i", {textContent: sign})] : []), element("b", {textContent: nats(value)})),
      element("small", {}, element("strong", {textContent: name}), text));
    this.numbers.replaceChildren(
      tile(answer.bound, "", "nats for the image, at most", ": fewer is better (eq. 12)"),
      tile(answer.reconstruction, "=", "nats of reconstruction",
        `: what the pixels cost, given the drawing (eq. 9)${unavoidable(answer)}`),
      tile(kl, "+", "nats of KL", ": what it took in, all bars together (eq. 11)"));
    this.numbers.hidden = false;
  }

  undo() {
    if (!this.pad.undo()) return;
    this.forget();
    if (this.pad.empty) this.example();
    else this.read();
  }

  clear() {
    this.forget();
    tell("");
    if (this.pad.empty) return;
    this.pad.change({strokes: [], image: null, shown: null});
    this.example();
  }

  test() {
    this.send(this.anyImage(), {laid: true});
  }

  other() {
    this.seed++;
    this.again();
  }

  // Reads a picture's file and asks for it.
  take(file) {
    if (!file) return;
    this.forget();
    if (file.size > LARGEST) return tell(`${file.name}: larger than 16 MB; take a smaller picture`, true);
    const reader = this.reading = new FileReader();
    reader.onload = () => {
      if (this.reading !== reader) return; // something else is on the pad meanwhile
      this.send({picture: reader.result.split(",")[1], name: file.name}, {laid: true});
    };
    reader.onerror = () => tell(`${file.name}: cannot be read`, true);
    reader.readAsDataURL(file);
  }
}
