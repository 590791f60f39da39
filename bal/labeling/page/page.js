// Keys press buttons. An answer goes out once, for the item that was on screen long enough to be seen, and not at all
// while the server does not answer. What is typed, toggled or slid lives here until it is sent.
(() => {
  const QUICK = 150; // milliseconds; nobody reads an item and answers it in less
  const LATE = 1500;
  const desk = { taken: null, shownAt: performance.now(), pressedAt: null, waits: [] };
  window.balDesk = desk;

  const card = () => document.getElementById("item");
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (element) => element.offsetParent !== null && !element.disabled;
  const say = (text) => {
    const note = document.getElementById("hint");
    if (note && note.textContent !== text) note.textContent = text;
  };

  // The item that an answer is for, once; null where it may not be answered now.
  const take = (quick) => {
    const serial = card()?.dataset.serial;
    const now = performance.now();
    if (!serial || desk.taken === serial) return null;
    if (!window.socket?.connected) return say("Not stored: the server does not answer. Answer again when it does."), null;
    if (now - desk.shownAt < quick) return say("Not stored: that key came before the item could be seen. Press it again."), null;
    desk.taken = serial;
    desk.pressedAt = now;
    say("");
    setTimeout(() => desk.taken === serial && say("Waiting for the server: this answer is not stored yet."), LATE);
    return { serial, seconds: (now - desk.shownAt) / 1000 };
  };

  // Sends what `make` returns; a text says why there is no answer yet.
  desk.answer = (emit, make) => {
    const answer = make();
    if (typeof answer === "string") return say(answer);
    const taken = take(QUICK);
    if (taken) emit({ ...taken, answer });
  };
  desk.act = (emit, action) => {
    const taken = take(0);
    if (taken) emit({ ...taken, action });
  };
  desk.again = (text) => {
    desk.taken = null;
    say(text);
  };

  desk.toggle = (button) => button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
  desk.several = () => ({
    indices: all("[data-toggle]").flatMap((button, i) => (button.getAttribute("aria-pressed") === "true" ? [i] : [])),
  });
  desk.number = () => {
    const field = document.getElementById("number");
    if (field.value === "") return "Not stored: type a number first.";
    return field.validity.valid ? { value: field.value } : `Not stored: a number from ${field.min} to ${field.max} is expected.`;
  };
  desk.slide = (from, to) => (document.getElementById(to).value = document.getElementById(from).value);
  desk.unsure = (open) => {
    const panel = document.getElementById("unsure");
    if (!panel) return;
    panel.hidden = !open;
    if (open) panel.querySelector("input").focus();
  };
  const weights = () => all("[data-weight]").map((slider) => Number(slider.value));
  desk.shares = () => {
    const values = weights();
    const total = values.reduce((a, b) => a + b, 0);
    all("[data-share]").forEach((out, i) => (out.textContent = total ? `${Math.round((100 * values[i]) / total)} %` : "–"));
  };
  desk.soft = () => (weights().some((value) => value > 0) ? { weights: weights() } : "Not stored: move a slider up first.");

  const afresh = () => {
    const now = performance.now();
    if (desk.pressedAt !== null) {
      desk.waits.push(now - desk.pressedAt);
      if (desk.waits.length > 1000) desk.waits.shift();
    }
    desk.pressedAt = null;
    desk.taken = null;
    desk.shownAt = now;
    say("");
    all("[data-toggle]").forEach((button) => button.setAttribute("aria-pressed", "false"));
    all("[data-weight]").forEach((slider) => (slider.value = slider.defaultValue));
    desk.shares();
    desk.unsure(false);
    const field = document.getElementById("number");
    if (field && visible(field)) {
      field.value = "";
      document.getElementById("slider").value = (Number(field.min) + Number(field.max)) / 2;
      field.focus({ preventScroll: true });
    }
  };
  new MutationObserver((changes) => changes.some(({ target }) => target.id === "item") && afresh()).observe(document, {
    subtree: true,
    attributeFilter: ["data-serial"],
  });

  const begin = () => (card() ? afresh() : requestAnimationFrame(begin)); // the first item is there with the page
  begin();

  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const target = event.target;
    if (target.matches("input[type=text], select, textarea")) return;
    if (target.type === "number" && /^[\d.,+\-eE]$/.test(event.key)) return;
    if (event.key === "Enter" && target.matches("a, summary, button:not([data-toggle])")) return;
    const buttons = all("[data-key]").filter(visible);
    const found =
      buttons.find((button) => button.dataset.key === event.key) ??
      buttons.find((button) => button.dataset.key.toLowerCase() === event.key.toLowerCase());
    if (!found) return;
    event.preventDefault();
    found.click();
  });
})();
