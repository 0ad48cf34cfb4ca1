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
  if (event.request.method === "GET" && shell) event.respondWith(newestFirst(event));
});

// A page that is a version behind its service would be worse than a moment's wait.
async function newestFirst(event) {
  const cache = await caches.open(CACHE);
  let answer;
  try {
    answer = await fetch(event.request);
  } catch (error) {
    const kept = await cache.match(event.request);
    if (kept) return kept;
    throw error;
  }
  // A full disk is no reason to show the old page.
  if (answer.ok) event.waitUntil(cache.put(event.request, answer.clone()).catch(() => {}));
  return answer;
}
