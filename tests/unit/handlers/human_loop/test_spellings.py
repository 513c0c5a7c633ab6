"""A command is judged as the words that a shell makes of it: no spelling of a denied one is allowed."""

from __future__ import annotations

import time

import pytest

from handlers.human_loop.rule_matching import deciding_rule
from handlers.human_loop.shell_script import LONGEST_SCRIPT
from handlers.human_loop.tool_call import read_call
from schema.approval_rules import ApprovalRuleRow
from schema.wire import Json
from tests.unit.handlers.human_loop.test_rule_matching import rule

EVERYTHING = rule("allow")
RULES = (
    *(rule("allow", command=pattern) for pattern in ("git *", "cat *", "npm test", "*")),
    EVERYTHING,
    rule("deny", command="git push*"),
    rule("deny", path="secrets/**"),
)


def decided(call: Json, *rules: ApprovalRuleRow) -> str | None:
    """`allow`, `deny`, or None: a person is asked."""
    found = deciding_rule(rules, read_call(call))
    return None if found is None else found.effect


def run(command: str | list[str], **more: object) -> Json:
    return {"kind": "execute", "input": {"command": command, **more}, "workspace": "/workspace", "cwd": "/workspace"}


def edit(**fields: object) -> Json:
    return {"kind": "edit", "input": fields, "workspace": "/workspace", "cwd": "/workspace"}


PUSHES = [
    *("git  push origin", "git\tpush", "git -C . push", 'git "push"', "git pu''sh", "git p\\ush", "git pu[s]h"),
    *("git --no-pager push", "env git push", "/usr/bin/git push", "FOO=1 git push", "bash -c 'git push'"),
    *("git pu\\\nsh", "git \\\n push", "g''it push", "git ${x}push", "git $x push", "$g push", "git{,} push"),
    *("git {push,origin}", "{git,push}", "git $'push'", 'git $"push"', "git p?sh", "git *", "/usr/bin/g?t push"),
    *("sudo git push", "sudo -u me -- git push", "env -i A=b git push", "env -S 'git push'", "nice -n 5 git push"),
    *("timeout 5 git push", "timeout -k 1 5 git push", "nohup git push &", "time git push", "! git push"),
    *("command git push", "exec git push", "builtin exec git push", "xargs git push", "echo push | xargs git"),
    *("echo x | xargs -I{} git push {}", "find . -exec git push \\;", "find . -name x -exec git pu''sh {} +"),
    *("sh -c \"git pu''sh\"", "bash -lc 'cd a && git push'", "bash -ec 'git push'", "bash -co pipefail 'git push'"),
    *("eval git push", "eval \"git pu''sh\"", "eval $x", "echo git push | sh", "sh <<EOF\ngit push\nEOF", "sh < x"),
    *("ls; git push", "ls && git push", "ls || git push", "ls | git push", "ls & git push", "(git push)"),
    *("{ git push; }", "ls\ngit push", "ls # x\ngit push", "echo $(git push)", "echo `git push`", 'echo "$(git push)"'),
    *("cat <(git push)", "if git push; then ls; fi", "for x in push; do git $x; done", "f() { git push; }; f"),
    *(
        "while git push; do ls; done",
        "case a in a) git push;; esac",
        "git >x push",
        ">x git push",
        "git <<EOF push\nEOF",
    ),
    *(
        "git <<<x push",
        "git -c alias.x=push x",
        "git -c user.name=x push",
        "alias g=git\ng push",
        "cat <<EOF\n$(git push)\nEOF",
    ),
    *('python3 -c \'import os; os.system("git pu" + "sh")\'', "ssh localhost git push", "su -c 'git push'"),
    *("[[ $(git push) ]]", "x=$(git push)", "echo ${x:-$(git push)}", "echo $((a[$(git push)]))", "a=(x $(git push))"),
    *("busybox sh -c 'git push'", "ba[s]h -c \"git pu''sh\"", "stdbuf -o0 git push", "coproc git push", "git push #"),
    *("git 'push", "git push\r", "\x01git push", "=git push", "~/bin/git push", "./x/../git push"),
]
# words behind a redirection, which the grammar takes for more files or for a list's
PUSHES += [
    *(
        "false || git >out push",
        "! git >out push",
        "git >out 'p''u''sh'",
        """git >out -C . ''p""\\u''sh""",
        "git >x <<E push\nE",
    ),
    *("true && git <<E push\nE", "git 2>&1 -C . push", "git >out 'pu'$x", "cat ~/x; git pu~sh; git push"),
]
READS = [
    *("cat secr*ts/key", "cat sec''rets/key", "cat secrets\\/key", "cat $PWD/secrets/key", "cat s?crets/key"),
    *("cat -fsecrets/key", "cat ./secrets/key", "cat src/../secrets/key", "cat /workspace/secrets/key", "cat s*"),
    *("cat /workspac*/secrets/key", "cat */key", "cat {secrets,x}/key", "cat <secrets/key", "cd secrets && cat key"),
    *("cd src && cat ../secrets/key", "cat --file=secrets/key", "cat @secrets/key", "cat if=secrets/key", "cat ~+/x"),
    *("cat /proc/self/cwd/secrets/key", "cat .*/secrets/key", "cat **/key", "git -C src show ../secrets/key"),
    *(
        "cd $x; cat key",
        "cd -; cat key",
        "pushd src; cat ../secrets/key",
        "cat src/*/../../secrets/key",
        "x=secrets; cat $x/key",
    ),
    *(
        "echo x > secrets/key",
        "echo x >> sec''rets/key",
        "(ls) > secrets/key",
        'cat "secrets/key"',
        "cat 'secrets'/key",
    ),
]


@pytest.mark.parametrize("command", [*PUSHES, *READS])
def test_no_spelling_of_a_denied_command_or_path_is_allowed(command: str) -> None:
    assert decided(run(command), *RULES) != "allow"


@pytest.mark.parametrize(
    "command",
    [
        *("git  push origin", 'git "push"', "git pu''sh", "env git push", "FOO=1 git push", "bash -c 'git push'"),
        *("git -C . push", "git --no-pager push", "ls; sudo git push", "echo $(git push)", "sh -c \"git pu''sh\""),
        *("echo x > secrets/key", "echo x > sec''rets/key", "timeout 5 git push"),
    ],
)
def test_a_spelling_that_is_certain_is_denied(command: str) -> None:
    assert decided(run(command), *RULES) == "deny"


@pytest.mark.parametrize(
    "call",
    [
        run(["./bash", "-c", "npm test"]),
        run(["/workspace/evil/sh", "-c", "npm test"]),
        run("./bash -c 'npm test'"),
        run("npm test", cwd="/workspace/evil"),
        run("npm test", cwd="evil"),
        run("npm test", workdir="/elsewhere"),
        run("npm test > x"),
        run("PATH=./evil npm test"),
        run("cd evil; npm test"),
        run("npm 'te st'"),
    ],
)
def test_what_is_not_the_allowed_command_is_asked(call: Json) -> None:
    assert decided(call, rule("allow", command="npm test")) is None


@pytest.mark.parametrize("command", ["npm test", "npm  test", 'npm "test"', "npm test && npm test", "npm test 2>&1"])
def test_spellings_of_the_allowed_command_are_allowed(command: str) -> None:
    assert decided(run(command), rule("allow", command="npm test"), *RULES[-2:]) == "allow"


@pytest.mark.parametrize(
    "command",
    [
        *("git status", "git log --oneline -- src/*.py", "git commit -m 'a push'", "git log | git shortlog"),
        *("git diff src/a.py 2>/dev/null", "git -C src status", "git log -- README.md && git status"),
    ],
)
def test_what_is_plain_is_allowed_beside_rules_that_deny(command: str) -> None:
    assert decided(run(command), *RULES[:1], *RULES[-2:]) == "allow"


def test_what_is_filled_in_is_allowed_where_a_pattern_takes_anything() -> None:
    rules = (RULES[0], rule("deny", command="git push*"))
    assert decided(run("git log $(git rev-parse HEAD)"), *rules) == "allow"
    assert decided(run("git log $branch"), *rules) == "allow"
    assert decided(run("git $subcommand"), *rules) is None


def test_words_that_a_pattern_would_join_are_not_allowed_as_others() -> None:
    assert decided(run('rm "a b"'), rule("allow", command="rm a b")) is None
    assert decided(run("git $x"), rule("allow", command="git ??")) is None
    assert decided(run("git a*"), rule("allow", command="git a?")) is None


@pytest.mark.parametrize("key", ["to", "dst", "dest", "destination", "new_name", "newPath", "target", "x"])
def test_every_second_path_of_an_edit_counts(key: str) -> None:
    call = edit(path="src/a", **{key: "docs/b"})
    assert decided(call, rule("allow", path="src/**")) is None
    assert decided(call, rule("allow", path="**"), rule("deny", path="docs")) == "deny"


def test_where_a_link_leads_counts() -> None:
    call = {**edit(path="src/link/key"), "resolved": ["/etc/key"]}
    assert decided(call, rule("allow", path="src/**")) is None
    assert decided(call, rule("allow"), rule("deny", path="/etc/**")) == "deny"
    assert decided({**call, "resolved": ["/workspace/src/other/key"]}, rule("allow", path="src/**")) == "allow"


def test_another_folder_of_the_call_counts() -> None:
    deny = rule("deny", path="secrets/**")
    assert decided(run("cat key", cwd="/workspace/secrets"), rule("allow"), deny) != "allow"
    assert decided(run("cat ../secrets/key", cwd="src"), rule("allow"), deny) != "allow"


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("/srv/me/.ssh/id", "~/.ssh/**"), ("~/.ssh/id", "/srv/me/.ssh/**"), ("~/a/../.ssh/id", "~/.ssh/**")],
)
def test_where_home_lies_is_not_known(path: str, pattern: str) -> None:
    assert decided(edit(path=path), rule("allow"), rule("deny", path=pattern)) != "allow"
    assert decided(run(f"cat {path}"), rule("allow"), rule("deny", path=pattern)) != "allow"


@pytest.mark.parametrize(
    "text", ["a=(", "<<a ", "((", "$(", "${", '`"', "\\\n", "ls; ", "[[", "if a;", "git -C x ", "cd x;", "env "]
)
def test_reading_any_command_stays_within_its_time(text: str) -> None:
    command = "ls " + text * (LONGEST_SCRIPT // len(text) - 10)
    begun = time.thread_time()
    assert decided(run(command), rule("allow"), rule("ask", command="git push*")) in (None, "allow")
    assert time.thread_time() - begun < 5


def test_a_longer_text_is_asked() -> None:
    command = "ls " + "a" * LONGEST_SCRIPT
    assert decided(run(command), rule("allow", command="ls *")) is None
    assert decided(run(command), rule("allow"), rule("deny", command="git push")) is None
