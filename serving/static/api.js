// Calls of the HTTP service.

export class ServiceError extends Error {}

export async function explain(picture) {
  return (await request("explain", { method: "POST", headers: { "Content-Type": picture.type }, body: picture })).json();
}

export async function predict(picture) {
  return (await request("predict", { method: "POST", headers: { "Content-Type": picture.type }, body: picture })).json();
}

export async function sendFeedback(pixels, guess, truth, version) {
  const body = JSON.stringify({ pixels, guess, truth, version });
  await request("feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

export async function model() {
  return (await request("model")).json();
}

// The state of the service. It is sent with status 503 too, when there is no champion.
export async function health() {
  return (await fetch("health")).json();
}

async function request(path, options) {
  const response = await fetch(path, options);
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({}));
  throw new ServiceError(detail ?? `the service responded with status ${response.status}`);
}

// Runs an asynchronous update once more if something changed while it ran; never twice at the same time.
export class Updater {
  #running = false;
  #outdated = false;
  #update;

  constructor(update) {
    this.#update = update;
  }

  async schedule() {
    this.#outdated = true;
    if (this.#running) return;
    this.#running = true;
    while (this.#outdated) {
      this.#outdated = false;
      await this.#update();
    }
    this.#running = false;
  }
}
