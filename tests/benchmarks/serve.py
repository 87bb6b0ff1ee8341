"""A fast platform in a process of its own: a token endpoint and rosters in pages that are built beforehand.

Its cost is nobody's here: it only has to be quicker than whoever reads. It prints its address and serves
until it is ended.
"""

import argparse
import asyncio
import json
import random
import uuid

MEDIA_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
VOCABULARY = "http://purl.imsglobal.org/vocab/lis/v2/"
LEARNER = [f"{VOCABULARY}membership#Learner"]
STUDENT = [*LEARNER, f"{VOCABULARY}institution/person#Student"]
TEACHER = [f"{VOCABULARY}membership#Instructor"]
ASSISTANT = [*TEACHER, f"{VOCABULARY}membership/Instructor#TeachingAssistant"]
TAUGHT_BY = 20  # of so many members one teaches or assists
GIVEN = ("Ada", "Björn", "Chiamaka", "Dmitri", "Elif", "Fatima", "Guillermo", "Hanako", "Ines", "Jürgen")
FAMILY = ("Lovelace", "Okonkwo", "Nakamura", "García Márquez", "Yılmaz", "Petrov", "Schmidt", "van den Berg")


def member(number: int, source: random.Random) -> bytes:
    """One member as a platform sends it: all fields of the standard, about 390 bytes."""
    given, family = source.choice(GIVEN), source.choice(FAMILY)
    user_id = str(uuid.UUID(int=source.getrandbits(128)))
    if number % TAUGHT_BY == 0:
        roles = TEACHER if source.random() < 0.7 else ASSISTANT
    else:
        roles = LEARNER if source.random() < 0.7 else STUDENT
    sent = {
        "status": "Active" if source.random() < 0.97 else "Inactive",
        "name": f"{given} {family}",
        "given_name": given,
        "family_name": family,
        "email": f"member{source.randrange(10**7):07}@students.university.example",
        "picture": f"https://lms.university.example/images/thumbnails/{source.randrange(10**8)}",
        "user_id": user_id,
        "lis_person_sourcedid": f"SIS-{source.randrange(10**8):08}",
        "roles": roles,
    }
    return json.dumps(sent, separators=(",", ":"), ensure_ascii=False).encode()


def roster(course: int, members: int, page_size: int, base: str) -> list[bytes]:
    """The whole responses of one course, page by page, each with a link to the next (NRPS §2.4.2)."""
    source = random.Random(course)
    path = f"/courses/{course}/members"
    context = {"id": f"course-{course}", "label": f"C {course}", "title": f"Course {course}"}
    opening = json.dumps({"id": base + path, "context": context})[:-1].encode()
    people = [member(number, source) for number in range(members)]
    parts = [people[start : start + page_size] for start in range(0, members, page_size)] or [[]]
    return [
        response(
            opening + b',"members":[' + b",".join(part) + b"]}",
            MEDIA_TYPE,
            f'<{base}{path}?page={number + 1}>; rel="next"' if number < len(parts) else None,
        )
        for number, part in enumerate(parts, 1)
    ]


def response(body: bytes, media_type: str, link: str | None = None, status: str = "200 OK") -> bytes:
    """A whole HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    if link is not None:
        lines.append(f"Link: {link}")
    return "\r\n".join([*lines, "", ""]).encode() + body


TOKEN = response(
    json.dumps(
        {"access_token": uuid.uuid4().hex, "token_type": "Bearer", "expires_in": 3600, "scope": SCOPE}
    ).encode(),
    "application/json",
)
NOTHING = response(b"", "text/plain", status="404 Not Found")


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests are answered whole, in order."""

    def __init__(self, pages: dict[bytes, bytes]) -> None:
        """Serve *pages* by their request target."""
        self._pages = pages
        self._waiting = b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is here whole."""
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = self._waiting[:end]
            size = end + 4 + _length(head)
            if len(self._waiting) < size:
                return
            self._waiting = self._waiting[size:]
            method, target, _ = head.split(b" ", 2)
            answer = TOKEN if method == b"POST" else self._pages.get(target, NOTHING)
            self._transport.write(answer)  # type: ignore[union-attr]


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def serve(courses: int, members: int, page_size: int) -> None:
    """Build every page, tell the address, serve for ever."""
    pages: dict[bytes, bytes] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pages), "127.0.0.1", 0)
    base = "http://{}:{}".format(*server.sockets[0].getsockname())
    for course in range(courses):
        for number, page in enumerate(roster(course, members, page_size, base), 1):
            query = f"?page={number}" if number > 1 else ""
            pages[f"/courses/{course}/members{query}".encode()] = page
    print(base, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--courses", type=int, default=2_000)
    parser.add_argument("--members", type=int, default=40)
    parser.add_argument("--page-size", type=int, default=100)
    arguments = parser.parse_args()
    asyncio.run(serve(arguments.courses, arguments.members, arguments.page_size))
