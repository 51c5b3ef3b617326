/** Show an answer, and how long it took. */
function show(answer, begun) {
  by("output").setAttribute("aria-busy", "false");
  const output = answer.label ?? answer.output;
  by("output").textContent = output || "Nothing.";
  by("said").textContent = `${Math.max(1, Math.round(performance.now() - begun))} ms`;
  if (answer.probabilities) bars(answer.probabilities, answer.label);
  const found = answer.hypotheses ?? [];
  if (found.length > 1) {
    by("others").hidden = false;
    by("hypotheses").replaceChildren(...found.slice(1).map((each) => {
      const line = make("li", `${each.text} `);
      line.append(make("span", `score ${each.score?.toFixed(2) ?? "unknown"}`, "score"));
      return line;
    }));
    by("hypotheses").start = 2;
  }
  if (answer.words?.output.length) attention(answer.words);
}

function bars(shares, first) {
  const sorted = Object.entries(shares).sort((one, other) => other[1] - one[1]);
  by("bars").hidden = false;
  by("bars").replaceChildren(...sorted.map(([label, share]) => {
    const line = make("li", undefined, label === first ? "first" : "");
    const track = make("span", undefined, "track"), fill = make("span", undefined, "fill");
    fill.style.width = `${100 * share}%`;
    track.append(fill);
    track.setAttribute("aria-hidden", "true");
    line.append(make("span", label, "label"), track, make("span", percent(share), "share"));
    return line;
  }));
}

/** Words of the answer as buttons, one of which lights up the source; and all in a table. */
function attention(words) {
  by("attention").hidden = false;
  const read = words.source.map((word) => make("span", word));
  by("read").replaceChildren(...read);
  const written = words.output.map((word, row) => {
    const button = make("button", word), weights = words.attention[row];
    Object.assign(button, { type: "button", tabIndex: row ? -1 : 0 });
    const press = () => {
      for (const each of written) each.setAttribute("aria-pressed", String(each === button));
      read.forEach((span, column) => {
        span.style.setProperty("--w", weights[column]);
        span.title = percent(weights[column]);
      });
      const most = words.source[weights.indexOf(Math.max(...weights))];
      button.setAttribute("aria-description", `looked most at ${most}`);
    };
    for (const moment of ["mouseenter", "focus", "click"]) button.addEventListener(moment, press);
    return button;
  });
  by("written").replaceChildren(...written);
  by("written").onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], place = written.indexOf(event.target);
    if (!step || place < 0) return;
    event.preventDefault();
    written[place].tabIndex = -1;
    const next = written[(place + step + written.length) % written.length];
    next.tabIndex = 0;
    next.focus();
  };
  written[0].dispatchEvent(new Event("mouseenter"));
  const fits = written.length * read.length <= MOST_CELLS;
  by("map").hidden = !fits;
  by("map").open = written.length * read.length <= FEW_CELLS;
  by("grid").replaceChildren();
  if (fits) grid(words);
}

/** All weights, a line for each word of the answer; or of the text, where that is much longer. */
function grid({ source, output, attention }) {
  const turned = source.length > 1.5 * output.length;
  const [down, across] = turned ? [source, output] : [output, source];
  const head = make("thead"), body = make("tbody"), top = make("tr");
  top.append(make("td"), ...across.map((word) => {
    const cell = make("th", word);
    cell.scope = "col";
    return cell;
  }));
  head.append(top);
  down.forEach((word, row) => {
    const line = make("tr"), name = make("th", word);
    name.scope = "row";
    line.append(name, ...across.map((_, column) => {
      const weight = turned ? attention[column][row] : attention[row][column], cell = make("td");
      cell.style.setProperty("--w", weight);
      cell.title = percent(weight);
      cell.setAttribute("aria-label", percent(weight));
      return cell;
    }));
    body.append(line);
  });
  by("grid").append(head, body);
}

/** What can be asked, from the document that describes it. */
async function list() {
  const found = await (await fetch("openapi.json")).json();
  const lines = [];
  for (const [path, verbs] of Object.entries(found.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      const line = make("li");
      line.append(make("span", verb.toUpperCase(), "verb"), make("code", path));
      const said = (operation.description ?? operation.summary).replaceAll("`", "").split("\n\n");
      line.append(...said.map((each) => make("p", each.replaceAll("\n", " "))));
      lines.push(line);
    }
  }
  by("api").replaceChildren(...lines);
}
