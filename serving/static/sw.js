// The service worker: caches the files of the page, so that the installed app opens without a network. Responses of
// the service are never cached.

const CACHE = "shell-2";
const SHELL = ["./", "style.css", "app.js", "api.js", "canvas.js", "explanation.js", "prediction.js", "icon.svg", "icon-192.png", "manifest.webmanifest"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)));
});

self.addEventListener("activate", (event) => {
  const outdated = async () => (await caches.keys()).filter((name) => name !== CACHE);
  event.waitUntil(outdated().then((names) => Promise.all(names.map((name) => caches.delete(name)))));
});

self.addEventListener("fetch", (event) => {
  const isShell = SHELL.some((path) => new URL(path, location).href === event.request.url);
  if (event.request.method === "GET" && isShell) event.respondWith(networkFirst(event));
});

// Network first: an outdated page would not match its service.
async function networkFirst(event) {
  const cache = await caches.open(CACHE);
  let response;
  try {
    response = await fetch(event.request);
  } catch (error) {
    const cached = await cache.match(event.request);
    if (cached) return cached;
    throw error;
  }
  // With a full disk the new page is shown all the same.
  if (response.ok) event.waitUntil(cache.put(event.request, response.clone()).catch(() => {}));
  return response;
}
