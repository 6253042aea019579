// The exported page: recorded drawings, six of a kind, and a player for the one that is chosen.

// A section with a row of pictures to choose from, and a player; shown(i, player) shows the i-th.
function chooser(title, words, buttons, options, shown) {
  const root = element("div"), note = element("p", {className: "note"});
  const row = element("div", {className: "steps", role: "group", "aria-label": "drawings to choose from"}, ...buttons);
  const section = element("section", {}, element("h2", {textContent: title}), element("p", {textContent: words}), row,
    root, note);
  document.getElementById("both").append(section);
  const player = new Player(root, options);
  const choose = (i, play) => {
    press(buttons, i);
    note.textContent = shown(i, player, play);
  };
  buttons.forEach((one, i) => { one.onclick = () => choose(i, true); });
  choose(0, true);
}

function exported({network, again, new: drawn}) {
  const {shape, glimpses: T, count: n} = drawn, size = shape[0] * shape[1] * shape[2];
  chooser("Seen and drawn again",
    "It looks at an image (left), one that it has not been trained on, and draws it again (right).",
    again.map(({recording}, i) => pictureButton(pixels(recording.originals), 0, shape, `image ${i + 1}`)),
    {side: 392, originals: true, bars: true},
    (i, player, play) => {
      const {recording, kl, reconstruction, bound, words} = again[i];
      player.show(recording, {kl, play});
      return `${words[0].toUpperCase()}${words.slice(1)}. It costs ${bound.toFixed(1)} nats (the bound, eq. 12): `
        + `${reconstruction.toFixed(1)} for what the pixels cost, given the drawing (eq. 9)${unavoidable(again[i])}, `
        + "the rest for what it was told (KL, eq. 11).";
    });
  const last = pixels(drawn.canvas).subarray(-n * size);
  chooser("Drawn from noise",
    "Nobody shows it an image. Each glimpse is given random numbers instead (eq. 13), and what they make of the "
      + "canvas is a new picture (eqs 14 to 16).",
    Array.from({length: n}, (_, i) => pictureButton(last, i * size, shape, `drawing ${i + 1}`)),
    {side: 392},
    (i, player, play) => {
      player.show(only(drawn, i), {play});
      return "";
    });
}

exported(JSON.parse(document.getElementById("recorded").textContent));
