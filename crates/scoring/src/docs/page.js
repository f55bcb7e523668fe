
"use strict";
const $ = (id) => document.getElementById(id);
const body = $("body");
const target = new URL("invocations", location.href).href;
const drafts = { "application/json": body.value, "text/csv": toCsv(body.value) };
const first = { ...drafts };
let type = "application/json";

function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function lines(columns, rows) {
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

function toCsv(text) {
  let example;
  try { example = JSON.parse(text); } catch { return ""; }
  const split = example.dataframe_split;
  if (split && split.columns && split.data) return lines(split.columns, split.data);
  const data = example.dataframe_records || example.instances || example.inputs;
  if (Array.isArray(data) && data.length && data.every((row) => row && typeof row === "object" && !Array.isArray(row))) {
    const columns = Object.keys(data[0]);
    return lines(columns, data.map((row) => columns.map((name) => row[name])));
  }
  if (data && typeof data === "object" && !Array.isArray(data)) {
    const columns = Object.keys(data);
    const lists = columns.map((name) => (Array.isArray(data[name]) ? data[name] : [data[name]]));
    const rows = Math.max(0, ...lists.map((list) => list.length));
    return lines(columns, Array.from({ length: rows }, (_, row) => lists.map((list) => list[row])));
  }
  return "";
}

function showCurl() {
  const text = body.value.trim();
  /* A line break is never inside a JSON string, so the lines may be joined. */
  const line = type === "application/json" ? text.replace(/\s*\n\s*/g, " ") : text;
  const quoted = "'" + line.replaceAll("'", "'\\''") + "'";
  const header = "'content-type: " + type + "'";
  $("curl").textContent = "curl " + target + " \\\n  -H " + header + " \\\n  --data-binary " + quoted;
}

function size(bytes) {
  return bytes < 1024 ? bytes + " B" : (bytes / 1024).toFixed(1) + " KiB";
}

/* Lays JSON out for reading. Numbers stay the text they are: parsing would turn 7.0 into 7, and
   change integers beyond 2^53. What fits on a line stays on one. */
function pretty(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) || [];
  let next = 0;
  function value() {
    const token = tokens[next++];
    if (token !== "{" && token !== "[") return token;
    const close = token === "{" ? "}" : "]";
    const items = [];
    while (next < tokens.length && tokens[next] !== close) {
      if (tokens[next] === ",") { next++; continue; }
      let item = value();
      if (tokens[next] === ":") { next++; item += ": " + value(); }
      items.push(item);
    }
    next++;
    const line = token + items.join(", ") + close;
    if (line.length <= 72 && !line.includes("\n")) return line;
    return token + "\n" + items.map((item) => "  " + item.replaceAll("\n", "\n  ")).join(",\n") + "\n" + close;
  }
  return value();
}

function readable(text) {
  if (text.length > 200000) return text;
  try { JSON.parse(text); return pretty(text); } catch { return text; }
}

function badge(element, text, good) {
  element.textContent = text;
  element.className = "badge " + (good ? "good" : "bad");
}

async function send() {
  $("send").disabled = true;
  const begin = performance.now();
  try {
    const response = await fetch(target, { method: "POST", headers: { "content-type": type }, body: body.value });
    const text = await response.text();
    const took = performance.now() - begin;
    badge($("status"), response.status + (response.statusText ? " " + response.statusText : ""), response.ok);
    $("took").textContent = took < 10 ? took.toFixed(1) + " ms" : Math.round(took) + " ms";
    $("size").textContent = size(new Blob([text]).size);
    $("text").textContent = readable(text);
    const id = response.headers.get("x-request-id");
    $("request-id").textContent = id ? "request " + id : "";
  } catch (error) {
    badge($("status"), "no answer", false);
    $("took").textContent = $("size").textContent = $("request-id").textContent = "";
    $("text").textContent = String(error.message || error);
  }
  $("answer").hidden = false;
  $("send").disabled = false;
}

async function showState() {
  try {
    const response = await fetch(new URL("ready", location.href));
    badge($("state"), response.ok ? "ready" : "not ready", response.ok);
  } catch { badge($("state"), "no answer", false); }
}

for (const choice of document.querySelectorAll("input[name=type]")) {
  choice.addEventListener("change", () => {
    drafts[type] = body.value;
    type = choice.value;
    body.value = drafts[type];
    showCurl();
  });
}
body.addEventListener("input", showCurl);
body.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
});
$("send").addEventListener("click", send);
$("reset").addEventListener("click", () => { body.value = drafts[type] = first[type]; showCurl(); });
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("curl"));
    $("copy").textContent = "Selected";
  }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});
showCurl();
showState();
