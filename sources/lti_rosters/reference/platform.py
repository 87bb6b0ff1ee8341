"""A small LTI platform on loopback, for the demo and for tests; it imports nothing of the connector.

    with ReferencePlatform(manner=CANVAS, client_id="100", tool_keys=lambda: [public_jwk]) as platform:
        platform.add(Course("c1", title="Biology", members=[member("u1", ["Learner"])]))
        platform.memberships_url("c1")

Assertions and tokens are checked for real, rosters are paged in the manner of a real product, every request
is recorded, and faults can be scripted for a course, for the token endpoint, or for a URL of one's own.
"""

import threading
import time
from dataclasses import replace
from typing import Self
from urllib.parse import quote, unquote

from . import pages, rosters
from .courses import Course, Member, member
from .exchange import Exchange, Kind, Records, Script
from .manners import (
    BLACKBOARD,
    CANVAS,
    D2L,
    MANNERS,
    MEDIA_TYPE,
    MOODLE,
    OPEN_EDX,
    OPENOLAT,
    SAKAI,
    SCHOOLOGY,
    SCOPE,
    TAO,
    Manner,
)
from .refusals import maintenance, refuse_roster, throttled
from .server import Reply, Request, Server
from .tokens import Tokens, ToolKeys

__all__ = [
    "BLACKBOARD",
    "CANVAS",
    "D2L",
    "MANNERS",
    "MEDIA_TYPE",
    "MOODLE",
    "OPENOLAT",
    "OPEN_EDX",
    "SAKAI",
    "SCHOOLOGY",
    "SCOPE",
    "TAO",
    "Course",
    "Exchange",
    "Manner",
    "Member",
    "ReferencePlatform",
    "Reply",
    "Request",
    "Script",
    "member",
]


class ReferencePlatform:
    """One platform that knows one tool; a context manager, listening on 127.0.0.1 while it is open.

    May be changed at any time: *courses*, *scopes* (permitted to the tool), *token_lifetime* (seconds),
    *latency* (seconds before every answer), *skew* (seconds its clock is ahead), *gzip* (bodies for clients
    that accept it), *in_maintenance*, *throttle_next* (so many rosters are refused as too many),
    *token_script*, and *routes* (further paths with their scripts).
    """

    def __init__(
        self,
        manner: Manner = CANVAS,
        *,
        client_id: str = "100",
        tool_keys: ToolKeys = (),
        name: str | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        token_lifetime: float | None = None,
    ) -> None:
        """Take a port; *tool_keys* are the tool's public JWKs, or a callable that returns them each time."""
        self.manner = manner
        self.name = name or manner.name
        self.client_id = client_id
        self.issuer = issuer or manner.issuer
        self.courses: dict[str, Course] = {}
        self.routes: dict[str, Script] = {}
        self.token_script: Script | None = None
        self.latency = 0.0
        self.skew = 0.0
        self.gzip = False
        self.in_maintenance = False
        self.throttle_next = 0
        self._lock = threading.Lock()
        self._records = Records()
        self._server = Server(self._answer, self.now)
        self.origin = f"http://127.0.0.1:{self._server.port}"
        self.token_url = self.origin + manner.token_path
        self.audience = audience or manner.audience or self.token_url
        self._tokens = Tokens(
            manner,
            client_id=client_id,
            keys=tool_keys,
            audience=self.audience,
            now=self.now,
        )
        if token_lifetime is not None:
            self._tokens.lifetime = token_lifetime

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._server.__enter__()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Stop, close every connection, and raise the first mistake that a script made."""
        self._server.__exit__()
        if kind is None and self._server.faults:
            raise self._server.faults[0]

    def now(self) -> float:
        """The platform's clock, seconds since the epoch."""
        return time.time() + self.skew

    # Courses

    def add(self, course: Course) -> Course:
        """Offer *course*, in place of one with the same key; returns it."""
        with self._lock:
            self.courses[course.key] = course
        return course

    def memberships_url(self, key: str) -> str:
        """The roster's URL of the course *key*, as a launch would tell it."""
        return self.origin + self.manner.memberships_path.replace("{course}", quote(key, safe=""))

    # Tokens

    @property
    def scopes(self) -> set[str]:
        """The scopes that the tool is permitted; may be changed, tokens already out included."""
        return self._tokens.scopes

    @scopes.setter
    def scopes(self, scopes: set[str]) -> None:
        self._tokens.scopes = scopes

    @property
    def token_lifetime(self) -> float:
        """How long the next token will live, seconds."""
        return self._tokens.lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float) -> None:
        self._tokens.lifetime = seconds

    @property
    def tokens_issued(self) -> int:
        """How many tokens were given out so far."""
        return self._tokens.issued

    def revoke(self, token: str) -> None:
        """Make *token* worth nothing."""
        self._tokens.revoke(token)

    def revoke_all(self) -> None:
        """Make every token issued so far worth nothing."""
        self._tokens.revoke_all()

    # Records

    @property
    def requests(self) -> list[Exchange]:
        """Every request so far, in order of arrival."""
        return self._records.read()

    @property
    def roster_requests(self) -> list[Exchange]:
        """Requests to rosters so far."""
        return self._records.read("roster")

    @property
    def token_requests(self) -> list[Exchange]:
        """Requests to the token endpoint so far."""
        return self._records.read("token")

    @property
    def in_flight(self) -> int:
        """How many requests are being answered now, delays included."""
        return self._server.in_flight

    @property
    def peak(self) -> int:
        """The most requests that were in flight at once."""
        return self._server.peak

    def forget(self) -> None:
        """Forget the requests so far and the peak; attempts count from 1 again."""
        self._records.forget()
        self._server.peak = 0

    def throttled(self, retry_after: float | str | None = None) -> Reply:
        """This platform's "too many requests", for scripts."""
        return throttled(self.manner, retry_after)

    # Answers

    def _answer(self, request: Request) -> Reply:
        exchange = self._recorded(request)
        reply = self._scripted(exchange) or exchange.serve()
        if self.gzip and reply.body and "gzip" in (request.header("Accept-Encoding") or ""):
            reply = rosters.compressed(reply)
        return replace(reply, delay=reply.delay + self.latency) if self.latency else reply

    def _recorded(self, request: Request) -> Exchange:
        kind: Kind = "other"
        course, page = None, 1
        if request.path == self.manner.token_path:
            kind = "token"
        elif request.path not in self.routes and self._is_roster(request.path):
            kind, course = "roster", self._course(request.path)
            page = pages.page_number(pages.window_of(self.manner, request))
        return self._records.add(
            request, kind, course=course, page=page, serve=lambda: self._served(kind, course, request)
        )

    def _scripted(self, exchange: Exchange) -> Reply | None:
        """What the script in charge makes of *exchange*; None if it leaves the answer to us."""
        if exchange.kind == "token":
            return self._played(self.token_script, exchange)
        if exchange.course is not None:
            return self._played(exchange.course.script, exchange)
        return self._played(self.routes.get(exchange.path), exchange)

    def _played(self, script: Script | None, exchange: Exchange) -> Reply | None:
        if isinstance(script, list):
            with self._lock:
                step = script.pop(0) if script else None
            return step(exchange) if callable(step) else step
        return None if script is None else script(exchange)

    def _served(self, kind: str, course: Course | None, request: Request) -> Reply:
        if self.in_maintenance:
            return maintenance()
        if kind == "token":
            return self._tokens.answer(request)
        if kind == "roster":
            return self._roster(course, request)
        return Reply(404, [("Content-Type", "text/plain")], b"nothing here")

    def _roster(self, course: Course | None, request: Request) -> Reply:
        """Guard the door as the manner has it, then open the course (NRPS §2.4)."""
        with self._lock:
            if self.throttle_next > 0:
                self.throttle_next -= 1
                return self.throttled()
        if request.method != "GET":
            return refuse_roster(self.manner, "method", request)
        if not rosters.acceptable(self.manner, request.header("Accept")):
            return refuse_roster(self.manner, "accept", request)
        fault = self._tokens.fault(request.header("Authorization"))
        if fault is not None:
            return refuse_roster(self.manner, fault, request)
        if course is None:
            # A platform with one URL for every course infers which one is meant, or answers nothing at all.
            unclear = "{course}" not in self.manner.memberships_path
            return Reply(200) if unclear else refuse_roster(self.manner, "course", request)
        return rosters.answer(self.manner, course, request, origin=self.origin, is_known=self._is_known_link)

    def _is_known_link(self, rlid: str) -> bool:
        """Whether any course has this resource link."""
        with self._lock:
            return any(rlid in course.links for course in self.courses.values())

    def _is_roster(self, path: str) -> bool:
        before, marker, after = self.manner.memberships_path.partition("{course}")
        return path.startswith(before) and path.endswith(after) if marker else path == before

    def _course(self, path: str) -> Course | None:
        before, marker, after = self.manner.memberships_path.partition("{course}")
        with self._lock:
            if marker:
                return self.courses.get(unquote(path[len(before) : len(path) - len(after)]))
            return next(iter(self.courses.values())) if len(self.courses) == 1 else None
