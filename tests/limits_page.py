"""docs/limits.md, written from where limits are declared: `python -m tests.limits_page`."""

from __future__ import annotations

from pathlib import Path

from executor.agents.tool_calls import MOST_TOOL_CALLS
from executor.runs.open_requests import MOST_AT_ONCE, MOST_BYTES
from functions.http.schemas import IDEMPOTENCY_KEY
from functions.human_loop.schemas import ReplyBody
from functions.me.schemas import NewTokenBody
from functions.runs.schemas import RunsQuery, StartBody
from functions.runtime.request_reader import HEAD_BYTES
from functions.runtime.settings import ApiSettings
from functions.runtime.socket_peer import BUFFER_BYTES, MOST_MESSAGE_BYTES
from functions.sessions.schemas import OpenSessionBody, SessionsQuery
from functions.sessions.tab_socket import MOST_SUBSCRIPTIONS
from functions.workspaces.restore_plans import RestorePlanBody
from handlers.access.tokens import MAX_TOKENS_PER_USER
from handlers.access.user_settings import MAX_SETTINGS_BYTES
from handlers.callbacks.apply_event import LONGEST_TITLE, MOST_OPEN_BYTES, MOST_OPEN_REQUESTS
from handlers.callbacks.event_limit import MOST_EVENTS
from handlers.files.policy_changes import MOST_POLICIES
from handlers.human_loop.approval_rules import MOST_JUDGED, MOST_RULES_OF_A_USER, MOST_RULES_OF_AN_APP
from handlers.patterns import LONGEST_TEXT
from handlers.run_warnings import LONGEST_MESSAGE, MOST_WARNINGS
from jobs.runtime.settings import JobSettings
from schema.approval_rules import LONGEST_COMMAND_PATTERN, LONGEST_PATTERN, RuleText
from schema.events import (
    LONGEST_CURRENCY,
    LONGEST_FINGERPRINT,
    LONGEST_OPTION_ID,
    LONGEST_OPTION_NAME,
    MOST_OPTIONS,
    MOST_TOKENS,
)
from schema.forms import MOST_ANSWERS, MOST_CHOICES, MOST_FIELDS, MOST_FORM_BYTES
from schema.json_limits import (
    MAX_DEPTH,
    MAX_ZEROS_PER_CALL,
    MAX_ZEROS_PER_EVENT,
    MOST_DIGITS,
    MOST_FAULTS,
    MOST_UNKNOWN_KEYS,
)
from schema.row_pages import PAGE_BYTES
from schema.runtime_manifest import MAX_SEED_BYTES, MAX_SEEDS_BYTES, RuntimeManifest
from schema.shares import ShareSettings
from tests.limit import Limit, most_characters, most_entries
from tests.option_limits import OPTION_LIMITS
from tests.settings_page import as_shown, in_words
from tests.todo_limits import TODO_LIMITS

FILE = Path(__file__).resolve().parents[1] / "docs" / "limits.md"
HEAD = """# Limits

These limits are for what users, agents and strangers send, and for what they have open.
`python -m tests.limits_page` writes this page from where they are declared; a test compares the two.

## Shares of one user
An answer beyond a share is 429 `share_used_up`. It names the share and its size (`share`, `limit`). `Retry-After` says
when to try again, in seconds. `RateLimit` and `RateLimit-Policy` say the same in the fields of
draft-ietf-httpapi-ratelimit-headers-10: `"prompts";q=600;w=60` is 600 in 60 seconds, and `qu="concurrent-requests"`
means at once. A WebSocket is refused before its handshake, in the same way. 0 disables a share.

| setting | default | what it does |
|---|---|---|
"""
FIXED = """
Live runs beyond a limit are not refused but stay in their queues (`RUN_LIMIT_PER_USER`, `RUN_LIMIT`,
`RUN_LIMIT_PER_APP` or an app's `concurrentRuns`). `GET /api/why/runs/{runId}` names the limit.

## Of a process
| setting | default | what it does |
|---|---|---|
"""
OF_PROCESS = ("api_threads", "api_streams_max", "api_sockets_max", "api_waiting_max")
OF_SIZES = ("max_prompt_bytes", "max_callback_bytes", "upload_max_bytes")
SIZES = """
## Of sizes and numbers
Settings:

| setting | default | what it does |
|---|---|---|
"""
CONSTANTS = """
Fixed:

| what | limit | beyond it |
|---|---|---|
"""


OF_AGENT = "tests/integration/executor/runs/test_delivery.py::test_open_requests_of_an_agent_at_the_limit_and_beyond"
OF_RUN = "tests/integration/functions/callbacks/test_bounds.py::test_open_requests_of_a_run_at_the_limit_and_one_beyond"
OF_FIELDS = "tests/integration/functions/http/test_limits.py::test_a_field_at_its_limit_and_one_beyond"
HOSTILE = "tests/integration/functions/human_loop/test_hostile_texts.py::"
JSON = "tests/integration/functions/http/test_limits.py::test_json_at_its_depth_and_one_beyond"
ROWS = "tests/integration/functions/http/test_limits.py::test_rows_of_a_user_at_the_limit_and_one_beyond"
FORM = HOSTILE + "test_a_form_at_the_limit_is_answered_and_one_beyond_is_refused"
PATTERN = HOSTILE + "test_a_pattern_at_the_limit_and_one_beyond"
FORMS = "tests/unit/schema/test_forms.py::test_a_form_at_its_limits_and_one_beyond"
BODIES = "tests/unit/functions/http/test_json_bounds.py::"
OF_BODIES = BODIES + "test_a_field_of_a_body_at_its_limit_and_one_beyond"
PEER = "tests/unit/functions/runtime/test_socket_peer.py::"
PAGED = "tests/integration/functions/http/test_page_bytes.py::test_a_page_ends_with_the_row_that_reaches_its_bytes"
SEEDS = "tests/unit/schema/test_runtime_manifest.py::test_seeds_at_their_limits_and_one_byte_beyond"
ENTRIES = "tests/unit/schema/test_runtime_manifest.py::test_a_list_of_a_manifest_at_its_limit_and_one_beyond"
BOUNDS = "tests/integration/functions/callbacks/test_bounds.py::"
OF_REQUESTS = HOSTILE + "test_a_text_of_a_request_at_its_length_and_one_beyond"
LEFT_OUT = "left out by the executor; else 422 `bad_event_data`"
ENTRIES_OF_MANIFEST = {name: str(field.alias) for name, field in RuntimeManifest.model_fields.items() if field.metadata}
KEY_LENGTH = int(IDEMPOTENCY_KEY.rpartition(",")[2].partition("}")[0])
LIMITS = (
    Limit("levels of JSON below its outermost", MAX_DEPTH, "400 `malformed_json`", JSON),
    Limit("characters of an idempotency key", KEY_LENGTH, "422 `bad_idempotency_key`", OF_FIELDS),
    Limit("characters of a session's title", most_characters(OpenSessionBody, "title"), "422", OF_FIELDS),
    Limit("characters of a token's label", most_characters(NewTokenBody, "label"), "422", OF_FIELDS),
    Limit("characters of a rule's note", most_characters(RuleText, "note"), "422", OF_FIELDS),
    Limit("characters of a search over sessions", most_characters(SessionsQuery, "q"), "422", OF_FIELDS),
    Limit("characters of a provider's name", most_characters(RunsQuery, "provider"), "422", OF_FIELDS),
    Limit("bytes of a user's settings as JSON", MAX_SETTINGS_BYTES, "413 `settings_too_large`", OF_FIELDS),
    Limit("tokens of a user", MAX_TOKENS_PER_USER, "409 `too_many_tokens`", ROWS),
    Limit("rules of a user", MOST_RULES_OF_A_USER, "409 `too_many_rules`", ROWS),
    Limit(
        "rules of an app, and of everyone",
        MOST_RULES_OF_AN_APP,
        "409 `too_many_rules`",
        HOSTILE + "test_rules_for_everyone_at_the_limit_and_one_beyond",
    ),
    Limit("characters of a rule's pattern with `?`, or for paths", LONGEST_PATTERN, "422", PATTERN),
    Limit("characters of a rule's pattern for commands, without `?`", LONGEST_COMMAND_PATTERN, "422", PATTERN),
    Limit(
        "bytes of a text that rules judge",
        LONGEST_TEXT,
        "a person is asked",
        "tests/unit/handlers/test_patterns.py::test_a_text_at_the_limit_and_one_beyond",
    ),
    Limit(
        "requests of one callback that rules judge",
        MOST_JUDGED,
        "a person is asked",
        HOSTILE + "test_rules_judge_so_many_requests_of_a_callback",
    ),
    Limit(
        "options of an agent's request for permission",
        MOST_OPTIONS,
        LEFT_OUT,
        HOSTILE + "test_options_of_a_permission_at_the_limit_and_one_beyond",
    ),
    Limit("requests that an agent has open at once", MOST_AT_ONCE, "left out, warning `request_left_out`", OF_AGENT),
    Limit("bytes of those before the last one", MOST_BYTES, "left out, warning `request_left_out`", OF_AGENT),
    Limit("open requests of an attempt of a run", MOST_OPEN_REQUESTS, "422 `too_many_open_requests`", OF_RUN),
    Limit("bytes as JSON of those before the last one", MOST_OPEN_BYTES, "422 `too_many_open_requests`", OF_RUN),
    Limit("characters of an option's id", LONGEST_OPTION_ID, LEFT_OUT, OF_REQUESTS),
    Limit("characters of an option's name", LONGEST_OPTION_NAME, "cut", OF_REQUESTS),
    Limit("characters of a request's fingerprint", LONGEST_FINGERPRINT, "422 `bad_event_data`", OF_REQUESTS),
    Limit("characters of the reason of an answer", most_characters(ReplyBody, "reason"), "422", OF_BODIES),
    Limit("attachments of a run", most_entries(StartBody, "attachments"), "422", OF_BODIES),
    *(Limit(limit.what, limit.most, "422", OF_BODIES) for limit in OPTION_LIMITS),
    Limit("paths that a restore plan is given", most_entries(RestorePlanBody, "existing_paths"), "422", OF_BODIES),
    Limit("choices of a form", MOST_CHOICES, "422 `form_too_large`", FORM),
    Limit("fields of a form", MOST_FIELDS, "422 `form_too_large`", FORMS),
    Limit("bytes of a form as JSON", MOST_FORM_BYTES, "422 `form_too_large`", FORMS),
    Limit("answers to a form", MOST_ANSWERS, "422 `answers_do_not_fit`", FORMS),
    Limit(
        "zeros that the numbers of an agent's event may grow by",
        MAX_ZEROS_PER_EVENT,
        "left out, warning `event_left_out`",
        "tests/unit/executor/runs/test_sanitize.py::test_zeros_of_an_event_at_the_limit_and_one_beyond",
    ),
    Limit(
        "zeros that the numbers of one call may grow by",
        MAX_ZEROS_PER_CALL,
        "400 `malformed_json`",
        BODIES + "test_zeros_of_a_call_at_the_limit_and_one_beyond",
    ),
    Limit(
        "digits of an integer in JSON",
        MOST_DIGITS,
        "400 `malformed_json`; of an agent's event: left out, warning `event_left_out`",
        BODIES + "test_digits_of_an_integer_at_the_limit_and_one_beyond",
    ),
    Limit(
        "faults that a refusal names",
        MOST_FAULTS,
        "the others are left out",
        BODIES + "test_faults_at_the_limit_and_one_beyond",
    ),
    Limit(
        "unknown keys of an object that are named",
        MOST_UNKNOWN_KEYS,
        "the object is refused as a whole",
        "tests/unit/schema/test_json_limits.py::test_a_few_unknown_keys_are_named_one_by_one",
    ),
    Limit("bytes of the rows of a page", PAGE_BYTES, "the page ends; its cursor gives the others", PAGED),
    Limit(
        "bytes of a request line with its headers",
        HEAD_BYTES,
        "431 `headers_too_large`",
        "tests/unit/functions/runtime/test_request_reader.py::test_a_head_at_the_limit_and_one_byte_beyond",
    ),
    Limit(
        "bytes of a message to a WebSocket",
        MOST_MESSAGE_BYTES,
        "the socket is closed with 1009",
        PEER + "test_a_message_at_the_limit_and_one_byte_beyond",
    ),
    Limit(
        "bytes that wait for a WebSocket's reader",
        BUFFER_BYTES,
        "events wait in PostgreSQL; a reader that takes nothing is closed with 4008",
        PEER + "test_a_buffer_at_the_limit_and_one_byte_beyond",
    ),
    Limit(
        "sessions that one WebSocket reads",
        MOST_SUBSCRIPTIONS,
        "`too_many_subscriptions`",
        "tests/integration/functions/events/test_many_subscriptions.py::test_a_tab_reads_so_many_sessions_and_not_one_more",
    ),
    Limit("bytes of one seed of an app's manifest", MAX_SEED_BYTES, "422 `bad_manifest`", SEEDS),
    Limit("bytes of all seeds of a manifest", MAX_SEEDS_BYTES, "422 `bad_manifest`", SEEDS),
    *(
        Limit(f"entries of a manifest's `{alias}`", most_entries(RuntimeManifest, field), "422 `bad_manifest`", ENTRIES)
        for field, alias in ENTRIES_OF_MANIFEST.items()
    ),
    Limit(
        "file policies",
        MOST_POLICIES,
        "409 `too_many_policies`",
        "tests/integration/functions/files/test_policies.py::test_policies_at_the_limit_and_one_beyond",
    ),
    Limit(
        "events of one attempt of a run",
        MOST_EVENTS,
        "not stored; the run is stopped, reason `too_many_events`",
        BOUNDS + "test_events_at_the_limit_and_one_beyond",
    ),
    Limit(
        "tool calls of one turn of an agent",
        MOST_TOOL_CALLS,
        "left out, warning `tool_calls_left_out`",
        "tests/unit/executor/agents/test_translate.py::test_tool_calls_at_the_limit_and_one_beyond",
    ),
    *TODO_LIMITS,
    Limit(
        "warnings that a run shows",
        MOST_WARNINGS,
        "only in its events",
        BOUNDS + "test_warnings_of_a_run_at_the_limit_and_one_beyond",
    ),
    Limit(
        "characters of a run's reason or warning",
        LONGEST_MESSAGE,
        "cut; its event has all",
        BOUNDS + "test_a_reason_at_its_length_and_one_beyond",
    ),
    Limit(
        "characters of the title of an agent's request, and of what the agent was told",
        LONGEST_TITLE,
        "cut; its event has all",
        BOUNDS + "test_the_title_of_a_request_at_its_length_and_one_beyond",
    ),
    Limit(
        "tokens of a kind that a run counts",
        MOST_TOKENS,
        "taken as this",
        BOUNDS + "test_tokens_of_a_run_at_the_limit_and_one_beyond_are_summed",
    ),
    Limit(
        "characters of a cost's currency, and of a price table's version",
        LONGEST_CURRENCY,
        "cut",
        BOUNDS + "test_a_currency_at_its_length_and_one_beyond",
    ),
)


def page() -> str:
    """The whole page, as it is committed."""
    shares = [f"| `{name.upper()}` | {shown(name)} | {field.description} |" for name, field in SHARES.items()]
    shares.append(f"| `RUN_LIMIT_PER_USER` | {as_shown(LIVE_RUNS)} | {LIVE_RUNS.description} Others stay queued. |")
    process = [row(name) for name in OF_PROCESS]
    sizes = [row(name) for name in OF_SIZES] + [
        f"| `HANDOVER_MAX_TOKENS` | {as_shown(HANDOVER)} | {HANDOVER.description} |"
    ]
    fixed = [(limit.what, limit.most, limit.beyond) for limit in LIMITS]
    constants = [f"| {what} | {most:,} | {beyond} |" for what, most, beyond in fixed]
    return "".join(
        head + "\n".join(rows) + "\n"
        for head, rows in ((HEAD, shares), (FIXED, process), (SIZES, sizes), (CONSTANTS, constants))
    )


SHARES = ShareSettings.model_fields
LIVE_RUNS = JobSettings.model_fields["run_limit_per_user"]
HANDOVER = JobSettings.model_fields["handover_max_tokens"]


def row(name: str) -> str:
    return f"| `{name.upper()}` | {shown(name)} | {ApiSettings.model_fields[name].description} |"


def shown(name: str) -> str:
    field = ApiSettings.model_fields[name]
    return in_words(field) or as_shown(field)


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
