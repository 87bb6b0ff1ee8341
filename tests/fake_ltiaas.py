"""A fake LTIAAS over a real socket, built from its public documentation, in front of a reference platform.

It checks the API key and the service key or ltik, asks the platform as a tool would, and answers in camelCase
with `next` in the body. Errors have its documented shape.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from lti_rosters.keys.signing import SigningKey
from lti_rosters.providers.auth import SCOPE, assertion
from lti_rosters.reference.platform import MEDIA_TYPE, ReferencePlatform
from lti_rosters.reference.server import Reply, Request, Server
from lti_rosters.settings.registration import Registration
from lti_rosters.web.links import read_links, target
from patience import PATIENCE

CAMEL = {
    "user_id": "userId",
    "given_name": "givenName",
    "family_name": "familyName",
    "middle_name": "middleName",
    "lis_person_sourcedid": "lisPersonSourcedId",
    "lti11_legacy_user_id": "lti11LegacyUserId",
}


class FakeLtiaas:
    """One account; looks to a `School` like a platform. *faults* maps a key to a reply that it gets instead.

    *nexts* maps a course to how its `next` is made of the LMS's address; the documented way where it is not there.
    """

    issuer = client_id = token_url = audience = ""

    def __init__(self, lms: ReferencePlatform, key: SigningKey, api_key: str = "api-key-of-acme") -> None:
        self.lms, self.api_key = lms, api_key
        self.manner = lms.manner
        self.courses = lms.courses
        self.add = lms.add
        self.faults: dict[str, Reply] = {}
        self.nexts: dict[str, Callable[[str], str]] = {}
        self.requests: list[Request] = []
        self._tool = Registration(
            name="x", client_id=lms.client_id, token_url=lms.token_url, audience=lms.audience, key=key
        )
        self._token = ""
        self._server = Server(self._answer)
        self.origin = f"http://127.0.0.1:{self._server.port}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._server.__enter__()
        return self

    def __exit__(self, *told: object) -> None:
        """Stop, and raise the first mistake of its own."""
        self._server.__exit__(*told)
        if self._server.faults:
            raise self._server.faults[0]

    @property
    def options(self) -> dict[str, str]:
        """The settings of a registration with it."""
        return {"provider": "ltiaas", "base_url": self.origin, "api_key": self.api_key}

    def memberships_url(self, key: str) -> str:
        """The roster's address at the LMS, for `Bearer`."""
        return self.lms.memberships_url(key)

    def _answer(self, request: Request) -> Reply:
        self.requests.append(request)
        if request.path != "/api/memberships":
            return Reply(404, [], b"<html>nothing here</html>")
        scheme, _, value = (request.header("Authorization") or "").partition(" ")
        api_key, _, key = value.partition(":")
        if scheme not in ("SERVICE-AUTH-V1", "LTIK-AUTH-V2", "Bearer") or api_key != self.api_key:
            return refused(401, "INVALID_LTIK_AUTH_AUTHORIZATION_HEADER")
        if key in self.faults:
            return self.faults[key]
        asked = dict(reversed(request.query))
        kind, _, course = key.partition("-")
        if scheme != "Bearer" and (kind != scheme[:4] or course not in self.courses):
            return refused(401, "INVALID_LTIK_AUTH_AUTHORIZATION_HEADER")
        url = asked.get("url") or self._first(course, asked)
        if not url.startswith(self.lms.origin):
            return refused(400, "the url is not the platform's")
        return self._fetched(url)

    def _first(self, course: str, asked: Mapping[str, str]) -> str:
        names = {"role": "role", "limit": "limit", "resourceLinkId": "rlid"}
        query = urlencode({names[name]: value for name, value in asked.items() if name in names})
        return self.lms.memberships_url(course) + (f"?{query}" if query else "")

    def _fetched(self, url: str) -> Reply:
        status, headers, body = self._get(url)
        if status == 401:
            self._token = ""
            status, headers, body = self._get(url)
        if status != 200:
            kept = [(name, value) for name, value in headers.items() if name.lower() == "retry-after"]
            return refused(status, "the platform refused", kept, externalUrl=urlsplit(url).path)
        try:
            container = json.loads(body)
        except ValueError:
            return Reply(200, [("Content-Type", "application/json")], body)
        members = container.get("members")
        if isinstance(members, list):
            container["members"] = [
                {CAMEL.get(name, name): value for name, value in each.items()}
                if isinstance(each, dict)
                else each
                for each in members
            ]
        following = target(read_links(headers.get_all("Link") or [], url), "next")
        if following:
            made = (form for name, form in self.nexts.items() if self.lms.memberships_url(name) in url)
            container["next"] = next(made, documented)(following)
        return Reply(200, [("Content-Type", "application/json")], json.dumps(container).encode())

    def _get(self, url: str) -> tuple[int, Any, bytes]:
        if not self._token:
            form = urlencode(
                {
                    "grant_type": "client_credentials",
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "client_assertion": assertion(self._tool, now=time.time()),
                    "scope": SCOPE,
                }
            )
            with urllib.request.urlopen(self.lms.token_url, form.encode(), timeout=PATIENCE) as answer:
                self._token = json.loads(answer.read())["access_token"]
        headers = {"Authorization": f"Bearer {self._token}", "Accept": MEDIA_TYPE}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, headers=headers), timeout=PATIENCE
            ) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()
        except OSError:
            return 502, {}, b""


def documented(following: str) -> str:
    """`next` as its reference has it: the account's own address around the LMS's."""
    return f"https://acct.ltiaas.example/api/memberships?url={quote(following, safe='')}"


def refused(status: int, message: str, headers: list[tuple[str, str]] | None = None, **details: str) -> Reply:
    """An error in LTIAAS's shape."""
    body = {
        "status": status,
        "error": "Error",
        "details": {"message": message, "description": "…", **details},
    }
    return Reply(status, [*(headers or []), ("Content-Type", "application/json")], json.dumps(body).encode())
