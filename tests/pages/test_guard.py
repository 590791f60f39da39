"""Who gets in: asked as a server asks, by messages of ASGI, without a server, a browser or their libraries."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from bal.pages.guard import MOST_BYTES, NO_HOST, NO_ORIGIN, NO_TOKEN, TOO_LARGE, Guard, is_own_name

TOKEN = "right-token-0123456789"
COOKIE = f"a=b; bal={TOKEN}"


def ask(kind="http", path="/", query="", body=b"", host="127.0.0.1:8000", guarded_host="127.0.0.1", **headers):
    """What comes back: status or type, headers, body; and what the page behind the guard received."""
    received, sent = [], []

    async def page(scope, receive, send):
        received.append(scope["path"])
        if scope["type"] == "websocket":
            return await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "http.request":
            received.append(message["body"])
            if not message.get("more_body"):
                break
        else:
            received.append("cut")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    chunks = [body[start : start + 400_000] for start in range(0, len(body), 400_000)] or [b""]

    async def receive():
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message):
        sent.append(message)

    fields = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
    }
    answered = Guard(page, TOKEN, guarded_host)(scope, receive, send)
    with ThreadPoolExecutor(1) as thread:  # this one may have a loop already, of a browser that is driven
        thread.submit(asyncio.run, answered).result()
    answer = {name.decode(): value.decode() for name, value in sent[0].get("headers", [])}
    return sent[0].get("status", sent[0]["type"]), answer, sent[-1].get("body", b"").decode(), received


def test_the_token_becomes_a_cookie_and_leaves_the_address():
    status, headers, body, received = ask(query=f"token={TOKEN}&annotator=a%22%3E%3Cscript")
    assert status == 200
    assert not received  # nothing is shown yet
    assert headers["set-cookie"] == f"bal={TOKEN}; Path=/; HttpOnly; SameSite=Strict"
    assert 'content="0;url=/?annotator=a%22%3E%3Cscript"' in body
    assert TOKEN not in body
    status, headers, body, received = ask(cookie=COOKIE)
    assert (status, body, received) == (200, "page", ["/", b""])


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({}, NO_TOKEN),
        ({"query": "token="}, NO_TOKEN),
        ({"query": "token=wrong-token-012345678", "cookie": COOKIE}, NO_TOKEN),
        ({"cookie": f"bal={TOKEN[:-1]}"}, NO_TOKEN),
        ({"cookie": f"other={TOKEN}"}, NO_TOKEN),
        ({"cookie": "bal=ä"}, NO_TOKEN),
        ({"cookie": COOKIE, "host": "evil.example"}, NO_HOST),
        ({"cookie": COOKIE, "host": "127.0.0.1.evil.example:8000"}, NO_HOST),
        ({"cookie": COOKIE, "host": "10.0.0.7:8000"}, NO_HOST),
        ({"cookie": COOKIE, "host": ""}, NO_HOST),
        ({"cookie": COOKIE, "origin": "http://evil.example"}, NO_ORIGIN),
        ({"cookie": COOKIE, "origin": "http://127.0.0.1:9999"}, NO_ORIGIN),
        ({"cookie": COOKIE, "origin": "null"}, NO_ORIGIN),
    ],
)
def test_refused(kind, request_, sentence):
    status, headers, body, received = ask(kind, **request_)
    assert not received
    assert status == ("websocket.close" if kind == "websocket" else 400 if sentence is NO_HOST else 403)
    if kind == "http":
        assert sentence in body
        assert "set-cookie" not in headers
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_socket_opens_with_the_cookie():
    assert ask("websocket", cookie=COOKIE, origin="http://127.0.0.1:8000")[::3] == ("websocket.accept", ["/"])


def test_what_a_page_may_load_is_said_with_every_answer():
    _, headers, _, _ = ask(cookie=COOKIE)
    assert "connect-src 'self'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


def test_sizes():
    status, _, body, received = ask(cookie=COOKIE, content_length=str(MOST_BYTES + 1))
    assert (status, received) == (413, [])
    assert TOO_LARGE in body
    assert ask(cookie=COOKIE, content_length="many")[0] == 413
    long = ask(cookie=COOKIE, body=b"x" * 1_200_001)[3]  # which does not say its length
    assert [part if isinstance(part, str) else len(part) for part in long] == ["/", 400_000, 400_000, "cut"]


@pytest.mark.parametrize(
    ("given", "host", "own"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("localhost:1", "127.0.0.1", True),  # a tunnel has a port of its own
        ("LOCALHOST:1", "127.0.0.1", True),
        ("[::1]:8000", "127.0.0.1", True),
        ("[::1]", "::1", True),
        ("10.0.0.7:8000", "10.0.0.7", True),
        ("10.0.0.7:8000", "0.0.0.0", True),
        ("[fe80::1]:8000", "::", True),
        ("lab.example:8000", "lab.example", True),
        ("evil.example:8000", "0.0.0.0", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("127.0.0.1@evil.example", "127.0.0.1", False),
    ],
)
def test_names_of_the_server(given, host, own):
    assert is_own_name(given, host) == own
