"""Who may see a page: a token, the name of the host, the origin of a request, sizes, and what the page may load."""

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 1_000_000  # of a request or a message; what a person types is far below

# Scripts and styles in the page itself are NiceGUI's, which also compiles its templates in the browser (unsafe-eval).
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

PLAIN = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width">{head}<title>{title}</title>
<body style="font: 1.1rem/1.6 system-ui, sans-serif; margin: 3rem auto; max-width: 36rem; padding: 0 1rem">
<main><h1 style="font-size: 1.4rem">{title}</h1><p>{sentence}</p></main></body></html>"""

NO_TOKEN = "This page opens with the whole link that the command printed, which holds a token: copy it from there."
NO_HOST = "This server answers to the address in the link that the command printed, and to no other name: use that one."
NO_ORIGIN = "This request came from a page of another address, which may not speak for you: open the printed link."
TOO_LARGE = f"A request of at most {MOST_BYTES:,} bytes was expected and a larger one came: send less at a time."


class Refusal(NamedTuple):
    """Why a request is refused.

    Attributes:
      status: of HTTP.
      title: two or three words.
      sentence: what was expected and what to do.
    """

    status: int
    title: str
    sentence: str


class Guard:
    """Lets in who has the token, by a name of this server, from a page of this server; and says what a page may load.

    The link holds the token, `/?token=...`. It is exchanged for a cookie that scripts cannot read and other sites
    cannot send, so the token does not stay in the address line. The check of the Host header stops pages that rebind
    their name to this machine; the check of the Origin stops pages of other servers on this machine, to which a cookie
    is sent as well.
    """

    def __init__(self, app: Application, token: str, host: str = LOOPBACK[0], cookie: str = "bal"):
        self.app, self.token, self.host, self.cookie = app, token, host, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request or socket."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        refusal = self.refusal(scope, headers, given)
        if refusal is not None:
            return await refuse(scope, send, refusal)
        if scope["type"] == "websocket":
            return await self.app(scope, receive, send)
        if "token" in given:
            return await self.enter(given, send)
        await self.app(scope, Counted(receive), with_headers(send))

    def refusal(self, scope: Scope, headers: dict[str, str], given: dict[str, str]) -> Refusal | None:
        """Why this request is refused, or None."""
        if not is_own_name(headers.get("host", ""), self.host):
            return Refusal(400, "Another name", NO_HOST)
        origin = headers.get("origin")
        if origin is not None and origin not in {f"{kind}://{headers['host']}" for kind in ("http", "https")}:
            return Refusal(403, "Another page", NO_ORIGIN)
        token = given.get("token", cookies(headers.get("cookie", "")).get(self.cookie, ""))
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return Refusal(403, "No valid token", NO_TOKEN)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return Refusal(413, "Too large", TOO_LARGE)
        return None

    async def enter(self, given: dict[str, str], send: Send) -> None:
        """The cookie for the token; a page that goes on by itself, since a redirect from another site drops cookies."""
        rest = urlencode({name: value for name, value in given.items() if name != "token"})
        target = escape(f"/?{rest}" if rest else "/", quote=True)
        head = f'<meta http-equiv="refresh" content="0;url={target}">'
        body = PLAIN.format(head=head, title="bal", sentence=f'<a href="{target}">Go on</a>')
        cookie = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
        await page(with_headers(send), 200, body, {"set-cookie": cookie})


class Counted:
    """Receives no more than the limit, also where a request does not say its length."""

    def __init__(self, receive: Receive):
        self.receive, self.count = receive, 0

    async def __call__(self) -> MutableMapping[str, Any]:
        """The next part, or the end."""
        message = await self.receive()
        self.count += len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.count > MOST_BYTES else message


def is_own_name(given: str, host: str) -> bool:
    """Whether a Host header names this server: any port, so that a tunnel may have one of its own.

    A server that is bound to more than this machine's loopback also answers to addresses in digits, which no one can
    rebind, and to the machine's name.
    """
    name = given.rsplit(":", 1)[0] if given.rpartition(":")[2].isdigit() and not given.endswith("]") else given
    name = name.removeprefix("[").removesuffix("]").lower()
    if name in LOOPBACK or name == host.lower():
        return True
    return host not in LOOPBACK and (is_digits(name) or name == socket.gethostname().lower())


def is_digits(name: str) -> bool:
    """Whether a name is an address of the Internet Protocol."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def cookies(header: str) -> dict[str, str]:
    """Cookies by name."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs}


def with_headers(send: Send) -> Send:
    """`send` that adds what a page may do and load."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await send(message)

    return sending


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """One sentence to a browser; a socket is closed before it opens, which a browser sees as 403."""
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008, "reason": refusal.title})
    body = PLAIN.format(head="", title=refusal.title, sentence=refusal.sentence)
    await page(with_headers(send), refusal.status, body, {})


async def page(send: Send, status: int, body: str, headers: dict[str, str]) -> None:
    """Sends a small page that is kept nowhere."""
    content = body.encode()
    fields = {
        "content-type": "text/html; charset=utf-8",
        "content-length": str(len(content)),
        "cache-control": "no-store",
        **headers,
    }
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [(name.encode(), value.encode()) for name, value in fields.items()]})
    await send({"type": "http.response.body", "body": content})
