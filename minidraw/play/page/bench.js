// What the tab "Attention" shows of the program's answer: its pictures, and its equations.

// Returns a line of text with letters as in formulas: *x* leans, _{i} is below, ^{i} above.
function formula(text) {
  const tags = {"*": "i", "_": "sub", "^": "sup"};
  return text.replace(/(eqs?\.?) (?=\d)/g, "$1\u00a0").split(/(\*[^*]+\*|[_^]\{[^}]*\})/).filter(Boolean).map(part => {
    const tag = part.length > 2 && tags[part[0]];
    return tag ? element(tag, {}, ...formula(tag === "i" ? part.slice(1, -1) : part.slice(2, -1))) : part;
  });
}

// A number in few figures; no formula is read to more.
function figures(value, digits = 3) {
  if (value === 0 || (Math.abs(value) >= .001 && Math.abs(value) < 1e5)) {
    return String(Number(value.toPrecision(Math.max(digits, Math.ceil(Math.log10(Math.abs(value) || 1))))));
  }
  const [front, power] = value.toExponential(1).split("e");
  return `${front} · 10^{${Number(power)}}`.replace(/-/g, "−");
}

// What stands below every slider, by its name, as formulas.
function equations({shape: [H, W], size: N, window: {gx, gy}, centre, delta, delta_part, sigma, gamma}) {
  const signed = value => value < 0 ? `−${figures(-value)}` : figures(value);
  const centred = (axis, side, A, g, at, eq) => `*g_{${axis}}* = (*${side}* + 1)/2 · (*g̃_{${axis}}* + 1) = `
    + `${(A + 1) / 2} · (${signed(g)} + 1) = ${figures(at)} pixels (eq. ${eq})`;
  return {
    gx: centred("X", "A", W, gx, centre[0], 22),
    gy: centred("Y", "B", H, gy, centre[1], 23),
    log_delta: `*δ* = (max(*A*, *B*) − 1)/(*N* − 1) · *δ̃* = ${Math.max(H, W) - 1}/${N - 1} · ${figures(delta_part)} = `
      + `${figures(delta)} pixels (eq. 24)`,
    log_variance: `*σ* = ${figures(sigma)} pixels, the radius of the orange circle`,
    log_gamma: `*γ* = ${figures(gamma)} by which reading multiplies and writing divides`,
    size: `${N} × ${N} = ${N * N} values are read, of an image of ${W} × ${H} = ${(W * H).toLocaleString("en")}`,
  };
}

// What stands below the pictures.
function captions(told, [row, column]) {
  const {shape: [H, W], size: N, box: [x, y, half], mu, sums, largest, patch_largest, written_largest} = told;
  const outside = [x + half < 0 && "to the left", x - half > W && "to the right", y + half < 0 && "above",
    y - half > H && "below"].filter(Boolean).join(" and ");
  const sum = ([low, high]) => [...new Set([low.toFixed(6), high.toFixed(6)])].join(" to ");
  const bank = (axis, of, k) => `bells around *μ_{${axis}}^{i}* = *g_{${axis}}* + (*i* − *N*/2 − 0.5) *δ* = `
    + `${figures(mu[k][0])} … ${figures(mu[k][N - 1])} (eqs ${of}); a filter's sum is ${sum(sums[k])}, white is `
    + `${figures(largest[k])}.`;
  return {
    picked: outside ? `The window is outside, ${outside}: its filters rest on the nearest pixels. Click on the image `
      + "to fetch it." : `Orange, point at the patch: its value in row ${row + 1}, column ${column + 1} is what filter `
      + `${row + 1} of *F_{Y}* (*y* = ${figures(mu[1][row])}) and filter ${column + 1} of *F_{X}* (*x* = `
      + `${figures(mu[0][column])}) see together.`,
    fx: `*F_{X}*, below, a filter a row: ${bank("X", "19, 25", 0)}`,
    fy: `*F_{Y}*, on the right, a filter a column: ${bank("Y", "20, 26", 1)}`,
    patch: `*γ F_{Y} x F_{X}^{T}* (eq. 27), ${figures(patch_largest)} at most`
      + `${patch_largest > 1.004 ? "; white is 1 and more" : ""}.`,
    written: "1/*γ* *F_{Y}^{T} w F_{X}* (eq. 29), *w* the patch; "
      + (written_largest ? `white is ${figures(written_largest)}.` : "there is nothing."),
  };
}

class Bench {
  static BESIDE = 27; // lines above and below the image and its filters
  static PART = .81; // of that, for the image alone
  static AROUND = 29.5; // lines around the patch and what is written back

  constructor() {
    const canvas = (label, more = {}) => element("canvas", {role: "img", "aria-label": label, ...more});
    const hands = {tabIndex: 0, role: "application"};
    this.image = canvas("the image with the window; arrow keys move it, + and - change its size", hands);
    this.fy = canvas("the filters F_Y, one a column");
    this.fx = canvas("the filters F_X, one a row");
    this.patch = canvas("the patch that is read; arrow keys choose one of its values",
      {...hands, "aria-describedby": "filters-picked"});
    this.written = canvas("the patch written back");
    const names = ["picked", "fx", "fy", "patch", "written"];
    this.captions = Object.fromEntries(names.map(name => [name, element("p", {id: `filters-${name}`})]));
    const figure = (name, title, ...parts) =>
      element("figure", {className: name}, element("h3", {}, ...formula(title)), ...parts);
    this.parts = [
      figure("bench", "The image *x*, and its filters", element("div", {className: "aligned"}, this.image, this.fy,
        this.fx, element("p", {}, "↑ ", ...formula("*F_{Y}*"), element("br"), "← ", ...formula("*F_{X}*"))),
      this.captions.picked, this.captions.fx, this.captions.fy),
      element("div", {className: "results"},
        figure("", "Read: the patch", this.patch, this.captions.patch),
        figure("", "Written back", this.written, this.captions.written)),
    ];
  }

  // told: the program's answer; picked: the row and column of a value of the patch.
  show(told, picked) {
    if (told !== this.told) {
      this.told = told;
      this.bytes = Object.fromEntries(["image", "patch", "written"].map(name => [name, pixels(told[name])]));
      this.filters = told.filters.map(pixels);
    }
    this.picked = picked;
    for (const [name, text] of Object.entries(captions(told, picked))) {
      this.captions[name].replaceChildren(...formula(text));
    }
    this.draw();
  }

  draw() {
    if (!this.told || !this.image.parentElement.clientWidth) return;
    const {shape: [H, W, K]} = this.told, room = Math.min(this.image.parentElement.clientWidth - 8,
      spare(Bench.BESIDE));
    this.scale = room * Bench.PART * devicePixelRatio / Math.max(H, W);
    const context = sized(this.image, W * this.scale, H * this.scale);
    paint(context, this.bytes.image, 0, H, W, K, 0, 0, this.scale);
    this.drawFilters(context, room * (1 - Bench.PART));
    this.drawWindow(context);
    this.drawResults();
  }

  // Both banks of filters, pixel by pixel in line with the image, and lines to the two that are picked.
  drawFilters(context, room) {
    const {shape: [H, W], size: N, mu} = this.told, {scale} = this, ratio = devicePixelRatio;
    const thick = Math.max(Math.floor(room * ratio / N), 1), {width, height} = this.image;
    const fx = sized(this.fx, width, N * thick), fy = sized(this.fy, N * thick, height);
    fx.scale(1, thick / scale);
    paint(fx, this.filters[0], 0, N, W, 1, 0, 0, scale);
    const turned = new Uint8Array(H * N); // one filter a column
    for (let i = 0; i < N; i++) for (let b = 0; b < H; b++) turned[b * N + i] = this.filters[1][i * H + b];
    fy.scale(thick / scale, 1);
    paint(fy, turned, 0, H, N, 1, 0, 0, scale);
    fx.resetTransform();
    fy.resetTransform();
    const [row, column] = this.picked, x = (mu[0][column] - .5) * scale, y = (mu[1][row] - .5) * scale;
    context.strokeStyle = fx.strokeStyle = fy.strokeStyle = WRITING;
    context.lineWidth = ratio;
    fx.lineWidth = fy.lineWidth = 2 * ratio;
    context.setLineDash([4 * ratio, 4 * ratio]);
    for (const end of [[x, height], [width, y]]) {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(...end);
      context.stroke();
    }
    context.setLineDash([]);
    fx.strokeRect(ratio, column * thick, width - 2 * ratio, thick);
    fy.strokeRect(row * thick, ratio, thick, height - 2 * ratio);
  }

  // The window: its box with the corners that can be pulled, its filters' middles, and how wide the picked one is.
  drawWindow(context) {
    const {size: N, box, mu, sigma} = this.told, {scale, picked: [row, column]} = this, ratio = devicePixelRatio;
    drawBox(context, box, 0, 0, scale, READING);
    const dot = Math.max(Math.min(scale * .45, 3 * ratio), ratio);
    const circle = (i, j, radius) => {
      context.beginPath();
      context.arc((mu[0][j] - .5) * scale, (mu[1][i] - .5) * scale, radius, 0, 7);
    };
    context.lineWidth = ratio / 2;
    context.strokeStyle = "#000";
    for (let i = 0; i < N; i++) for (let j = 0; j < N; j++) {
      const mine = i === row && j === column;
      context.fillStyle = mine ? WRITING : READING;
      circle(i, j, mine ? dot * 1.8 : dot);
      context.fill();
      context.stroke();
    }
    context.strokeStyle = WRITING;
    context.lineWidth = 1.5 * ratio;
    circle(row, column, Math.min(sigma * scale, 1e5));
    context.stroke();
    const handle = 5 * ratio, [x, y, half] = box;
    context.fillStyle = READING;
    for (const [i, j] of [[-1, -1], [-1, 1], [1, -1], [1, 1]]) {
      context.fillRect((x + i * half) * scale - handle, (y + j * half) * scale - handle, 2 * handle, 2 * handle);
    }
  }

  drawResults() {
    const {shape: [H, W, K], size: N} = this.told, {patch, written, picked: [row, column]} = this;
    const room = Math.min(patch.parentElement.clientWidth - 30, spare(Bench.AROUND) / 2);
    const scale = whole(room, N), context = sized(patch, N * scale, N * scale);
    paint(context, this.bytes.patch, 0, N, N, K, 0, 0, scale);
    context.strokeStyle = WRITING;
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeRect(column * scale, row * scale, scale, scale);
    const small = room * devicePixelRatio / Math.max(H, W);
    paint(sized(written, W * small, H * small), this.bytes.written, 0, H, W, K, 0, 0, small);
  }
}
