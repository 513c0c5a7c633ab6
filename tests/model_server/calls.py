"""A step's tool, as the agent's own tool call: the same script serves all three agents."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def native_call(step: Json, offered: dict[str, Json]) -> tuple[str, Any]:
    """Name and arguments of the tool that does what the step says, chosen from the tools that the agent offers.

    Arguments are an object, or a text for a free-form tool.
    """
    if step["tool"] == "native":
        return step["name"], step["input"]
    makers = {"write": _write, "run": _run, "todos": _todos, "ask": _ask, "read": _read}
    return makers[step["tool"]](step, offered)


def _write(step: Json, offered: dict[str, Json]) -> tuple[str, Any]:
    path, content = step["path"], step["content"]
    if "Write" in offered:
        return "Write", {"file_path": path, "content": content}
    if "write" in offered:
        return "write", {"filePath": path, "content": content}
    lines = "".join(f"+{line}\n" for line in content.splitlines())
    patch = f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch\n"
    if "apply_patch" in offered:
        free = offered["apply_patch"].get("type") == "custom"
        return "apply_patch", patch if free else {"input": patch}
    return _run({"command": f"apply_patch <<'EOF'\n{patch}EOF"}, offered)


def _read(step: Json, offered: dict[str, Json]) -> tuple[str, Any]:
    if "Read" in offered:
        return "Read", {"file_path": step["path"]}
    if "read" in offered:
        return "read", {"filePath": step["path"]}
    return _run({"command": f"cat {step['path']}"}, offered)


def _run(step: Json, offered: dict[str, Json]) -> tuple[str, Any]:
    command = step["command"]
    if "Bash" in offered:
        return "Bash", {"command": command, "description": "run a command"}
    if "bash" in offered:
        return "bash", {"command": command, "description": "run a command"}
    asking = {"sandbox_permissions": "require_escalated", "justification": "needed"} if step.get("escalate") else {}
    if "exec_command" in offered:
        return "exec_command", {"cmd": command, **asking}
    if "shell_command" in offered:
        return "shell_command", {"command": command, **asking}
    return "shell", {"command": ["bash", "-lc", command], **asking}


def _todos(step: Json, offered: dict[str, Json]) -> tuple[str, Any]:
    items = step["items"]
    if "TodoWrite" in offered:
        return "TodoWrite", {"todos": [{**one, "activeForm": one["content"]} for one in items]}
    if "TaskCreate" in offered:
        return "TaskCreate", {"subject": items[0]["content"], "description": items[0]["content"]}
    if "todowrite" in offered:
        return "todowrite", {"todos": [{"priority": "medium", **one} for one in items]}
    return "update_plan", {"plan": [{"step": one["content"], "status": one["status"]} for one in items]}


def _ask(step: Json, offered: dict[str, Json]) -> tuple[str, Any]:
    options = [{"label": one, "description": one} for one in step["options"]]
    question = {"question": step["question"], "header": "Question", "options": options, "multiSelect": False}
    if "AskUserQuestion" in offered:
        return "AskUserQuestion", {"questions": [question]}
    if "question" in offered:
        return "question", {"questions": [question]}
    return "request_user_input", {"questions": [{**question, "id": "q1"}]}


def arguments_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments)
