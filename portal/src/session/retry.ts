import { useParams } from "react-router";
import { call, isMissing } from "../api/client";
import type { Run, Started } from "../api/types";

/** Run the old prompt again. Servers without the call get the prompt anew. */
export function useRetry(): (runId: string) => Promise<Started> {
  const { session } = useParams();
  return async (runId) => {
    try {
      return await call<Started>(`/api/runs/${runId}/retry`, { method: "POST", body: {} });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    const run = await call<Run>(`/api/runs/${runId}`);
    const body = { prompt: run.prompt, provider: run.provider, sessionId: session ?? run.sessionId };
    return call<Started>("/api/runs/start", { method: "POST", body });
  };
}
