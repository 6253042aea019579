// What the page asks the program, and what it tells the reader of that.

const TOLD = 8000; // milliseconds, for what is not wrong
const SAVES = {gif: "a picture that moves, as it is drawn", mp4: "a film, as it is drawn",
  png: "one picture, the glimpses side by side"};

// Sends a request to a lab of the program and returns its answer; a mistake is thrown as the program's one line.
function ask(name, request) {
  return post(name, request, answer => answer.json());
}

// Returns read(answer). An error is `gone` where nothing came back, or not all of it.
async function post(name, request, read) {
  let line;
  try {
    const answer = await fetch(`/api/${name}`, request && {
      method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(request),
    });
    if (answer.ok) return await read(answer);
    line = (await answer.json().catch(() => ({}))).error || `minidraw could not do that (${answer.status})`;
  } catch {
    throw Object.assign(new Error("minidraw does not answer: does the program still run?"), {gone: true});
  }
  throw new Error(line);
}

// Waits, with a line that says so, until the program answers.
async function back(line) {
  do {
    tell(line, true);
    await new Promise(done => setTimeout(done, 2000));
  } while (!await fetch("/api/house").then(answer => answer.ok, () => false));
  if (document.getElementById("status").textContent === line) tell("");
}

// Returns f(request): one request at a time; of those asked meanwhile only the newest is sent, the others give null.
// Where the program is gone, the newest is sent when it is back.
function latest(send) {
  let busy = false, waiting = null;
  const next = async () => {
    for (busy = true; waiting;) {
      const asked = waiting;
      waiting = null;
      try {
        asked.resolve(await send(asked.request));
      } catch (problem) {
        if (!problem.gone || asked.again) {
          asked.reject(problem);
          continue;
        }
        await back(problem.message);
        if (waiting) asked.resolve(null);
        else waiting = {...asked, again: true};
      }
    }
    busy = false;
  };
  return request => new Promise((resolve, reject) => {
    waiting?.resolve(null);
    waiting = {request, resolve, reject};
    if (!busy) next();
  });
}

// What a tab asks a lab: answers that came too late are not given, and what goes wrong is told.
class Asking {
  // alike(request, newest): whether the older request's answer may still be shown, as something that moves on its way
  constructor(lab, alike = () => false) {
    Object.assign(this, {alike, newest: null, send: latest(request => ask(lab, request))});
  }

  // Returns the answer, or null.
  async ask(request) {
    const tab = shell.tab;
    this.newest = request;
    try {
      const answer = await this.send(request);
      if (!answer || !(request === this.newest || (this.newest && this.alike(request, this.newest)))) return null;
      if (shell.tab === tab && document.querySelector("#status.wrong")) tell(""); // it is over
      return answer;
    } catch (problem) {
      if (request === this.newest && shell.tab === tab) tell(problem.message, true);
      return null;
    }
  }

  // What was asked is not wanted any more.
  drop() { this.newest = null; }
}

// Downloads what a lab's request makes as a file; options: {plain, boxes} (a Player's `options`).
async function save(name, request, kind, options = {}) {
  const [file, told] = await post("save", {of: name, request, kind, ...options}, async answer =>
    [await answer.blob(), answer.headers.get("Content-Disposition") || ""]);
  const href = URL.createObjectURL(file);
  const link = element("a", {href, download: /filename="?([^";]+)/.exec(told)?.[1] || `minidraw-${name}.${kind}`});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

// Returns a row of buttons, one a kind of file; give() returns [lab's name, request, options], or null for nothing yet.
function saving(kinds, give, titles = SAVES) {
  return element("div", {className: "buttons saving"}, element("span", {textContent: "Save as"}), ...kinds.map(kind => {
    const name = kind.toUpperCase();
    return button(name, async ({currentTarget: pressed}) => {
      const given = give();
      if (!given) return tell("There is nothing to save yet.", true);
      pressed.disabled = true;
      tell(`Making the ${name} ...`);
      clearTimeout(tell.timer); // however long it takes
      try {
        const [lab, request, options] = given;
        await save(lab, request, kind, options);
        tell(`The ${name} is with your downloads.`);
      } catch (problem) {
        tell(problem.message, true);
      }
      pressed.disabled = false;
    }, {"aria-label": `Save as ${name}`, title: titles[kind]});
  }));
}

// Says something in the page's one status line; what is not wrong goes away by itself.
function tell(text, wrong = false) {
  const line = document.getElementById("status");
  line.textContent = text;
  line.classList.toggle("wrong", wrong);
  clearTimeout(tell.timer);
  if (text && !wrong) tell.timer = setTimeout(() => tell(""), TOLD);
}
