/** What is read from the API, by key; frames of the socket say which keys are old. */
import { QueryClient, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { call, isMissing, isPassing, Problem } from "./client";
import { readPending, readQueue } from "./pages";
import type {
  Me,
  Page,
  Provider,
  ProviderOptions,
  Session,
  Snapshot,
  Why,
  Worker,
} from "./types";

const MOST_TRIES = 5;

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (failures, error) => failures < MOST_TRIES && (isPassing(error) || !(error instanceof Problem)),
      refetchOnWindowFocus: true,
    },
  },
});

export const keys = {
  sessions: (filter: string) => ["sessions", filter] as const,
  session: (id: string) => ["session", id] as const,
  pending: ["requests", "open"] as const,
  closed: ["requests", "closed"] as const,
  providers: ["providers"] as const,
  queue: (id: string) => ["queue", id] as const,
  worker: (id: string) => ["worker", id] as const,
  snapshots: (id: string) => ["snapshots", id] as const,
  me: ["me"] as const,
};

/** An answer that an older server does not have is `null`, not an error. */
export async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export function useSessions(filter: Record<string, string | undefined> = {}) {
  return useInfiniteQuery({
    queryKey: keys.sessions(JSON.stringify(filter)),
    queryFn: ({ pageParam, signal }) =>
      call<Page<Session>>("/api/sessions", { query: { ...filter, cursor: pageParam, limit: 60 }, signal }),
    initialPageParam: "" as string | number,
    getNextPageParam: (last) => last.nextCursor ?? undefined,
  });
}

export function useSession(id: string | undefined) {
  return useQuery({
    queryKey: keys.session(id ?? ""),
    queryFn: ({ signal }) => call<Session>(`/api/sessions/${id}`, { signal }),
    enabled: Boolean(id),
  });
}

export function usePending() {
  return useQuery({
    queryKey: keys.pending,
    queryFn: ({ signal }) => readPending(signal),
    refetchInterval: 30_000,
  });
}

export function useProviders() {
  return useQuery({
    queryKey: keys.providers,
    queryFn: ({ signal }) => call<Page<Provider>>("/api/providers", { signal }),
    staleTime: 60_000,
  });
}

export function useProviderOptions(name: string | undefined) {
  return useQuery({
    queryKey: ["provider-options", name],
    queryFn: ({ signal }) => orNull(call<ProviderOptions>(`/api/providers/${name}/options`, { signal })),
    enabled: Boolean(name),
    staleTime: 300_000,
  });
}

export function useQueue(id: string, isOn: boolean) {
  return useQuery({
    queryKey: keys.queue(id),
    queryFn: ({ signal }) => readQueue(id, signal),
    enabled: isOn,
  });
}

/** `null`: the session has no worker now. */
export function useWorker(id: string) {
  return useQuery({
    queryKey: keys.worker(id),
    queryFn: ({ signal }) => workerOrNone(call<Worker>(`/api/session-workers/${id}`, { signal })),
    refetchInterval: 20_000,
  });
}

async function workerOrNone(answer: Promise<Worker>): Promise<Worker | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}

export function useSnapshots(id: string) {
  return useQuery({
    queryKey: keys.snapshots(id),
    queryFn: ({ signal }) => call<Page<Snapshot>>(`/api/sessions/${id}/snapshots`, { query: { limit: 50 }, signal }),
  });
}

export function useMe() {
  return useQuery({
    queryKey: keys.me,
    queryFn: ({ signal }) => orNull(call<Me>("/api/me", { signal })),
    staleTime: 300_000,
    // whole pages depend on it: a server that is busy is asked until it answers
    retry: (_failures, error) => isPassing(error),
    retryDelay: (failures) => Math.min(1000 * 2 ** failures, 5_000),
  });
}

export function useWhy(kind: "runs" | "workers" | "human-requests", id: string | null, isOn = true) {
  return useQuery({
    queryKey: ["why", kind, id],
    queryFn: ({ signal }) => call<Why>(`/api/why/${kind}/${id}`, { signal }),
    enabled: Boolean(id) && isOn,
    staleTime: 3_000,
  });
}
