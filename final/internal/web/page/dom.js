// Elements. Text of a container is always text: there is no way here by which it could become markup.

const svgTags = new Set(["svg", "path", "line", "rect", "text", "g"]);

// h makes an element with attributes and children; a child is an element, text, or nothing.
export function h(tag, attributes, ...children) {
  const made = svgTags.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

// say sets a text if it is another: a screen reader, and a selection, are left alone otherwise.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const byId = (id) => document.getElementById(id);
