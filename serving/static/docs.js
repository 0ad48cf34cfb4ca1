// The service's OpenAPI description, readable; nothing is loaded from elsewhere.

const EXAMPLES = {
  "/predict": `curl -H "Content-Type: image/png" --data-binary @digit.png ${location.origin}/predict
curl -H "Content-Type: application/json" --data @pixels.json ${location.origin}/predict`,
  "/explain": `curl -H "Content-Type: image/png" --data-binary @digit.png ${location.origin}/explain`,
};

function element(name, content, className = "") {
  const made = document.createElement(name);
  made.className = className;
  made.append(...[content].flat());
  return made;
}

function describe(path, method, operation) {
  const types = Object.keys(operation.requestBody?.content ?? {}).join(", ");
  const answers = Object.entries(operation.responses).flatMap(([status, { description }]) => [
    element("dt", status),
    element("dd", description),
  ]);
  const example = EXAMPLES[path] ?? (method === "get" ? `curl ${location.origin}${path}` : null);
  return element(
    "section",
    [
      element("h2", element("code", `${method.toUpperCase()} ${path}`)),
      element("p", operation.description ?? operation.summary),
      ...(types ? [element("p", `Body: ${types}`, "fine")] : []),
      ...(example ? [element("pre", example)] : []),
      element("dl", answers),
    ],
    "card",
  );
}

const { paths } = await (await fetch("openapi.json")).json();
const operations = Object.entries(paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => describe(path, method, operation)),
);
document.getElementById("reference").append(...operations);
