// Elements from plain descriptions. Text goes in as text nodes only: a title out of a catalogue can never become
// markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: `h("p", { class: "small", on: { click } }, "text", child)`. `null` children are left out. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "css") {
      // Through CSSOM: the page's policy allows no style attributes.
      for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
    } else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  add(element, children);
  return element;
}

/** Appends text, elements, and lists of them. */
export function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Puts these in place of what is there. */
export function show(element, ...children) {
  element.replaceChildren();
  return add(element, ...children);
}

let last = 0;

/** A name that no other element of the page has. */
export function unique(prefix) {
  last += 1;
  return `${prefix}-${last}`;
}

/** Runs it once no call came for so long; `signal` drops what still waits. */
export function debounced(wait, signal, run) {
  let timer = null;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return (...values) => {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(() => run(...values), wait);
  };
}
