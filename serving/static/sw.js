// Keeps the page itself at hand, so that the installed app opens at once and without a network. Answers are never kept.

const CACHE = "shell-1";
const SHELL = ["./", "style.css", "app.js", "paper.js", "service.js", "answer.js", "inside.js", "icon.svg", "icon-192.png", "manifest.webmanifest"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)));
});

self.addEventListener("activate", (event) => {
  const outdated = async () => (await caches.keys()).filter((name) => name !== CACHE);
  event.waitUntil(outdated().then((names) => Promise.all(names.map((name) => caches.delete(name)))));
});

self.addEventListener("fetch", (event) => {
  const shell = SHELL.some((path) => new URL(path, location).href === event.request.url);
  if (event.request.method === "GET" && shell) event.respondWith(newestFirst(event.request));
});

// A page that is a version behind its service would be worse than a moment's wait.
async function newestFirst(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
