// The shell of the page: its tabs, and the network that they ask. Loaded last.
const shell = {house: null, tab: null, started: new Set()};

// The network that is chosen, as the program describes it.
function network() {
  return shell.house.networks[document.getElementById("network").selectedIndex];
}

function panel(tab) { return document.getElementById(`panel-${tab.id}`); }

function openTab(tab, focus = false) {
  if (shell.tab === tab) return;
  if (shell.tab) shell.tab.hidden();
  shell.tab = tab;
  tell("");
  const own = tab.network?.(shell.house); // instead of the one that is chosen
  document.getElementById("choice").hidden = own !== undefined;
  document.getElementById("own").hidden = !own;
  document.getElementById("own").textContent = `network ${own}`;
  for (const each of TABS) {
    const one = document.getElementById(`tab-${each.id}`), chosen = each === tab;
    one.setAttribute("aria-selected", chosen);
    one.tabIndex = chosen ? 0 : -1;
    panel(each).hidden = !chosen;
    if (chosen && focus) one.focus();
  }
  if (location.hash !== `#${tab.id}`) history.replaceState(null, "", `#${tab.id}`);
  document.title = `${tab.title} - minidraw`;
  try {
    if (!shell.started.has(tab)) tab.start(panel(tab), shell.house);
    shell.started.add(tab);
    tab.shown();
  } catch (error) {
    tell(error.message, true);
    console.error(error);
  }
}

function buildTabs() {
  const list = document.getElementById("tabs");
  TABS.forEach((tab, i) => {
    const id = `tab-${tab.id}`, one = button(tab.title, () => openTab(tab), {role: "tab", id,
      "aria-controls": `panel-${tab.id}`});
    panel(tab).setAttribute("aria-labelledby", id);
    one.onkeydown = event => {
      const n = TABS.length;
      const to = {ArrowRight: (i + 1) % n, ArrowLeft: (i + n - 1) % n, Home: 0, End: n - 1}[event.key];
      if (to === undefined) return;
      event.preventDefault();
      openTab(TABS[to], true);
    };
    list.append(one);
  });
}

function buildNetworks() {
  const select = document.getElementById("network"), {networks, network: first} = shell.house;
  const about = () => { document.getElementById("about").textContent = network().words; };
  select.append(...networks.map(({name}) => element("option", {value: name, textContent: name})));
  select.value = first;
  select.onchange = () => {
    about();
    tell("");
    shell.tab.shown();
  };
  about();
}

function ofHash() {
  return TABS.find(tab => `#${tab.id}` === location.hash) || TABS.find(tab => tab.id === shell.house.opens);
}

// What is for whatever tab is open: Ctrl-Z, and files that are pasted, or dropped: for these the browser would leave.
function listen() {
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, event => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    if (!shell.tab.take) event.dataTransfer.dropEffect = "none";
    else if (kind === "drop") shell.tab.take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", event => shell.tab.take?.(event.clipboardData.files[0]));
  document.addEventListener("keydown", event => {
    const undo = event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
    if (!undo || !shell.tab.undo) return;
    event.preventDefault();
    shell.tab.undo();
  });
}

async function begin() {
  try {
    shell.house = await latest(() => ask("house"))();
  } catch (problem) {
    return tell(problem.message, true);
  }
  document.getElementById("version").textContent = shell.house.version;
  buildNetworks();
  buildTabs();
  listen();
  window.addEventListener("hashchange", () => openTab(ofHash()));
  openTab(ofHash());
}

begin();
