// The dashboard: what GET /_/SERVICE/locations says, drawn again every two seconds while somebody looks, and the control calls as
// buttons. All text reaches the page as text nodes: names of locations and objects are anybody's.
"use strict";

const PERIOD_MS = 2000;
const REQUEST_MS = 10000;
const SERVICES = { crr: "Replication", ingestion: "Ingestion", lifecycle: "Lifecycle" };
const STATE_CLASS = { enabled: "good", disabled: "still", pausing: "still", resuming: "still" };

const byId = (id) => document.getElementById(id);
let service = "crr";
let timer = null;
let failedPage = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function call(method, path, body) {
  const options = { method, signal: AbortSignal.timeout(REQUEST_MS), cache: "no-store" };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${answer.description ?? response.status}`);
  return { answer, stale: response.headers.get("x-downbeat-stale") };
}

function say(problem) {
  byId("problem").textContent = problem ?? "";
  byId("problem").hidden = !problem;
}

function ago(iso) {
  if (!iso) return "";
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

const located = (verb, location, rest = "") => `/_/${service}/${verb}/${encodeURIComponent(location)}${rest}`;

async function act(button, ...request) {
  button.disabled = true;
  try {
    await call(...request);
    say(null);
  } catch (error) {
    say(error.message);
  }
  button.disabled = false;
  await refresh();
}

function button(text, action) {
  const made = element("button", text);
  made.type = "button";
  made.addEventListener("click", () => action(made));
  return made;
}

function schedule(made, location) {
  const hours = prompt(`Resume ${location} in how many hours?`, "6");
  if (hours === null) return;
  if (!/^[1-9]\d*$/.test(hours.trim())) return say("Hours: a whole number from 1 to 87600.");
  act(made, "POST", located("resume", location, "/schedule"), { hours: Number(hours) });
}

function remarks(location) {
  const lines = [...(location.notes ?? [])];
  for (const gap of location.gaps ?? []) lines.push(`lost before it was read: ${gap.topic}/${gap.partition} ${gap.from}–${gap.to}`);
  for (const task of location.stuck ?? []) lines.push(`running for ${ago(task.since)}: ${task.bucket}/${task.key}`);
  const breaker = location.breaker;
  if (breaker && breaker.state !== "closed") lines.push(`target ${breaker.state}: ${breaker.reason ?? "no answer"}`);
  return lines;
}

// One row, made once and changed in place, so that no click or focus is lost to a redraw.
class Row {
  constructor(name) {
    this.element = element("tr");
    const cell = (className) => this.element.appendChild(element("td", undefined, className));
    this.remarks = element("div");
    cell().append(name, this.remarks);
    this.state = cell();
    this.since = cell();
    this.running = cell("number");
    this.waiting = cell("number");
    this.behind = cell("number");
    this.nodes = cell();
    this.resumes = cell();
    this.pause = button("Pause", (made) => act(made, "POST", located("pause", name)));
    this.resume = button("Resume", (made) => act(made, "POST", located("resume", name)));
    this.later = button("Resume later…", (made) => schedule(made, name));
    this.cancel = button("Cancel schedule", (made) => act(made, "DELETE", located("resume", name, "/schedule")));
    const actions = cell("actions");
    actions.append(this.pause, this.resume, " ", this.later, " ", this.cancel);
    if (service === "crr") actions.append(" ", button("Failed", () => showFailed(name, [])));
  }

  update(location) {
    const isPaused = location.state === "disabled" || location.state === "pausing";
    const isScheduled = location.scheduledResume !== "none";
    this.remarks.replaceChildren(...remarks(location).map((remark) => element("span", remark, "note")));
    this.state.textContent = location.state;
    this.state.className = STATE_CLASS[location.state];
    this.since.textContent = ago(location.since);
    this.running.textContent = location.inFlight;
    this.waiting.textContent = location.queued;
    this.behind.textContent = location.lag ?? "–";
    this.nodes.replaceChildren(...(location.nodes ?? []).map((node) =>
      element("span", `${node.id} ${node.state}${node.inFlight ? `, ${node.inFlight} running` : ""}`, "note")));
    this.resumes.textContent = isScheduled ? new Date(location.scheduledResume).toLocaleString() : "";
    this.pause.hidden = isPaused;
    this.resume.hidden = this.later.hidden = !isPaused;
    this.cancel.hidden = !isScheduled;
  }
}

let rows = new Map();

function draw(locations) {
  const names = locations.map((location) => location.location);
  if (names.join("\n") !== [...rows.keys()].join("\n")) {
    rows = new Map(names.map((name) => [name, new Row(name)]));
    byId("locations").tBodies[0].replaceChildren(...[...rows.values()].map((row) => row.element));
  }
  for (const location of locations) rows.get(location.location).update(location);
  byId("locations").hidden = locations.length === 0;
  byId("empty").hidden = locations.length > 0;
}

async function drawHealth(stale) {
  const health = byId("health");
  const response = await fetch("/_/ready", { signal: AbortSignal.timeout(REQUEST_MS), cache: "no-store" });
  const problems = response.ok ? [] : (await response.json());
  health.className = response.ok && !stale ? "good" : "still";
  const list = Array.isArray(problems) ? problems.map((problem) => [problem.component, problem.status, problem.site].filter(Boolean).join(" ")) : [];
  health.textContent = [
    response.ok ? "ready" : `not ready: ${list.join(", ") || response.status}`,
    stale ? `state read ${stale} s ago, ZooKeeper is away` : "",
  ].filter(Boolean).join("; ");
}

async function refresh() {
  clearTimeout(timer);
  try {
    const { answer, stale } = await call("GET", `/_/${service}/locations`);
    draw([...answer.locations].sort((a, b) => a.location.localeCompare(b.location)));
    await drawHealth(stale);
  } catch (error) {
    byId("health").className = "bad";
    byId("health").textContent = `no answer: ${error.message}`;
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, PERIOD_MS);
}

// The failed list of one location. `markers`: of the pages before this one.

async function showFailed(location, markers) {
  const marker = markers.at(-1);
  const query = `sitename=${encodeURIComponent(location)}${marker === undefined ? "" : `&marker=${marker}`}`;
  try {
    const { answer } = await call("GET", `/_/crr/failed?${query}`);
    failedPage = { location, markers, answer };
  } catch (error) {
    return say(error.message);
  }
  const { Versions: versions, NextMarker: next } = failedPage.answer;
  byId("failed-location").textContent = `${location} (${versions.length}${next === undefined ? "" : ", and older ones"})`;
  byId("failed").querySelector("tbody").replaceChildren(...versions.map((version) => {
    const made = element("tr");
    const reason = element("td", version.Reason ?? "");
    if (version.Message) reason.append(element("span", version.Message, "note"));
    made.append(
      element("td", `${version.Bucket}/${version.Key}`), element("td", version.VersionId ?? ""), reason,
      element("td", version.Attempts ?? "", "number"), element("td", version.FailedAt ? `${ago(version.FailedAt)} ago` : ""));
    return made;
  }));
  byId("retry-shown").disabled = versions.length === 0;
  byId("older").hidden = next === undefined;
  byId("failed").hidden = false;
}

async function retryShown() {
  const { location, markers, answer } = failedPage;
  const list = answer.Versions.map(({ Bucket, Key, VersionId, StorageClass }) => ({ Bucket, Key, VersionId, StorageClass }));
  await act(byId("retry-shown"), "POST", "/_/crr/failed", list);
  await showFailed(location, markers);
}

for (const [name, title] of Object.entries(SERVICES)) {
  const made = button(title, () => {
    service = name;
    rows = new Map();
    byId("failed").hidden = true;
    for (const other of byId("services").children) other.setAttribute("aria-current", other === made);
    refresh();
  });
  made.setAttribute("aria-current", name === service);
  byId("services").append(made, " ");
}
byId("retry-shown").addEventListener("click", retryShown);
byId("older").addEventListener("click", () => showFailed(failedPage.location, [...failedPage.markers, failedPage.answer.NextMarker]));
byId("close-failed").addEventListener("click", () => { byId("failed").hidden = true; });
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
