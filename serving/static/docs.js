// The documentation of the service from its OpenAPI description. Nothing is loaded from other sites.

const EXAMPLES = {
  "/predict": `curl -H "Content-Type: image/png" --data-binary @digit.png ${location.origin}/predict
curl -H "Content-Type: application/json" --data @pixels.json ${location.origin}/predict`,
  "/explain": `curl -H "Content-Type: image/png" --data-binary @digit.png ${location.origin}/explain`,
};

function element(name, content, className = "") {
  const node = document.createElement(name);
  node.className = className;
  node.append(...[content].flat());
  return node;
}

function describe(path, method, operation) {
  const types = Object.keys(operation.requestBody?.content ?? {}).join(", ");
  const responses = Object.entries(operation.responses).flatMap(([status, { description }]) => [
    element("dt", status),
    element("dd", description),
  ]);
  const example = EXAMPLES[path] ?? (method === "get" ? `curl ${location.origin}${path}` : null);
  return element(
    "section",
    [
      element("h2", element("code", `${method.toUpperCase()} ${path}`)),
      element("p", operation.description ?? operation.summary),
      ...(types ? [element("p", `Body: ${types}`, "note")] : []),
      ...(example ? [element("pre", example)] : []),
      element("dl", responses),
    ],
    "card",
  );
}

const { paths } = await (await fetch("openapi.json")).json();
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => describe(path, method, operation)),
);
document.getElementById("reference").append(...operations);
