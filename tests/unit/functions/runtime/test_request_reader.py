"""A request is gathered from any pieces: the same bytes give the same request and the same rest."""

from __future__ import annotations

from itertools import pairwise

import pytest
from gunicorn.config import Config  # type: ignore[import-untyped]
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from gunicorn.http.message import Request  # type: ignore[import-untyped]
from gunicorn.http.unreader import IterUnreader  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from functions.runtime.refusals import RefusedRequest, refusal_bytes, refusal_of
from functions.runtime.request_reader import HEAD_BYTES, RequestReader
from tests.thoroughness import chances

LIMIT = 1000
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
ONE_BYTE_CHUNK = b"1\r\nx\r\n"


def new_reader() -> RequestReader:
    return RequestReader(Config(), ("127.0.0.1", 1), lambda _method, _path: LIMIT)


def post(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"POST /x HTTP/1.1", b"Host: x", *headers, b"", b""]) + body


def sized(body: bytes) -> bytes:
    return post(body, b"Content-Length: %d" % len(body))


def chunked(*chunks: bytes, trailer: bytes = b"") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return post(framed + b"0\r\n" + trailer + b"\r\n", b"Transfer-Encoding: chunked")


def fed(pieces: list[bytes]) -> RequestReader:
    """The reader after these; what comes behind its request is added to its rest, as the door would keep it."""
    reader = new_reader()
    for piece in pieces:
        if reader.is_whole:
            reader.rest += piece
        else:
            reader.feed(piece)
    return reader


def outcome(pieces: list[bytes]) -> tuple[object, ...]:
    """What a thread and the next request are given, or why it was refused."""
    try:
        reader = fed(pieces)
        if not reader.is_whole:
            return ("more",)
        request = next(reader.whole())
    except RefusedRequest as refusal:
        return ("refused", refusal.status)
    except (ParseException, NoMoreData) as error:  # of the decoder, in a thread
        return ("refused", refusal_of(error).status)
    return request.method, request.path, request.headers, request.body.read(), reader.rest


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(at)]


PLACES = st.lists(st.integers(0, 5000), max_size=20)
BODIES = st.binary(max_size=300)
WHOLE = st.one_of(
    st.just(GET),
    BODIES.map(sized),
    st.lists(st.binary(max_size=60), max_size=5).map(lambda chunks: chunked(*chunks)),
    st.just(chunked(b"x", trailer=b"Digest: y\r\n")),
    st.just(b"\r\n" + GET),
)
# What HTTP is made of, put together wrongly.
SPLINTERS = st.sampled_from(
    [
        *(
            b"GET ",
            b"POST ",
            b"/x",
            b" HTTP/1.1",
            b"\r\n",
            b"\n",
            b"\r",
            b": ",
            b"Host: x\r\n",
            b"hello",
            b"\x00",
            b"\xff",
        ),
        *(b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n"),
        *(b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b";a=b"),
        b"ffffffff\r\n",
    ]
)
BROKEN = st.lists(st.one_of(SPLINTERS, st.binary(max_size=5)), max_size=25).map(b"".join)


@chances(100, 1000)
@given(first=WHOLE, behind=st.one_of(WHOLE, st.binary(max_size=50)), places=PLACES)
def test_cuts_change_neither_the_request_nor_the_rest(first: bytes, behind: bytes, places: list[int]) -> None:
    got = outcome(cut(first + behind, places))
    assert got == outcome([first + behind])
    assert got[-1] == behind


@chances(100, 1000)
@given(data=BROKEN, places=PLACES)
def test_whatever_comes_in_is_a_request_or_refused_or_waited_for(data: bytes, places: list[int]) -> None:
    whole, pieces = outcome([data]), outcome(cut(data, places))
    assert pieces == whole


@chances(100, 1000)
@given(data=BROKEN)
def test_gunicorn_reads_the_same_request_from_a_socket(data: bytes) -> None:
    got = outcome([data])
    unreader = IterUnreader(iter([data]))
    try:
        request = Request(Config(), unreader, ("127.0.0.1", 1), 1)
        body = request.body.read()
    except (ParseException, NoMoreData, StopIteration):
        assert got[0] in ("more", "refused")
        return
    if got[0] == "more":  # a body that ends too early
        assert len(body) < int(dict(request.headers).get("CONTENT-LENGTH", 0))
    elif got[0] != "refused":  # too large is refused by the reader alone
        assert got == (request.method, request.path, request.headers, body, unreader.buf.getvalue())


def refused(*pieces: bytes) -> tuple[int, str]:
    with pytest.raises(RefusedRequest) as error:
        fed(list(pieces))
    assert refusal_bytes(error.value).startswith(b"HTTP/1.1 %d " % error.value.status)
    return error.value.status, error.value.problem_code


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"GET / HTTP/1.1\n", 400, "bad_request"),
        (b"\r\n\r\n", 400, "bad_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"A: x\r\n" * 101 + b"\r\n", 431, "headers_too_large"),
        (b"x" * (HEAD_BYTES + 1), 431, "headers_too_large"),
        (post(b"", b"Expect: a-miracle"), 417, "expectation_failed"),
        (post(b"", b"Transfer-Encoding: gzip"), 400, "bad_request"),
        (post(b"", b"Transfer-Encoding: gzip, chunked"), 415, "unsupported_content_encoding"),
        (post(b"", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"), 415, "unsupported_content_encoding"),
        (post(b"", b"Content-Length: 1", b"Transfer-Encoding: chunked"), 400, "bad_request"),
        (post(b"", b"Content-Length: 1", b"Content-Length: 2"), 400, "bad_request"),
        (post(b"", b"Content-Length: 1001"), 413, "too_large"),
        (post(b"3e9\r\n", b"Transfer-Encoding: chunked"), 413, "too_large"),
        (post(b"3e8\r\n" + b"x" * 1000 + b"\r\n1\r\n", b"Transfer-Encoding: chunked"), 413, "too_large"),
        (post(b"x\r\n", b"Transfer-Encoding: chunked"), 400, "bad_request"),
        (post(b"1\nx", b"Transfer-Encoding: chunked"), 400, "bad_request"),
        (post(b"1\r\nxyz\r\n", b"Transfer-Encoding: chunked"), 400, "bad_request"),
        (post(b"1" * 9000, b"Transfer-Encoding: chunked"), 400, "bad_request"),
        (post(b"0\r\n" + b"A: x\r\n" * 9000, b"Transfer-Encoding: chunked"), 431, "headers_too_large"),
    ],
)
def test_a_fault_is_refused_with_a_status_and_a_code(data: bytes, status: int, code: str) -> None:
    assert refused(data) == (status, code)
    assert refused(*[data[at : at + 1] for at in range(len(data))])[0] == status


def test_a_bad_trailer_is_refused_when_the_body_is_decoded() -> None:
    assert outcome([chunked(b"x", trailer=b"Host: evil\r\n")]) == ("refused", 400)


def test_chunks_of_one_byte_are_refused_when_they_are_many() -> None:
    reader = RequestReader(Config(), ("127.0.0.1", 1), lambda _method, _path: 10_000_000)
    reader.feed(post(b"", b"Transfer-Encoding: chunked"))
    reader.feed(ONE_BYTE_CHUNK * 10_000)
    with pytest.raises(RefusedRequest, match="too small"):
        reader.feed(ONE_BYTE_CHUNK * 10_000)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_is_waited_for_only_when_its_peer_waits_too(size: int) -> None:
    reader = new_reader()
    reader.feed(post(b"", b"Content-Length: %d" % size, b"Expect: 100-continue"))
    assert reader.is_waited_for == (size > 0)
    reader.feed(b"x" * size)
    assert (reader.is_waited_for, reader.is_whole) == (False, True)


@pytest.mark.parametrize("begun", [b"", b"\r\n"])
def test_an_empty_line_does_not_begin_a_request(begun: bytes) -> None:
    reader = new_reader()
    reader.feed(begun)
    assert not reader.has_begun
    reader.feed(GET)
    assert reader.has_begun


@chances(100, 1000)
@given(size=st.integers(1, 200_000), step=st.integers(50, 70_000))
def test_a_large_body_comes_out_as_it_came_in(size: int, step: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    reader = RequestReader(Config(), ("127.0.0.1", 1), lambda _method, _path: size)
    data = sized(body)
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
    assert next(reader.whole()).body.read() == body


def test_a_head_at_the_limit_and_one_byte_beyond() -> None:
    begin, end = b"GET / HTTP/1.1\r\n", b"Last: x\r\n\r\n"
    line = b"A: " + b"x" * 8000 + b"\r\n"
    lines = line * ((HEAD_BYTES - len(begin + end)) // len(line))
    left = HEAD_BYTES - len(begin + lines + end)
    head = begin + lines + b"Last: x" + b"x" * left + b"\r\n\r\n"
    assert len(head) == HEAD_BYTES
    assert fed([head]).is_whole
    assert refused(head.replace(b"Last: x", b"Last: xx")) == (431, "headers_too_large")
