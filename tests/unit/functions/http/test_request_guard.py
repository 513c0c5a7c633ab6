"""What a request claims about itself is believed only as far as it can be: its host, its proxies, its coding."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse
from werkzeug.wrappers import Request, Response

from functions.http.request_guard import RequestGuard, known_hosts
from functions.runtime.settings import read_settings
from schema.settings import BadSetting, networks_of
from schema.wire import Json

NEEDED = {"database_url": "postgresql://localhost/x", "secret_key": "5e" * 32}
CALLBACKS = "/api/runs/00000000-0000-4000-8000-000000000000/callbacks"


@Request.application
def app(request: Request) -> Response:
    """Answer with what is believed of the request."""
    if request.path == "/api/kept":
        return Response("{}", headers={"Cache-Control": "private", "X-Content-Type-Options": "nosniff"})
    told = {"host": request.host, "scheme": request.scheme, "address": request.remote_addr}
    return Response(json.dumps(told), mimetype="application/json")


def client(**settings: str) -> Client:
    read = read_settings(**NEEDED, **settings)
    return Client(RequestGuard(app, hosts=known_hosts(read), proxies=read.proxy_networks))


def ask(made: Client, path: str = "/", **kwargs: Any) -> TestResponse:
    return made.open(path, **kwargs)


def problem(answer: TestResponse) -> tuple[int, object]:
    assert answer.mimetype == "application/problem+json"
    body: Json = json.loads(answer.get_data())
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


@pytest.mark.parametrize(
    "host",
    [
        *("runyard.example", "RUNYARD.example:443", "runyard.example.", "other.example", "10.1.2.3:8081"),
        *("localhost", "localhost:8080", "app.localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"),
    ],
)
def test_known_hosts_are_served(host: str) -> None:
    made = client(
        public_url="https://runyard.example", allowed_hosts=" other.example, third.example", worker_bind="10.1.2.3:8081"
    )
    assert ask(made, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "runyard.example.evil.example", "[::", "a,localhost", "10.1.2.4", ""])
def test_other_hosts_are_refused(host: str) -> None:
    made = client(public_url="https://runyard.example", worker_bind="10.1.2.3:8081")
    assert problem(ask(made, "/api/me", headers={"Host": host})) == (421, "unknown_host")


@pytest.mark.parametrize("target", ["http://evil.example/api/me", "https://a@evil.example?x", "http:///api/me"])
def test_a_target_with_another_host_is_refused(target: str) -> None:
    made = client(public_url="https://runyard.example")
    environ = {"RAW_URI": target}
    assert problem(ask(made, "/api/me", environ_overrides=environ)) == (421, "unknown_host")


@pytest.mark.parametrize(
    "target", ["http://runyard.example/api/me", "http://localhost:8080", "/api/me?next=http://evil.example", "*"]
)
def test_a_target_with_a_known_host_or_none_is_served(target: str) -> None:
    made = client(public_url="https://runyard.example")
    assert ask(made, "/api/me", environ_overrides={"RAW_URI": target}).status_code == 200


def test_health_checks_by_address_and_signed_callbacks_are_served_under_every_name() -> None:
    made = client()
    for path in ("/health", "/ready"):
        assert ask(made, path, headers={"Host": "10.9.8.7"}).status_code == 200
    assert ask(made, CALLBACKS, method="POST", headers={"Host": "api:8080"}).status_code == 200
    assert ask(made, CALLBACKS, headers={"Host": "api:8080"}).status_code == 421


def test_a_function_has_a_gateway_for_its_host() -> None:
    made = Client(RequestGuard(app, hosts=None, proxies=[]))
    assert ask(made, headers={"Host": "x.execute-api.example"}).status_code == 200


FORWARDED = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "runyard.example"}


def test_what_was_forwarded_counts_from_named_proxies_alone() -> None:
    made = client(public_url="https://runyard.example", trusted_proxies="10.0.0.0/8, 192.0.2.1")
    for address in ("10.4.5.6", "192.0.2.1"):
        answer = ask(made, headers=FORWARDED, environ_base={"REMOTE_ADDR": address})
        assert answer.json == {"host": "runyard.example", "scheme": "https", "address": "198.51.100.7"}
    for address in ("127.0.0.1", "192.0.2.2", ""):
        answer = ask(made, headers=FORWARDED, environ_base={"REMOTE_ADDR": address})
        assert answer.json == {"host": "localhost", "scheme": "http", "address": address}


def test_a_forwarded_host_must_be_known_too() -> None:
    made = client(trusted_proxies="10.0.0.1")
    answer = ask(made, headers={"X-Forwarded-Host": "evil.example"}, environ_base={"REMOTE_ADDR": "10.0.0.1"})
    assert problem(answer) == (421, "unknown_host")


def test_a_forwarded_host_hides_no_unknown_one() -> None:
    made = client(trusted_proxies="10.0.0.1")
    headers = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
    assert problem(ask(made, headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.1"})) == (421, "unknown_host")


def test_a_proxy_is_known_by_its_address_in_ipv6_too() -> None:
    made = client(public_url="https://runyard.example", trusted_proxies="10.0.0.0/8")
    answer = ask(made, headers=FORWARDED, environ_base={"REMOTE_ADDR": "::ffff:10.4.5.6"})
    assert json.loads(answer.get_data())["address"] == "198.51.100.7"


@pytest.mark.parametrize("hosts", ["https://api.example", "api:8080", "a b"])
def test_hosts_with_scheme_or_port_are_a_bad_setting(hosts: str) -> None:
    with pytest.raises(BadSetting, match="RUNYARD_ALLOWED_HOSTS: must be host names"):
        read_settings(**NEEDED, allowed_hosts=hosts)
    known = known_hosts(read_settings(**NEEDED, allowed_hosts="API.example., [fd00::1]"))
    assert {"api.example", "fd00::1"} <= known


@pytest.mark.parametrize("auth, shares", [("local", (0, 0)), ("token", (36, 48))])
def test_one_user_alone_shares_with_nobody(auth: str, shares: tuple[int, int]) -> None:
    read = read_settings(**NEEDED, auth=auth)
    assert (read.api_streams_per_user, read.api_requests_per_user) == shares


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "x" * 1000])
def test_a_coded_body_is_refused_unread(coding: str) -> None:
    answer = ask(client(), "/api/x", method="POST", data=b"\x1f\x8b not gzip", headers={"Content-Encoding": coding})
    assert problem(answer) == (415, "unsupported_content_encoding")
    assert answer.headers["Accept-Encoding"] == "identity"
    assert ask(client(), "/", method="POST", data=b"{}", headers={"Content-Encoding": "Identity"}).status_code == 200


def test_answers_are_not_guessed_and_those_of_the_api_are_not_stored() -> None:
    made = client()
    page, api, kept = ask(made, "/"), ask(made, "/api/x"), ask(made, "/api/kept")
    assert [answer.headers.get_all("X-Content-Type-Options") for answer in (page, api, kept)] == [["nosniff"]] * 3
    stored = [answer.headers.get_all("Cache-Control") for answer in (page, api, kept)]
    assert stored == [[], ["no-store"], ["private"]]


@pytest.mark.parametrize("proxies", ["nobody", "10.0.0.1/8", "10.0.0.0/40"])
def test_proxies_that_are_no_networks_are_a_bad_setting(proxies: str) -> None:
    with pytest.raises(BadSetting, match="RUNYARD_TRUSTED_PROXIES: must be addresses or networks"):
        read_settings(**NEEDED, trusted_proxies=proxies)
    assert networks_of("") == []
