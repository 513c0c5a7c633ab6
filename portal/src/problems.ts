/** What to do about a refusal, by its code. The sentence itself is the server's. */
const CODES = {
  "problem.chooseOther": ["capability_missing", "unknown_provider", "provider_not_ready", "escalate_to_missing", "decision_does_not_fit", "unknown_option", "runtime_version_mismatch", "other_app"],
  "problem.shorten": ["prompt_too_large"],
  "problem.wait": ["database_busy", "database_unavailable", "too_many_streams", "too_many_sockets", "too_many_callbacks", "share_used_up", "restarting", "server_full", "unavailable", "files_busy", "syncing", "worker_busy", "worker_ending", "executor_away", "executor_unreachable", "file_changing", "not_at_rest", "not_saved", "unproven", "stalled", "superseded", "uploads_waiting", "objects_doomed", "request_too_slow", "worker_not_started", "not_live", "worker_gone", "busy", "unsaved", "never_saved", "run_began", "end_too_slow", "end_stalled"],
  "problem.worker": ["job_worker_unavailable"],
  "problem.changed": ["stale_revision", "stale_version", "stale_epoch", "stale_attempt", "stale_claim", "not_queued", "conflict", "run_finished", "bad_cursor", "bad_range"],
  "problem.answered": ["already_answered"],
  "problem.gone": ["unknown_session", "unknown_run", "unknown_request", "unknown_app", "unknown_asset", "unknown_attachment", "unknown_event", "unknown_path", "unknown_policy", "unknown_rule", "unknown_sign_in", "unknown_snapshot", "unknown_token", "unknown_user", "unknown_worker", "no_such_route", "not_found", "wrong_session"],
  "problem.forbidden": ["forbidden", "file_denied", "not_readable"],
  "problem.origin": ["bad_origin"],
  "problem.signIn": ["unauthenticated"],
  "problem.input": ["invalid", "invalid_app", "invalid_id", "answers_do_not_fit", "answers_missing", "app_exists", "user_exists", "bad_human_loop", "bad_limits", "bad_manifest", "bad_path", "bad_pattern", "no_file", "no_manifest", "not_a_file", "path_blocked", "path_outside_workspace", "path_taken", "reason_missing", "required_paths_missing", "rule_for_everything", "seed_conflict", "workspace_refused"],
  "problem.fewer": ["archive_too_large", "upload_too_large", "too_large", "form_too_large", "settings_too_large", "too_many_policies", "too_many_rules", "too_many_tokens"],
  "problem.stopFirst": ["live_run", "not_ended", "session_busy", "worker_kept", "bound_run", "not_bound", "run_live"],
  "problem.operator": ["internal", "operation_failed", "executor_error", "bad_settings", "secret_key_unfit", "no_object_store", "no_websockets", "unknown_host", "object_damaged", "object_missing", "object_store_unavailable", "place_gone", "portal_not_built", "restore_incomplete", "unreadable", "bad_want", "not_possible", "not_whole", "restored_already"],
  "problem.program": ["attempts_differ", "bad_event_data", "bad_handshake", "bad_idempotency_key", "bad_request", "bad_signature", "gap", "headers_too_large", "idempotency_key_reused", "malformed_json", "n_conflict", "n_missing", "request_id_taken", "run_exists", "too_many_open_requests", "type_not_authorable", "unsupported_content_encoding"],
} as const;

export type Advice = keyof typeof CODES;

const ADVICE: ReadonlyMap<string, Advice> = new Map(Object.entries(CODES).flatMap(([advice, codes]) => codes.map((code) => [code, advice as Advice] as const)));

export function adviceFor(code: string): Advice | null {
  return ADVICE.get(code) ?? null;
}
