// Reading an OpenAPI 3.1 document: references followed, schemas in words, an example where none is given.

/** What a `$ref` leads to; anything else as it is. */
export function follow(document, node) {
  let own = node;
  for (let i = 0; own?.$ref && i < 32; i += 1) {
    const path = own.$ref
      .replace(/^#\//, "")
      .split("/")
      .map((part) => decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~"));
    own = path.reduce((at, part) => at?.[part], document);
  }
  return own ?? {};
}

/** The name of a referred schema. */
const nameOf = (node) => node?.$ref?.split("/").pop() ?? null;

/** The type in words: `string`, `array of Item`, `one of …`. */
export function typeOf(document, node) {
  if (node === true || node === undefined) return "any";
  const name = nameOf(node);
  if (name) return name;
  const own = node;
  if (own.const !== undefined) return JSON.stringify(own.const);
  const several = own.oneOf ?? own.anyOf;
  if (several) return several.map((part) => typeOf(document, part)).join(" | ");
  if (own.allOf) return own.allOf.map((part) => typeOf(document, part)).join(" & ");
  const types = [own.type ?? (own.properties ? "object" : "any")].flat();
  return types
    .map((type) => {
      if (type === "array") return `array of ${typeOf(document, own.items)}`;
      if (type === "object" && own.additionalProperties && own.additionalProperties !== true && !own.properties)
        return `object of ${typeOf(document, own.additionalProperties)}`;
      return own.format && type !== "null" ? `${type} (${own.format})` : type;
    })
    .join(" | ");
}

/** What values a schema allows beyond its type: `1 to 100`, `default 10`, the names of an enumeration. */
export function limitsOf(node) {
  const out = [];
  if (node.enum) out.push(node.enum.map((value) => JSON.stringify(value)).join(", "));
  if (node.minimum !== undefined || node.maximum !== undefined)
    out.push(`${node.minimum ?? "−∞"} … ${node.maximum ?? "∞"}`);
  if (node.minLength !== undefined || node.maxLength !== undefined)
    out.push(`${node.minLength ?? 0} … ${node.maxLength ?? "∞"} characters`);
  if (node.maxItems !== undefined) out.push(`≤ ${node.maxItems} items`);
  if (node.pattern) out.push(node.pattern);
  if (node.default !== undefined) out.push(`default ${JSON.stringify(node.default)}`);
  return out;
}

/** Properties of an object schema, those of its parts included: `[name, schema, required]`. */
export function propertiesOf(document, node) {
  const own = follow(document, node);
  const parts = (own.allOf ?? []).flatMap((part) => propertiesOf(document, part));
  return [
    ...parts,
    ...Object.entries(own.properties ?? {}).map(([name, schema]) => [
      name,
      schema,
      (own.required ?? []).includes(name),
    ]),
  ];
}

/** An example of a value. */
export function exampleOf(document, node, depth = 0) {
  const own = follow(document, node);
  if (own.example !== undefined) return own.example;
  if (own.examples?.length) return own.examples[0];
  if (own.const !== undefined) return own.const;
  if (own.default !== undefined) return own.default;
  if (own.enum) return own.enum[0];
  if (depth > 5) return null;
  if (own.allOf) return Object.assign({}, ...own.allOf.map((part) => exampleOf(document, part, depth + 1)));
  const several = own.oneOf ?? own.anyOf;
  if (several)
    return exampleOf(document, several.find((part) => follow(document, part).type !== "null") ?? several[0], depth + 1);
  const type = [own.type].flat().find((one) => one !== "null") ?? (own.properties ? "object" : "string");
  if (type === "object")
    return Object.fromEntries(
      propertiesOf(document, own).map(([name, schema]) => [name, exampleOf(document, schema, depth + 1)]),
    );
  if (type === "array") return [exampleOf(document, own.items, depth + 1)];
  return { string: "", integer: own.minimum ?? 0, number: own.minimum ?? 0, boolean: false }[type] ?? null;
}

const METHODS = ["get", "put", "post", "patch", "delete"];

/** All operations by tag, in the order of the document: `[tag, description, [operation]]`. */
export function operationsOf(document) {
  const tags = new Map((document.tags ?? []).map(({ name, description }) => [name, { description, operations: [] }]));
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const own = item[method];
      if (!own) continue;
      const tag = own.tags?.[0] ?? "other";
      if (!tags.has(tag)) tags.set(tag, { description: "", operations: [] });
      const parameters = [...(item.parameters ?? []), ...(own.parameters ?? [])].map((parameter) =>
        follow(document, parameter),
      );
      tags.get(tag).operations.push({ ...own, path, method, parameters });
    }
  }
  return [...tags]
    .filter(([, { operations }]) => operations.length > 0)
    .map(([name, { description, operations }]) => [name, description, operations]);
}
