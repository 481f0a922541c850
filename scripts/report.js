// The clusters of the page: search, order, pages, and decisions to download: names, and pairs that are the same or different.
// What comes from the database is only ever set as text.
"use strict";
const { clusters, rows, images } = JSON.parse(document.getElementById("content").textContent);
const PAGE = 24;
const at = (id) => document.getElementById(id);
const names = new Map(); // of a cluster's index
const pairs = new Map(); // of two ids, as JSON: "same" or "different"
let page = 0;
let marked = null;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const count = (n) => `${n.toLocaleString("en")} point${n === 1 ? "" : "s"}`;
const nameOf = (cluster) => names.get(cluster.index) ?? cluster.name ?? "";
const title = (cluster) => nameOf(cluster) || cluster.cluster;
const text = (id) => [id, ...rows[id].cells].filter(Boolean).join(" · ");
const decided = (cluster) =>
  names.has(cluster.index) || cluster.ids.some((id) => pairs.has(JSON.stringify([cluster.ids[0], id])));
// Empty values last.
const by = (value, sign) => (a, b) => (b[value] !== null) - (a[value] !== null) || sign * (a[value] - b[value]) || a.index - b.index;
const orders = {
  doubt: by("doubt", -1),
  cohesion: by("cohesion", 1),
  size: (a, b) => a.index - b.index,
  name: (a, b) => title(a).localeCompare(title(b), undefined, { numeric: true }) || a.index - b.index,
};
const kinds = {
  all: () => true,
  several: (cluster) => cluster.size > 1,
  single: (cluster) => cluster.size === 1,
  named: (cluster) => nameOf(cluster) !== "",
  unnamed: (cluster) => nameOf(cluster) === "",
  decided,
};

clusters.forEach((cluster, index) => {
  cluster.index = index;
  cluster.text = [cluster.cluster, ...cluster.ids.map(text)].join("\n").toLowerCase();
});

function tell() {
  const number = names.size + pairs.size;
  at("decided").textContent = `${number} decision${number === 1 ? "" : "s"}`;
  at("download").disabled = number === 0;
}

/** A button that says a word about two points, and takes it back when pressed again. */
function choice(word, src, dst, properties) {
  const key = JSON.stringify([src, dst]);
  const made = element("button", { type: "button", ...properties });
  const show = () => made.setAttribute("aria-pressed", String(pairs.get(key) === word));
  made.addEventListener("click", () => {
    if (pairs.get(key) === word) pairs.delete(key);
    else pairs.set(key, word);
    tell();
    for (const other of made.parentElement.children) other.dispatchEvent(new Event("decided"));
  });
  made.addEventListener("decided", show);
  show();
  return made;
}

function member(cluster, id) {
  const first = cluster.ids[0];
  const image = rows[id].image;
  const shown = image ? element("img", { src: image, alt: id, loading: "lazy" }) : null;
  if (images && shown) {
    const properties = { className: "face", title: text(id) };
    if (id === first) return element("li", {}, element("span", properties, shown));
    const button = choice("different", first, id, { ...properties, ariaLabel: `${id} does not belong here` });
    button.append(shown);
    return element("li", {}, button);
  }
  const line = element("li", {}, element("span", { textContent: text(id) }));
  if (id !== first) {
    line.append(choice("different", first, id, { textContent: "not here", ariaLabel: `${id} does not belong here` }));
  }
  return line;
}

function card(cluster) {
  const heading = element("h3");
  const head = () => {
    const facts = [count(cluster.size)];
    if (nameOf(cluster)) facts.unshift(`cluster ${cluster.cluster}`);
    if (cluster.doubt !== null) facts.push(`doubt ${cluster.doubt.toFixed(2)}`);
    if (cluster.cohesion !== null) facts.push(`mean cosine ${cluster.cohesion.toFixed(2)}`);
    heading.replaceChildren(title(cluster), element("span", { className: "quiet", textContent: ` · ${facts.join(" · ")}` }));
  };
  head();
  const input = element("input", { placeholder: "name", value: nameOf(cluster), ariaLabel: `name of cluster ${cluster.cluster}` });
  input.addEventListener("change", () => {
    const name = input.value.trim();
    if (name && name !== cluster.name) names.set(cluster.index, name);
    else names.delete(cluster.index);
    input.value = nameOf(cluster);
    head();
    tell();
  });
  const members = element("ul", { className: images ? "members" : "members rows" });
  members.append(...cluster.ids.map((id) => member(cluster, id)));
  const made = element("article", { className: "card", id: `cluster-${cluster.index}` }, heading, members);
  const more = cluster.size - cluster.ids.length;
  if (more) made.append(element("p", { textContent: `and ${count(more)} more` }));
  const tree = at(`tree-${cluster.index}`);
  if (tree) made.append(element("details", {}, element("summary", { textContent: "parents" }), tree.content.cloneNode(true)));
  made.append(input);
  made.classList.toggle("marked", cluster === marked);
  return made;
}

function found() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kind = kinds[at("kind").value];
  const has = (cluster) => words.every((word) => cluster.text.includes(word) || nameOf(cluster).toLowerCase().includes(word));
  return clusters.filter((cluster) => kind(cluster) && has(cluster)).sort(orders[at("order").value]);
}

function draw() {
  const list = found();
  const pages = Math.max(1, Math.ceil(list.length / PAGE));
  page = Math.min(page, pages - 1);
  at("cards").replaceChildren(...list.slice(page * PAGE, (page + 1) * PAGE).map(card));
  const number = `${list.length.toLocaleString("en")} cluster${list.length === 1 ? "" : "s"}`;
  at("pages").textContent = `${number}, page ${page + 1} of ${pages}`;
  at("before").disabled = page === 0;
  at("after").disabled = page === pages - 1;
}

function turn(to) {
  page = to;
  draw();
}

/** Finds a cluster among all of them, in the order at hand. */
function show(index) {
  marked = clusters[index];
  at("search").value = "";
  at("kind").value = "all";
  turn(Math.floor(found().indexOf(marked) / PAGE));
  at(`cluster-${index}`).scrollIntoView({ block: "center" });
}

/** The decisions as CSV; an id that is empty differs from none. */
function csv() {
  const quoted = (value) => (value === null ? "" : `"${value.replaceAll('"', '""')}"`);
  const lines = [["decision", "src", "dst", "name"]];
  for (const [key, word] of pairs) lines.push([word, ...JSON.parse(key), null]);
  for (const [index, name] of names) lines.push(["name", clusters[index].ids[0], null, name]);
  return lines.map((line) => `${line.map(quoted).join(",")}\n`).join("");
}

for (const id of ["order", "kind"]) at(id).addEventListener("change", () => turn(0));
at("search").addEventListener("input", () => turn(0));
at("before").addEventListener("click", () => turn(page - 1));
at("after").addEventListener("click", () => turn(page + 1));
at("download").addEventListener("click", () => {
  const link = element("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: "decisions.csv" });
  link.click();
  URL.revokeObjectURL(link.href);
});
for (const place of document.querySelectorAll(".choice")) {
  const { src, dst } = place.dataset;
  place.append(...["same", "different"].map((word) => choice(word, src, dst, { textContent: word })));
}
for (const link of document.querySelectorAll("a[data-cluster]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    show(Number(link.dataset.cluster));
  });
}
window.addEventListener("beforeunload", (event) => {
  if (names.size + pairs.size) event.preventDefault();
});
at("work").hidden = at("decisions").hidden = false;
tell();
draw();
