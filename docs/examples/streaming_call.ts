/*
 * Stream a call of a language model that is paid for as it is served.
 *
 * A block of tokens is held before the provider is called and extended before it is used up; where no
 * more is covered the stream ends, and what was served is captured. If this program dies, the hold
 * ends by itself after SECONDS.
 *
 *     AFORO_URL=... AFORO_KEY=sk_... PROVIDER_URL=... node streaming_call.ts CUSTOMER CALL PROMPT
 *
 * CALL is the call's own id: a second run of the same call is not charged twice. Node 23.6 or later
 * runs it as it is; an earlier one what `tsc` or `esbuild` makes of it.
 */
import { setTimeout as sleep } from "node:timers/promises";

const BLOCK = 200; // How many tokens are held at a time.
const LARGEST_CHUNK = 50; // The provider sends no more tokens at once.
const SECONDS = 120;

type Problem = { detail: string; offers: unknown[] };
type Chunk = { text: string; tokens: number };
type Answer = { id: string; amount?: string };

/** Credits do not cover what was asked for; `problem` says what would help. */
class NotCovered extends Error {
  problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** Send a step of a call until it is answered: its key makes a repeat safe. */
async function post(path: string, key: string, body: object): Promise<Answer> {
  for (const wait of [1000, 2000, 4000, 8000, 0]) {
    try {
      const answer = await fetch(process.env.AFORO_URL + path, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${process.env.AFORO_KEY}`,
          "Content-Type": "application/json",
        },
        body: JSON.stringify({ ...body, idempotency_key: key }),
        signal: AbortSignal.timeout(30_000),
      });
      if (answer.status === 402) throw new NotCovered((await answer.json()) as Problem);
      if (answer.ok) return (await answer.json()) as Answer;
      if (answer.status !== 503 || wait === 0) throw new RangeError(await answer.text());
    } catch (error) {
      const isAnswer = error instanceof NotCovered || error instanceof RangeError;
      if (isAnswer || wait === 0) throw error;
    }
    await sleep(wait);
  }
  throw new Error("The last attempt has returned or thrown.");
}

/** Tokens of a customer that are set aside for one call. */
class Hold {
  call: string;
  address: string;
  tokens = BLOCK;
  used = 0;
  extended = 0;

  constructor(call: string, address: string) {
    this.call = call;
    this.address = address;
  }

  static async open(customer: string, call: string): Promise<Hold> {
    const made = await post("/v1/usage/reserve", `${call}-hold`, {
      customer_id: customer,
      metric: "tokens",
      quantity: BLOCK,
      expires_in: SECONDS,
    });
    return new Hold(call, `/v1/wallets/reservations/${made.id}`);
  }

  /** Extend the lease by a block, for another while. */
  async extend(): Promise<void> {
    this.extended += 1;
    const body = { quantity: BLOCK, expires_in: SECONDS };
    await post(`${this.address}/extend`, `${this.call}-extend-${this.extended}`, body);
    this.tokens += BLOCK;
  }

  /** Charge what was used, and release the rest. */
  end(): Promise<Answer> {
    const [step, body] = this.used ? ["capture", { quantity: this.used }] : ["void", {}];
    return post(`${this.address}/${step}`, `${this.call}-end`, body as object);
  }
}

/** Read the provider's answer line by line; to stop reading closes the connection. */
async function* chunks(prompt: string): AsyncGenerator<Chunk> {
  const answer = await fetch(process.env.PROVIDER_URL!, {
    method: "POST",
    body: JSON.stringify({ prompt }),
  });
  if (!answer.ok || !answer.body) throw new Error(`The provider answered ${answer.status}.`);
  let rest = "";
  for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line) as Chunk;
  }
}

/** Print what the provider sends, as far as it is covered; return whether that was all. */
async function stream(hold: Hold, prompt: string): Promise<boolean> {
  for await (const chunk of chunks(prompt)) {
    hold.used += chunk.tokens;
    process.stdout.write(chunk.text);
    if (hold.used + LARGEST_CHUNK > hold.tokens) {
      try {
        await hold.extend();
      } catch (error) {
        if (!(error instanceof NotCovered)) throw error;
        console.error(`\nStopped: ${error.message} ${JSON.stringify(error.problem.offers)}`);
        return false;
      }
    }
  }
  return true;
}

async function main(): Promise<number> {
  const [customer, call, prompt] = process.argv.slice(2) as [string, string, string];
  let hold: Hold;
  try {
    hold = await Hold.open(customer, call);
  } catch (error) {
    if (!(error instanceof NotCovered)) throw error;
    console.error(`Refused: ${error.message} ${JSON.stringify(error.problem.offers)}`);
    return 2;
  }
  let isWhole = false;
  let paid: Answer | undefined;
  try {
    isWhole = await stream(hold, prompt);
  } finally {
    // Also where the provider failed half-way: what was served is charged.
    paid = await hold.end();
  }
  console.log(`\n${JSON.stringify({ tokens: hold.used, paid: paid.amount, whole: isWhole })}`);
  return 0;
}

process.exitCode = await main();
