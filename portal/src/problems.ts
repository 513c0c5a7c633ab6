/** What to do about a refusal, by its code. The sentence itself is the server's. */
const ADVICE = {
  capability_missing: "problem.chooseOther",
  unknown_provider: "problem.chooseOther",
  prompt_too_large: "problem.shorten",
  database_unavailable: "problem.wait",
  job_worker_unavailable: "problem.worker",
  worker_away: "problem.worker",
  too_many_streams: "problem.wait",
  restarting: "problem.wait",
  stale_revision: "problem.changed",
  stale_version: "problem.changed",
  already_answered: "problem.answered",
  unknown_session: "problem.gone",
  unknown_run: "problem.gone",
  unknown_request: "problem.gone",
  forbidden: "problem.forbidden",
  bad_origin: "problem.origin",
} as const;

export function adviceFor(code: string): (typeof ADVICE)[keyof typeof ADVICE] | null {
  return code in ADVICE ? ADVICE[code as keyof typeof ADVICE] : null;
}
