// The service behind the page.

export class Refusal extends Error {}

export async function explain(picture) {
  return (await ask("explain", { method: "POST", headers: { "Content-Type": picture.type }, body: picture })).json();
}

export async function giveFeedback(pixels, guess, truth, version) {
  const body = JSON.stringify({ pixels, guess, truth, version });
  await ask("feedback", { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

export async function model() {
  return (await ask("model")).json();
}

// How the service is; it says so with 503 as well where no champion serves.
export async function health() {
  return (await fetch("health")).json();
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  const { detail } = await answer.json().catch(() => ({}));
  throw new Refusal(detail ?? `the service answered with ${answer.status}`);
}

// Asks again as soon as the last answer is there if something changed meanwhile; never twice at a time.
export class Live {
  #busy = false;
  #wanted = false;
  #question;
  #show;

  constructor(question, show) {
    this.#question = question;
    this.#show = show;
  }

  async changed() {
    this.#wanted = true;
    if (this.#busy) return;
    this.#busy = true;
    while (this.#wanted) {
      this.#wanted = false;
      await this.#show(this.#question);
    }
    this.#busy = false;
  }
}
