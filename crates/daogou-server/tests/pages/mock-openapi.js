// The document that the docs page is tested with: one of everything that an OpenAPI 3.1 document of the server holds.

const problem = {
  description: "Understood but wrong",
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
};
const refused = {
  401: { description: "No key, or an unknown one" },
  403: { description: "The key's role may not do this" },
};

export const openapi = {
  openapi: "3.1.0",
  info: {
    title: "daogou",
    version: "0.1.0",
    description: "Lists that balance clicks, orders, diversity and novelty, by weights of the request.",
  },
  tags: [
    { name: "lists", description: "Lists for people, and candidates in order." },
    { name: "catalogue", description: "Items and users." },
    { name: "health", description: "For balancers and monitors." },
  ],
  components: {
    securitySchemes: { key: { type: "apiKey", in: "header", name: "X-API-Key" } },
    schemas: {
      Problem: {
        type: "object",
        description: "What was wrong.",
        required: ["title", "status", "detail"],
        properties: {
          title: { type: "string" },
          status: { type: "integer" },
          detail: { type: "string", description: "A sentence: what, expected, got." },
          key: { type: ["string", "null"], description: "Which key of the body." },
          hint: { type: ["string", "null"] },
        },
      },
      Wish: {
        type: "object",
        required: ["user"],
        properties: {
          user: { type: "string", description: "Who; somebody unknown is a newcomer.", examples: ["u00001"] },
          k: { type: "integer", minimum: 1, maximum: 100, default: 10, description: "Items of the list." },
          objectives: {
            type: "object",
            additionalProperties: { type: "number" },
            description: "Weights; not together with `preset`.",
          },
          preset: { type: ["string", "null"] },
          filter: { type: "string", description: "Condition on the catalogue, `price <= 3000`." },
          builder: { type: "string", enum: ["auto", "greedy", "top_k"], default: "auto" },
          explain: { type: "boolean", default: false },
          exclude: { type: "array", items: { type: "string" } },
        },
      },
      Listed: {
        type: "object",
        required: ["item_id", "score"],
        properties: {
          item_id: { type: "string" },
          title: { type: "string" },
          score: { type: "number" },
          heads: { type: "object", additionalProperties: { type: "number" } },
        },
      },
      List: {
        type: "object",
        properties: {
          user: { type: "string" },
          known: { type: "boolean" },
          items: { type: "array", items: { $ref: "#/components/schemas/Listed" } },
          model: { type: "string" },
        },
      },
      Item: {
        type: "object",
        properties: {
          id: { type: "string" },
          available: { type: "boolean" },
          attributes: { type: "object", additionalProperties: true },
        },
      },
      Health: {
        oneOf: [
          { type: "object", title: "Fine", properties: { status: { const: "ok" } } },
          {
            type: "object",
            title: "Not ready",
            properties: {
              status: { type: "string" },
              checks: { type: "object", additionalProperties: { type: "string" } },
            },
          },
        ],
      },
    },
  },
  security: [{ key: [] }],
  paths: {
    "/v1/recommend": {
      post: {
        tags: ["lists"],
        operationId: "recommend",
        summary: "A list for one person",
        description: "The best list under the weights asked for. An unknown person is a newcomer.",
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: { $ref: "#/components/schemas/Wish" },
              example: { user: "u00001", k: 5, explain: true },
            },
          },
        },
        responses: {
          200: {
            description: "The list",
            content: { "application/json": { schema: { $ref: "#/components/schemas/List" } } },
          },
          ...refused,
          422: problem,
          429: {
            description: "Too many requests at once",
            headers: { "Retry-After": { schema: { type: "integer" }, description: "Seconds." } },
          },
        },
      },
    },
    "/v1/items": {
      get: {
        tags: ["catalogue"],
        summary: "Search the catalogue",
        parameters: [
          { name: "query", in: "query", schema: { type: "string" }, description: "Part of an id or a title." },
          { name: "limit", in: "query", schema: { type: "integer", default: 50, maximum: 1000 } },
        ],
        responses: {
          200: {
            description: "Items",
            content: {
              "application/json": {
                schema: {
                  type: "object",
                  properties: {
                    total: { type: "integer" },
                    items: { type: "array", items: { $ref: "#/components/schemas/Item" } },
                  },
                },
              },
            },
          },
          ...refused,
        },
      },
    },
    "/v1/items/{id}": {
      parameters: [{ name: "id", in: "path", required: true, schema: { type: "string" }, example: "i00001" }],
      get: {
        tags: ["catalogue"],
        summary: "One item",
        responses: {
          200: {
            description: "The item",
            content: { "application/json": { schema: { $ref: "#/components/schemas/Item" } } },
          },
          ...refused,
          404: problem,
        },
      },
      delete: {
        tags: ["catalogue"],
        summary: "Never list it again",
        responses: { 200: { description: "Done" }, ...refused, 404: problem },
      },
    },
    "/health/ready": {
      get: {
        tags: ["health"],
        summary: "Whether it can answer",
        security: [],
        responses: {
          200: {
            description: "Yes",
            content: { "application/json": { schema: { $ref: "#/components/schemas/Health" } } },
          },
          503: { description: "Not yet" },
        },
      },
    },
  },
};
