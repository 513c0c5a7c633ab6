/** Calls to the API. Every refusal becomes a `Problem`; only a lost connection becomes `Offline`. */

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly traceId: string;
  readonly members: Record<string, unknown>;

  constructor(status: number, body: Record<string, unknown>) {
    super(String(body.detail ?? body.title ?? status));
    this.status = status;
    this.code = typeof body.code === "string" ? body.code : `http_${status}`;
    this.detail = String(body.detail ?? body.title ?? "");
    this.traceId = typeof body.traceId === "string" ? body.traceId : "";
    this.members = body;
  }
}

export class Offline extends Error {}

export interface Call {
  method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  query?: Record<string, string | number | boolean | null | undefined>;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export const signedOut = new EventTarget();

export async function call<T>(path: string, given: Call = {}): Promise<T> {
  const response = await send(path, given);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

export async function send(path: string, given: Call = {}): Promise<Response> {
  const isRaw = given.body instanceof Blob || given.body instanceof FormData;
  const headers: Record<string, string> = { Accept: "application/json", ...given.headers };
  if (given.body !== undefined && !isRaw) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path + queryOf(given.query), {
      method: given.method ?? "GET",
      headers,
      body: given.body === undefined ? null : isRaw ? (given.body as BodyInit) : JSON.stringify(given.body),
      signal: given.signal ?? null,
      credentials: "same-origin",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Offline();
  }
  if (response.ok) return response;
  const problem = new Problem(response.status, await bodyOf(response));
  if (problem.status === 401) signedOut.dispatchEvent(new Event("signedout"));
  throw problem;
}

export function queryOf(query: Call["query"]): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {}))
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  const text = params.toString();
  return text ? `?${text}` : "";
}

async function bodyOf(response: Response): Promise<Record<string, unknown>> {
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** Whether the server has no such call (an older one), as against a thing that does not exist. */
export function isMissing(error: unknown): boolean {
  return error instanceof Problem && (error.status === 404 || error.status === 405) && !error.code.startsWith("unknown_");
}

/** Whether trying again later may help. */
export function isPassing(error: unknown): boolean {
  return error instanceof Offline || (error instanceof Problem && (error.status >= 500 || error.status === 429));
}
