// Views are made anew each time, as trees that nobody sees; `morph` brings what is seen into line with them. So nothing flickers, and focus,
// selection, scrolling and what somebody is typing stay. Text only ever becomes text: there is no way from a name to markup.

const SVG = "http://www.w3.org/2000/svg";

export const h = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function show(root, ...children) {
  const next = root.cloneNode(false);
  next.append(...children.flat(Infinity).filter(Boolean));
  morph(root, next);
}

function morph(current, next) {
  if (current.nodeType === Node.TEXT_NODE) {
    if (current.data !== next.data) current.data = next.data;
    return;
  }
  for (const { name } of [...current.attributes]) {
    if (!next.hasAttribute(name) && !(name === "open" && current.nodeName === "DETAILS")) change(current, name, null);
  }
  for (const { name, value } of next.attributes) if (current.getAttribute(name) !== value) change(current, name, value);
  morphChildren(current, next);
}

// What a field shows follows its attributes only until somebody has used it: from then on it has to be told, but not while somebody types.
function change(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else node.setAttribute(name, value);
  if (name === "value" && node.nodeName === "INPUT" && node !== document.activeElement) node.value = value ?? "";
  if (name === "selected" && node.nodeName === "OPTION") node.selected = value !== null;
}

function morphChildren(current, next) {
  const keyed = new Map([...current.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let at = current.firstChild;
  for (const wanted of [...next.childNodes]) {
    const key = wanted.dataset?.key;
    const kept = key ? keyed.get(key) : at;
    if (kept && kept.parentNode === current && alike(kept, wanted)) {
      if (kept === at) at = at.nextSibling;
      else current.insertBefore(kept, at);
      morph(kept, wanted);
    } else {
      current.insertBefore(wanted, at);
    }
  }
  while (at) {
    const following = at.nextSibling;
    at.remove();
    at = following;
  }
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key;
}
