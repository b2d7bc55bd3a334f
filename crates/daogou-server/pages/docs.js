// The API's own documentation: every route of `/openapi.json` with its parameters, bodies and statuses, and a form to
// try it. Works without any other server.

import { ask, credentials, inWords, obtainKey, currentKey } from "./api.js";
import { add, h, show, unique } from "./dom.js";
import { t } from "./language.js";
import { exampleOf, follow, limitsOf, operationsOf, propertiesOf, typeOf } from "./openapi.js";
import { settings, surround } from "./shell.js";

let api = null;

async function draw() {
  document.title = t("docs.title");
  const main = h("main", { id: "main", tabindex: "-1" }, h("p", { class: "loading" }, t("loading")));
  const contents = h("ul", {});
  surround(main, { label: "docs.contents", list: contents, foot: settings(draw) });
  add(contents, h("li", {}, h("a", { href: "/#/lists" }, t("docs.back"))));
  try {
    api ??= await ask("GET", "/openapi.json");
  } catch (error) {
    show(
      main,
      h(
        "div",
        { class: "empty", role: "alert" },
        h("h1", {}, t("error.title")),
        h("p", {}, inWords(error)),
        h("button", { type: "button", class: "button primary", on: { click: draw } }, t("error.again")),
      ),
    );
    return;
  }
  const groups = operationsOf(api);
  for (const [tag] of groups) add(contents, h("li", {}, h("a", { href: `#tag-${tag}`, on: { click: jump } }, tag)));
  const schemas = Object.entries(api.components?.schemas ?? {});
  if (schemas.length)
    add(contents, h("li", { class: "apart" }, h("a", { href: "#schemas", on: { click: jump } }, t("docs.schemas"))));
  show(
    main,
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, api.info?.title ?? "API", " ", h("small", { class: "muted" }, api.info?.version ?? "")),
      prose(api.info?.description ?? "", { class: "lead" }),
      h("p", { class: "small" }, h("a", { href: "/openapi.json" }, t("docs.raw"))),
    ),
    h(
      "div",
      { class: "docs" },
      groups.map(([tag, description, operations]) =>
        h(
          "section",
          { id: `tag-${tag}` },
          h("h2", { tabindex: "-1" }, tag),
          description ? prose(description, { class: "muted" }) : null,
          operations.map(operation),
        ),
      ),
      schemas.length
        ? h(
            "section",
            { id: "schemas" },
            h("h2", { tabindex: "-1" }, t("docs.schemas")),
            schemas.map(([name, schema]) =>
              h(
                "details",
                { class: "panel", id: `schema-${name}` },
                h("summary", {}, h("code", {}, name)),
                schemaView(schema),
              ),
            ),
          )
        : null,
    ),
  );
}

/** A description: paragraphs, with what stands in backticks as code. */
function prose(text, attributes = {}) {
  return text.split(/\n\s*\n/).map((paragraph) => h("p", attributes, inline(paragraph)));
}

const inline = (text) => text.split("`").map((part, i) => (i % 2 === 1 ? h("code", {}, part) : part));

/** Moves to a section without changing the address in a way that another page would read. */
function jump(event) {
  event.preventDefault();
  const target = document.querySelector(`[id="${CSS.escape(event.currentTarget.getAttribute("href").slice(1))}"]`);
  target?.scrollIntoView();
  target?.querySelector("h2")?.focus({ preventScroll: true });
}

function operation(own) {
  const needs = (own.security ?? api.security ?? []).length > 0;
  const body = follow(api, own.requestBody);
  const content = Object.entries(body.content ?? {});
  const details = h("details", { class: "panel operation" });
  add(
    details,
    h(
      "summary",
      {},
      h("span", { class: `method ${own.method}` }, own.method.toUpperCase()),
      " ",
      h("code", {}, own.path),
      " ",
      h("span", { class: "muted" }, own.summary ?? ""),
    ),
  );
  // Drawn when opened: a document may have a hundred routes.
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    add(
      details,
      own.description ? prose(own.description) : null,
      h("p", { class: "small muted" }, t(needs ? "docs.key" : "docs.nokey")),
      own.parameters.length ? [h("h3", {}, t("docs.parameters")), parametersView(own.parameters)] : null,
      content.map(([type, { schema, example, examples }]) => [
        h(
          "h3",
          {},
          t("docs.body"),
          " ",
          h("code", { class: "muted" }, type),
          body.required ? "" : ` ${t("docs.optional")}`,
        ),
        schema ? schemaView(schema) : null,
        h("h4", {}, t("docs.example")),
        h(
          "pre",
          { tabindex: "0" },
          pretty(example ?? Object.values(examples ?? {})[0]?.value ?? exampleOf(api, schema)),
        ),
      ]),
      h("h3", {}, t("docs.statuses")),
      Object.entries(own.responses ?? {}).map(([status, response]) => responseView(status, follow(api, response))),
      tryIt(own, content[0]),
    );
  });
  return details;
}

const pretty = (value) => JSON.stringify(value, null, 2);

function parametersView(parameters) {
  const rows = parameters.map((own) => {
    const schema = follow(api, own.schema);
    return h(
      "tr",
      {},
      h(
        "th",
        { scope: "row" },
        h("code", {}, own.name),
        own.required ? h("span", { class: "required" }, ` ${t("docs.required")}`) : null,
      ),
      h("td", {}, own.in),
      h(
        "td",
        {},
        typeOf(api, own.schema),
        limitsOf(schema).map((text) => h("span", { class: "interval" }, text)),
      ),
      h("td", { class: "text" }, inline(own.description ?? schema.description ?? "")),
    );
  });
  return wide(t("docs.parameters"), ["docs.name", "docs.where", "docs.type", "docs.meaning"], rows);
}

function wide(name, keys, rows) {
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": name },
    h(
      "table",
      { class: "words fill" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          keys.map((key) => h("th", { scope: "col" }, t(key))),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

/** Properties as a table; a referred schema opens where it is described. */
function schemaView(node) {
  const own = follow(api, node);
  const several = own.oneOf ?? own.anyOf;
  const properties = propertiesOf(api, own);
  const out = [own.description ? prose(own.description, { class: "small muted" }) : null];
  if (several) {
    out.push(
      h("p", { class: "small" }, t("docs.oneof")),
      several.map((part) =>
        h(
          "div",
          { class: "variant" },
          h("p", {}, h("strong", {}, follow(api, part).title ?? ""), " ", typeLink(part)),
          propertiesOf(api, part).length && !part.$ref ? schemaView(part) : null,
        ),
      ),
    );
  } else if (properties.length) {
    const rows = properties.map(([name, schema, required]) =>
      h(
        "tr",
        {},
        h(
          "th",
          { scope: "row" },
          h("code", {}, name),
          required ? h("span", { class: "required" }, ` ${t("docs.required")}`) : null,
        ),
        h(
          "td",
          {},
          typeLink(schema),
          limitsOf(follow(api, schema)).map((text) => h("span", { class: "interval" }, text)),
        ),
        h("td", { class: "text" }, inline(schema.description ?? follow(api, schema).description ?? "")),
      ),
    );
    out.push(wide(t("docs.properties"), ["docs.name", "docs.type", "docs.meaning"], rows));
  } else {
    out.push(
      h(
        "p",
        {},
        typeLink(node),
        limitsOf(own).map((text) => ` ${text}`),
      ),
    );
  }
  return h("div", {}, out);
}

/** The type, as a link where it has a name. */
function typeLink(node) {
  const inner = node?.items ?? (typeof node?.additionalProperties === "object" ? node.additionalProperties : null);
  const target = node?.$ref ?? inner?.$ref;
  const text = typeOf(api, node);
  if (!target) return h("span", {}, text);
  const link = h("a", { href: `#schema-${target.split("/").pop()}` }, text);
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const place = document.querySelector(`[id="${CSS.escape(link.getAttribute("href").slice(1))}"]`);
    if (!place) return;
    place.open = true;
    place.scrollIntoView();
    place.querySelector("summary").focus({ preventScroll: true });
  });
  return link;
}

function responseView(status, response) {
  const content = Object.entries(response.content ?? {});
  const summary = h("summary", {}, h("code", { class: "status" }, status), " ", inline(response.description ?? ""));
  const headers = Object.entries(response.headers ?? {});
  const [only] = content;
  // Refusals are all of one form: a line each.
  if (content.length === 1 && only[0] === "application/problem+json" && only[1].schema?.$ref && headers.length === 0) {
    return h(
      "p",
      { class: "response" },
      h("code", { class: "status" }, status),
      " ",
      inline(response.description ?? ""),
      " · ",
      typeLink(only[1].schema),
    );
  }
  if (content.length === 0 && headers.length === 0)
    return h(
      "p",
      { class: "response" },
      h("code", { class: "status" }, status),
      " ",
      inline(response.description ?? ""),
    );
  return h(
    "details",
    { class: "response" },
    summary,
    headers.length
      ? h(
          "p",
          { class: "small" },
          headers.map(([name, own]) => [h("code", {}, name), ` ${follow(api, own).description ?? ""}`]),
        )
      : null,
    content.map(([type, { schema, example }]) => [
      h("p", { class: "small muted" }, h("code", {}, type)),
      schema ? schemaView(schema) : null,
      schema ? h("pre", { tabindex: "0" }, pretty(example ?? exampleOf(api, schema))) : null,
    ]),
  );
}

/** A form that sends the request from here. */
function tryIt(own, content) {
  const fields = own.parameters
    .filter((parameter) => ["path", "query", "header"].includes(parameter.in))
    .map((parameter) => {
      const id = unique("try");
      const schema = follow(api, parameter.schema);
      const example =
        parameter.example ?? schema.example ?? schema.examples?.[0] ?? (parameter.in === "path" ? "" : null);
      const input = h("input", {
        id,
        type: "text",
        autocomplete: "off",
        spellcheck: "false",
        value: example ?? "",
        placeholder: schema.default === undefined ? null : String(schema.default),
        "aria-required": parameter.required ? "true" : null,
      });
      return {
        parameter,
        input,
        element: h(
          "div",
          { class: "field" },
          h("label", { for: id }, parameter.name, h("span", { class: "muted" }, ` · ${parameter.in}`)),
          input,
        ),
      };
    });
  const bodyId = unique("body");
  const [type, media] = content ?? [];
  const text = content
    ? h("textarea", {
        id: bodyId,
        class: "code",
        rows: 8,
        spellcheck: "false",
        value: pretty(media.example ?? Object.values(media.examples ?? {})[0]?.value ?? exampleOf(api, media.schema)),
      })
    : null;
  const problem = h("p", { class: "problem", role: "alert" });
  const answer = h("div", { class: "answer", role: "status", "aria-live": "polite" });
  const send = h("button", { type: "submit", class: "button primary" }, t("docs.send"));
  const form = h(
    "form",
    { class: "try", novalidate: true },
    h("h3", {}, t("docs.try")),
    fields.length
      ? h(
          "div",
          { class: "field-row" },
          fields.map(({ element }) => element),
        )
      : null,
    text ? h("div", { class: "field" }, h("label", { for: bodyId }, t("docs.body")), text) : null,
    problem,
    h("div", { class: "row" }, send, own.method === "get" ? null : h("span", { class: "small muted" }, t("docs.real"))),
    answer,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    let path = own.path;
    const query = new URLSearchParams();
    const headers = { ...credentials() };
    for (const { parameter, input } of fields) {
      const value = input.value;
      if (!value && parameter.required) {
        problem.textContent = t("docs.missing", { name: parameter.name });
        input.focus();
        return;
      }
      if (!value) continue;
      if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (parameter.in === "query") query.append(parameter.name, value);
      else headers[parameter.name] = value;
    }
    if (text) headers["Content-Type"] = type;
    send.disabled = true;
    try {
      await sendIt(own, `${path}${query.size ? `?${query}` : ""}`, headers, text?.value, answer);
    } catch {
      problem.textContent = t("error.offline");
    }
    send.disabled = false;
  });
  return form;
}

/** Longest answer that is shown whole, in characters. */
const MOST = 20_000;

async function sendIt(own, path, headers, body, answer) {
  const started = performance.now();
  let response;
  for (;;) {
    const used = currentKey();
    response = await fetch(path, { method: own.method.toUpperCase(), headers: { ...headers, ...credentials() }, body });
    if (response.status !== 401 || !(await obtainKey(used))) break;
  }
  const kind = response.headers.get("Content-Type") ?? "";
  if (kind.startsWith("text/event-stream")) {
    await response.body.cancel();
    show(answer, statusLine(response, started), h("p", {}, t("docs.stream")));
    return;
  }
  let text = await response.text();
  try {
    text = pretty(JSON.parse(text));
  } catch {
    // Not JSON: as it is.
  }
  const cut = text.length > MOST;
  show(
    answer,
    statusLine(response, started),
    text ? h("pre", { tabindex: "0" }, cut ? `${text.slice(0, MOST)}\n…` : text) : null,
  );
}

function statusLine(response, started) {
  return h(
    "p",
    {},
    h("strong", {}, `${response.status} ${response.statusText}`),
    h("span", { class: "muted" }, ` · ${t("lists.ms", { n: Math.round(performance.now() - started) })}`),
  );
}

draw();
