// Elements without a framework: made here, never from text that is HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "css") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `h("p", { class: "x", on: { click } }, "text", child)`. */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);

/** An SVG element. */
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

export const by = (id) => document.getElementById(id);

/** Gives an element new children; the one that has the focus keeps it when it has an id. */
export function show(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const place = focused?.id;
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (place) document.getElementById(place)?.focus({ preventScroll: true });
}

/** Changes a text only when it is another one, so that nothing is read aloud twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Tells those who cannot see the page what happened. */
export const announce = (text) => say(by("said"), text);

export function button(label, act, properties = {}) {
  return h("button", { type: "button", ...properties, on: { click: act } }, label);
}

/** Copies a text and says so on the button. */
export function copyButton(text, label = "Copy") {
  const made = button(label, async () => {
    try {
      await navigator.clipboard.writeText(text());
      made.textContent = "Copied";
      announce("Copied");
    } catch {
      made.textContent = "Not allowed";
    }
    setTimeout(() => { made.textContent = label; }, 1600);
  }, { class: "small" });
  return made;
}

/** A bar of parts, each a share of the whole from 0 to 1. */
export function bar(parts, properties = {}) {
  return h("div", { ...properties, class: `meter ${properties.class ?? ""}` },
    parts.map(({ share, kind, title }) =>
      h("span", { class: kind ?? "", title, css: { width: `${Math.max(0, Math.min(1, share)) * 100}%` } })));
}

/** Tabs by the keyboard's arrows (WAI-ARIA tabs pattern). `items`: [id, label, () => element]. */
export function tabs(name, items) {
  const panel = h("div", { role: "tabpanel", id: `${name}-panel`, tabindex: "0" });
  const list = h("div", { role: "tablist", "aria-label": name, class: "tabs" });
  const choose = (index, focus) => {
    [...list.children].forEach((tab, at) => {
      tab.setAttribute("aria-selected", String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
      if (at === index && focus) tab.focus();
    });
    panel.setAttribute("aria-labelledby", `${name}-${items[index][0]}`);
    chosen = index;
    panel.replaceChildren(items[index][2]());
  };
  let chosen = 0;
  items.forEach(([id, label], index) => list.append(h("button", {
    type: "button", role: "tab", id: `${name}-${id}`, "aria-controls": `${name}-panel`,
    on: {
      click: () => choose(index),
      keydown: (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step) { event.preventDefault(); choose((chosen + step + items.length) % items.length, true); }
      },
    },
  }, label)));
  choose(0);
  return { element: h("div", {}, list, panel), refresh: () => choose(chosen) };
}
