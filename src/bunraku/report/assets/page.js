// The page: its parts, one shown at a time, the keyboard and the help.

const KINDS_OF_PARTS = { take: TakePart, run: RunPart, tables: TablesPart };
const KEYS = { space: "play, pause", "← →": "a frame back or on; ten with shift", "home, end": "first or last frame",
  w: "next of the worst frames", v: "another view", "?": "this help", esc: "close it" };

function help() {
  const list = el("dl", { class: "values" });
  for (const [key, what] of Object.entries(KEYS)) list.append(el("dt", {}, el("kbd", { text: key })), el("dd", { text: what }));
  const dialog = el("dialog", { "aria-label": "Keyboard" }, el("h2", { text: "Keyboard" }), list,
    el("p", { class: "about", text: "Drag to turn the shapes, with the right button or two fingers to move them, the wheel or a pinch to come nearer; a double click goes back." }),
    el("button", { text: "Close", onclick: () => dialog.close() }));
  document.body.append(dialog);
  return dialog;
}

async function begin() {
  const values = JSON.parse(document.getElementById("values").textContent);
  useColours(values.colours);
  const arrays = await unpacked(values.index, document.getElementById("arrays").textContent);
  document.getElementById("arrays").remove();
  const main = document.getElementById("page");
  const dialog = help();
  const made = new Map();
  const place = el("div", {});
  let current = null;
  const show = (i) => {
    if (current && current.transport) current.transport.toggle(false);
    const fresh = !made.has(i);
    if (fresh) {
      const own = {};
      for (const [name, array] of Object.entries(arrays)) if (name.startsWith(`${i}:`)) own[name.slice(name.indexOf(":") + 1)] = array;
      const part = values.parts[i];
      made.set(i, new KINDS_OF_PARTS[part.kind](part, own));
    }
    current = made.get(i);
    place.replaceChildren(current.element);
    if (fresh) current.begin();
    tabs.forEach((tab, k) => tab.setAttribute("aria-selected", String(k === i)));
    window.report.part = current;
  };
  const tabs = values.parts.map((part, i) => el("button", { role: "tab", "aria-selected": "false", onclick: () => show(i) },
    el("span", { class: "name", text: part.name })));
  const kind = values.parts.length > 1 ? "report" : { take: "take", run: "training", tables: "report" }[values.parts[0].kind];
  main.replaceChildren(
    el("div", { class: "top" }, el("p", { class: "kind", text: `Bunraku · ${kind}` }), el("h1", {}, el("span", { class: "name", text: values.title })),
      el("button", { class: "help", "aria-label": "Keyboard help", onclick: () => dialog.showModal() }, "?")),
    tabs.length > 1 ? el("nav", { class: "tabs", role: "tablist" }, tabs) : "", place);
  /** For tests, and for whoever looks at the page from its console. */
  window.report = { values, show, part: null };
  show(0);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    const { target } = event;
    const typing = target.matches("input:not([type=range]), select, textarea");
    const slides = target.matches("input[type=range]") && event.key !== " " && event.key.length > 1 && !event.shiftKey;
    if (typing || slides || (event.key === " " && target.matches("button, summary"))) return;
    if (event.key === "?") dialog.showModal();
    else if (!current.key(event)) return;
    event.preventDefault();
  });
  // What was clicked with a pointer does not keep the space bar to itself.
  addEventListener("click", (event) => {
    const button = event.detail > 0 && event.target.closest("button, summary");
    if (button) button.blur();
  });
  document.documentElement.dataset.ready = "yes";
}

begin().catch((error) => {
  document.getElementById("page").replaceChildren(el("p", { class: "verdict", text: "This report cannot be shown." }),
    el("p", { text: `${error}` }));
  throw error;
});
