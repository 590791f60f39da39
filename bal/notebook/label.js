// One row, its answers as buttons and keys, skip and undo. Text comes in by textContent alone, and nothing is loaded.

const make = (tag, text, known = {}) => Object.assign(document.createElement(tag), { textContent: text ?? "" }, known);
const svg = (tag, known) => {
  const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(known)) found.setAttribute(name, value);
  return found;
};

const VIEWS = {
  text: ({ content }) => make("p", content, { className: "bal-text" }),
  table: ({ content, alt }) => {
    const found = make("table", "", { ariaLabel: alt });
    for (const [name, cell] of content) {
      const line = found.insertRow();
      line.append(make("th", name, { scope: "row" }), make("td", cell));
    }
    return found;
  },
  image: ({ content, alt }) => {
    const found = make("canvas", "", { width: content.width, height: content.height, role: "img", ariaLabel: alt });
    const bytes = Uint8ClampedArray.from(atob(content.rgba), (letter) => letter.charCodeAt(0));
    found.getContext("2d").putImageData(new ImageData(bytes, content.width, content.height), 0, 0);
    return found;
  },
  series: (view) => points(view, ({ x, y }) => [svg("polyline", {
    points: x.map((_, n) => `${x[n]},${y[n]}`).join(" "), fill: "none", stroke: "currentColor",
    "vector-effect": "non-scaling-stroke" })]),
  scatter: (view) => points(view, ({ x, y }) => x.map((_, n) => svg("circle", {
    cx: x[n], cy: y[n], r: 1, fill: "currentColor" }))),
};

function points({ content, alt }, drawn) {
  const scaled = (values, low, high) => {
    const [least, most] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
    return values.map((value) => low + ((high - low) * (value - least)) / (most - least || 1));
  };
  const found = svg("svg", { viewBox: "0 0 200 100", role: "img", "aria-label": alt, class: "bal-plot" });
  found.append(...drawn({ x: scaled(content.x, 2, 198), y: scaled(content.y, 98, 2) }));
  return found;
}

function render({ model, el }) {
  const box = make("div", "", { className: "bal-label", tabIndex: 0, role: "group", ariaLabel: "Labeling" });
  box.dataset.lmSuppressShortcuts = "true"; // keys are ours while the box has the focus
  el.append(box);
  let since = performance.now(), waiting = null, number = -1, told = -1, chosen = new Set(), sure = null, typed = null;

  const tell = (what) => { // once for each thing shown: a key that is hit twice says one thing
    if (told === number) return;
    told = number;
    clearTimeout(waiting);
    model.set("told", { ...what, number, seconds: Math.round(performance.now() - since) / 1000 });
    model.save_changes();
  };
  const pick = (name) => {
    const { kind, classes } = model.get("shown");
    if (kind === "several") {
      chosen.has(name) ? chosen.delete(name) : chosen.add(name);
      for (const button of box.querySelectorAll("[data-name]")) button.ariaPressed = chosen.has(button.dataset.name);
    } else if (sure && sure.valueAsNumber < 100) {
      const share = sure.valueAsNumber / 100, rest = (1 - share) / (classes.length - 1);
      tell({ do: "answer", answer: Object.fromEntries(classes.map(([one]) => [one, one === name ? share : rest])) });
    } else tell({ do: "answer", answer: name });
  };
  const submit = () => {
    const { kind } = model.get("shown");
    if (kind === "several") tell({ do: "answer", answer: [...chosen] });
    if (kind === "number" && typed.value !== "") tell({ do: "answer", answer: typed.valueAsNumber });
  };
  const button = (words, key, act, known = {}) => {
    const found = make("button", words, { type: "button", onclick: act, ...known });
    if (key) found.append(make("kbd", key));
    return found;
  };

  const draw = () => {
    const shown = model.get("shown"), held = box.contains(document.activeElement);
    const item = shown.item;
    number = shown.number;
    if (shown.fresh) [since, chosen] = [performance.now(), new Set()];
    clearTimeout(waiting);
    if (shown.waiting) waiting = setTimeout(() => tell({ do: "next" }), 500);
    const answers = make("div", "", { className: "bal-answers" });
    const row = make("div", "", { className: "bal-row", ariaLive: "polite" });
    sure = typed = null;
    if (item) {
      row.append(item.view ? VIEWS[item.view.kind](item.view) : make("p", item.error, { role: "alert" }));
      if (item.view) {
        for (const [name, key] of shown.classes) {
          const known = shown.kind === "several" ? { ariaPressed: chosen.has(name) } : {};
          const found = button(name, key, () => pick(name), known);
          found.dataset.name = name;
          answers.append(found);
        }
        if (shown.kind === "soft") {
          const least = Math.ceil(100 / shown.classes.length);
          sure = make("input", "", { type: "range", min: least, max: 100, ariaLabel: "how sure, in percent" });
          sure.value = 100;
          answers.append(make("label", "sure"), sure);
        }
        if (shown.kind === "number") {
          const { low, high, unit } = shown.range;
          typed = make("input", "", { type: "number", min: low, max: high, step: "any", ariaLabel: shown.question });
          answers.append(typed, make("span", `${low} to ${high} ${unit}`));
        }
        if (shown.kind === "several" || shown.kind === "number") answers.append(button("done", "Enter", submit));
      }
      answers.append(button("cannot tell", "s", () => tell({ do: "skip" })));
    }
    if (shown.can_undo) answers.append(button("undo", "u", () => tell({ do: "undo" })));
    const words = make("p", shown.words, { role: "status" });
    box.replaceChildren(make("p", shown.question), row, answers, words);
    if (shown.fault) box.append(make("p", shown.fault, { role: "alert", className: "bal-fault" }));
    if (held) (typed ?? box).focus();
  };

  const pressed = (event) => {
    const { item, classes, can_undo } = model.get("shown");
    if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    event.stopPropagation();
    if (event.target instanceof HTMLInputElement && !(event.key === "Enter" && event.target === typed)) return;
    const on = event.target instanceof HTMLButtonElement && (event.key === "Enter" || event.key === " ");
    if (event.repeat || on) return; // a button that has the focus acts by itself
    const found = item?.view && classes.find(([, key]) => key === event.key.toLowerCase());
    if (found) pick(found[0]);
    else if (event.key === "Enter" && item?.view) submit();
    else if (event.key === "s" && item) tell({ do: "skip" });
    else if (event.key === "u" && can_undo) tell({ do: "undo" });
    else return;
    event.preventDefault();
  };

  box.addEventListener("keydown", pressed);
  model.on("change:shown", draw);
  draw();
  return () => {
    clearTimeout(waiting);
    model.off("change:shown", draw);
  };
}

export default { render };
