"""The limits of a session's todos."""

from __future__ import annotations

from handlers.runs.todos import (
    ITEM_COST,
    LONGEST_ITEM,
    MOST_ITEMS,
    MOST_ITEMS_OF_A_CALL,
    MOST_KNOWN_ITEMS,
    MOST_LISTS,
    MOST_TEXT,
)
from tests.limit import Limit

BOUNDS = "tests/integration/functions/callbacks/test_bounds.py::"
WARNED = "warning `todos_left_out`"

TODO_LIMITS = (
    Limit(
        "todos that one update adds or changes",
        MOST_ITEMS,
        WARNED,
        BOUNDS + "test_todos_of_a_list_at_the_limit_and_one_beyond",
    ),
    Limit(
        "todos that a list has ever had",
        MOST_KNOWN_ITEMS,
        WARNED,
        BOUNDS + "test_todos_that_a_list_ever_had_at_the_limit_and_one_beyond",
    ),
    Limit(
        "todos that the updates of one call name",
        MOST_ITEMS_OF_A_CALL,
        "the history has only a list's last state in the call; its events have all",
        BOUNDS + "test_todos_of_one_call_at_the_limit_and_one_beyond",
    ),
    Limit(
        "lists of todos of a session",
        MOST_LISTS,
        WARNED,
        BOUNDS + "test_lists_of_todos_at_the_limit_and_one_beyond",
    ),
    Limit(
        f"characters of a session's present todos, each counted with {ITEM_COST} more",
        MOST_TEXT,
        "left out or cut, " + WARNED,
        BOUNDS + "test_the_text_of_all_todos_at_the_limit_and_one_beyond",
    ),
    Limit(
        "characters of a todo",
        LONGEST_ITEM,
        "cut, " + WARNED,
        BOUNDS + "test_a_todo_at_its_length_and_one_beyond",
    ),
)
