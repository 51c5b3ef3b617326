"use strict";
const by = (id) => document.getElementById(id);
const FEW_CELLS = 600, MOST_CELLS = 20000;
let token = "", models = [], model = null, asking = null;

/** An element with a class and a text; what comes from models is never HTML. */
function make(tag, text, kind) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

async function call(path, body, signal) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST", headers, signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.ok) return response;
  const found = await response.json().catch(() => ({}));
  const error = new Error(found.error?.message ?? `the service says ${response.status}`);
  error.status = response.status;
  throw error;
}

/** The events of a stream, as [name, value]. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const [name, data] = block.split("\n");
      yield [name.slice("event: ".length), JSON.parse(data.slice("data: ".length))];
    }
  }
}

function fail(error) {
  by("output").setAttribute("aria-busy", "false");
  if (error.status === 401) {
    by("ask").hidden = true;
    by("entry").hidden = false;
    by("token").focus();
    if (!token) return;
  }
  by("error").textContent = error.message;
}

function clear() {
  by("error").textContent = "";
  by("said").textContent = "";
  by("output").textContent = "";
  for (const id of ["bars", "others", "attention"]) by(id).hidden = true;
}

async function begin() {
  try {
    models = (await (await call("v1/models")).json()).models;
  } catch (error) {
    fail(error);
    return;
  }
  by("error").textContent = "";
  by("entry").hidden = true;
  by("ask").hidden = false;
  by("choices").replaceChildren(...models.map((each, place) => {
    const label = make("label"), input = make("input");
    Object.assign(input, { type: "radio", name: "model", value: each.name, checked: !place });
    input.addEventListener("change", () => choose(each));
    label.append(input, each.name);
    return label;
  }));
  by("models").hidden = models.length < 2;
  choose(models[0]);
}

function choose(chosen) {
  asking?.abort();
  model = chosen;
  by("result").hidden = true;
  by("error").textContent = "";
  const figure = Object.entries(model.figures)
    .find(([, value]) => typeof value?.value === "number");
  const facts = {
    Name: models.length < 2 ? model.name : "",
    Task: model.task.replaceAll("_", " "),
    Languages: model.languages.join(" to "),
    Labels: model.labels?.length > 6 ? `${model.labels.length}` : model.labels?.join(", "),
    Weights: model.parameters.toLocaleString("en") + (model.quantized ? `, ${model.quantized}` : ""),
  };
  if (figure) {
    const [name, { value }] = figure;
    const shown = value.toFixed(value > 1 ? 1 : 3);
    facts[`${name} on ${model.figures.split}`.replaceAll("_", " ")] = shown;
  }
  by("facts").replaceChildren(...Object.entries(facts).filter(([, value]) => value).map((pair) => {
    const line = make("div");
    line.append(make("dt", pair[0]), make("dd", pair[1]));
    return line;
  }));
  by("options").hidden = model.options.beam === undefined;
  by("beam").value = model.options.beam ?? 1;
  by("alternatives").value = model.options.n_best ?? 1;
  by("prefix").value = model.options.prefix ?? "";
  const asked = JSON.stringify({ text: "..." });
  const header = token ? " \\\n  -H 'Authorization: Bearer TOKEN'" : "";
  by("example").textContent =
    `curl ${new URL(`v1/${model.name}/predict`, location.href)}${header} \\\n  -d '${asked}'`;
}

/** What of the options is not as the model has it. */
function options() {
  const wanted = {}, found = {
    beam: Number(by("beam").value), n_best: Number(by("alternatives").value),
    prefix: by("prefix").value,
  };
  if (by("options").hidden) return undefined;
  for (const [key, value] of Object.entries(found)) {
    if (value !== model.options[key]) wanted[key] = value;
  }
  return Object.keys(wanted).length ? wanted : undefined;
}

async function ask() {
  asking?.abort();
  const own = (asking = new AbortController()), text = by("text").value;
  clear();
  by("result").hidden = false;
  by("stop").hidden = false;
  by("output").setAttribute("aria-busy", "true");
  const begun = performance.now();
  try {
    const body = { text, options: options(), explain: true };
    if (!model.generates) {
      const response = await call(`v1/${model.name}/predict`, body, own.signal);
      show((await response.json()).answers[0], begun);
      return;
    }
    const response = await call(`v1/${model.name}/stream`, body, own.signal);
    let ended = false;
    for await (const [name, value] of events(response)) {
      if (name === "token") by("output").textContent = value.text;
      if (name === "error") throw new Error(value.error.message);
      if (name === "answer") show(value.answers[0], begun);
      ended ||= name === "answer";
    }
    if (!ended) throw new Error("the service ended before the answer did");
  } catch (error) {
    if (error.name === "AbortError") {
      if (asking === own) by("said").textContent = "Stopped.";
    } else fail(error);
  } finally {
    if (asking === own) {
      by("stop").hidden = true;
      by("output").setAttribute("aria-busy", "false");
    }
  }
}

by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
by("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("ask").requestSubmit();
});
by("stop").addEventListener("click", () => asking?.abort());
by("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  token = by("token").value;
  begin();
});
list();
begin();
