// dom: building the page. Whatever comes from outside becomes text by textContent and nothing else:
// no markup is ever made of a string.

export const $ = id => document.getElementById(id);

// el makes an element: el('td', {class: 'num', title: 'x', on: {click: f}}, 'text', child…)
export function el(tag, props, ...kids) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [ev, f] of Object.entries(value)) node.addEventListener(ev, f);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...kids.filter(k => k !== null && k !== undefined));
  return node;
}

// text and cls touch the page only where something changes.
export function text(node, value) {
  const s = value === null || value === undefined ? '' : String(value);
  if (node.textContent !== s) node.textContent = s;
  return node;
}

export function cls(node, value) {
  if (node.className !== value) node.className = value;
}

export function show(node, yes) {
  if (node.hidden === yes) node.hidden = !yes;
}

export function width(node, part) {
  const w = Math.max(0, Math.min(100, part * 100)).toFixed(1) + '%';
  if (node.style.width !== w) node.style.width = w;
}

// keyed makes the children of parent follow a list. Nodes live on as long as their key does, so the
// focus and what is pointed at stay. make(item) gives a node; update(node, item) fills it.
export function keyed(parent, items, keyOf, make, update) {
  const old = parent.kids || new Map(), now = new Map();
  let at = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    if (now.has(key)) continue;
    const node = old.get(key) || make(item);
    now.set(key, node);
    update(node, item);
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  for (const [key, node] of old) if (!now.has(key)) node.remove();
  while (at) {
    const next = at.nextSibling;
    if (![...now.values()].includes(at)) at.remove();
    at = next;
  }
  parent.kids = now;
}

// cells makes a row of cells that update() fills by name: row.c.waiting
export function row(columns) {
  const tr = el('tr');
  tr.c = {};
  for (const {name, label, num} of columns) {
    const td = el('td', {class: num ? 'num' : null, 'data-label': label || null});
    tr.c[name] = td;
    tr.append(td);
  }
  return tr;
}

// table gives a table its head once; the body is for keyed().
export function table(node, columns) {
  if (node.body) return node.body;
  const head = el('tr');
  for (const {label, num, title} of columns)
    head.append(el('th', {class: num ? 'num' : null, scope: 'col', title}, label || ''));
  node.body = el('tbody');
  node.replaceChildren(el('thead', null, head), node.body);
  return node.body;
}

export function button(label, click, props) {
  return el('button', {type: 'button', ...props, on: {click}}, label);
}
