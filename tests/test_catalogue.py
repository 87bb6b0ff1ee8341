"""Catalogues: every form, every bad row told and the good ones kept."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lti_rosters.catalogue.catalogue import Catalogue, ContextEntry, check_catalogue, read_catalogue
from lti_rosters.catalogue.entries import Sender
from lti_rosters.errors import ConfigurationError

A = "https://lms.example/courses/a/names_and_roles"
B = "https://lms.example/courses/b/names_and_roles?placement_id=2"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
CONTEXT = "https://purl.imsglobal.org/spec/lti/claim/context"
DEPLOYMENT = "https://purl.imsglobal.org/spec/lti/claim/deployment_id"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln"
LINK = "https://purl.imsglobal.org/spec/lti/claim/resource_link"
WHERE = 'registration "canvas"'
KEYS = (
    "SVC-0123456789abcdefSECRET",
    "0123456789ABCDEF",
    "abcdefghijklmnopqrstuvwxyz",
    "SERV.kl3.Mn4Op5",
    "aB3+/x9Yz0Kq/Tr4w==",
    "host=db password=hunter",
    "postgresql://reader:hunter@db.example/tool",
    "reader:hunter@db.example",
)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are taken from a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def read(setting: Any, provider: str = "nrps") -> Catalogue:
    """Read a catalogue of the registration "canvas"."""
    return read_catalogue(setting, where=WHERE, provider=provider)


def urls(setting: Any) -> list[str | None]:
    """Return the URLs of a catalogue that has no faults."""
    catalogue = read(setting)
    assert catalogue.faults == []
    return [each.memberships_url for each in catalogue.entries]


def written(name: str, text: str | bytes) -> str:
    """Write a file and return its name."""
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def launch(url: str | None = A, context: str = "c1", link: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the claims of a launch."""
    claims: dict[str, Any] = {CONTEXT: {"id": context, "label": "L", "title": "T"}, **more}
    if url is not None:
        claims[NRPS] = {"context_memberships_url": url, "service_versions": ["2.0"]}
    if link is not None:
        claims[LINK] = {"id": link}
    return claims


# Lists, tables, iterables


@pytest.mark.parametrize(
    "setting",
    [
        [A, B],
        (A, B),
        iter([A, B]),
        {A: 1, B: 2}.keys(),
        lambda: [A, B],
        lambda: iter([A, B]),
        lambda: lambda: [A, B],
        json.dumps([A, B]),
        f" {A}\n{B} ",
        [{"memberships_url": A}, {"memberships_url": B}],
        [{"context_memberships_url": A}, ContextEntry(memberships_url=B)],
        json.dumps([{"memberships_url": A}, B]),
    ],
)
def test_lists(setting: Any) -> None:
    """URLs and tables come as a list, an iterable, a function or JSON text."""
    assert urls(setting) == [A, B]


@pytest.mark.parametrize(
    "setting",
    [A, {"memberships_url": A}, ContextEntry(memberships_url=A), launch(), json.dumps(launch())],
)
def test_single_context(setting: Any) -> None:
    """One URL, table, entry or launch is a catalogue of one."""
    assert urls(setting) == [A]


@pytest.mark.parametrize("setting", [[], (), iter([]), list, "[]"])
def test_empty_catalogue(setting: Any) -> None:
    """A catalogue without contexts is legal, and whole."""
    catalogue = read(setting)

    assert catalogue == Catalogue()
    assert catalogue.is_whole


def test_table_in_full() -> None:
    """Every column of a table is read, ids as text."""
    row = {
        "memberships_url": A,
        "context_id": 7,
        "label": " L ",
        "title": "",
        "resource_link_id": 8.0,
        "x": [],
    }

    entry = read([row]).entries[0]

    assert entry == ContextEntry(
        memberships_url=A, context_id="7", label="L", resource_link_id="8", where="contexts, entry 1"
    )


def test_ids_keep_their_case_and_zeros() -> None:
    """An id is text: its case and leading zeros stay."""
    catalogue = read(written("c.csv", f"memberships_url,context_id\n{A},007\n{B},aB\n"))

    assert [each.context_id for each in catalogue.entries] == ["007", "aB"]


def test_not_a_number_is_none() -> None:
    """The gaps of a data frame are no ids."""
    assert read([{"memberships_url": A, "context_id": float("nan")}]).entries[0].context_id is None


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"memberships_url": ""}, "memberships_url is missing"),
        ({"memberships_url": None, "context_id": "7"}, "memberships_url is missing"),
        ({}, "memberships_url is missing"),
        ({"memberships_url": A, "context_id": True}, "context_id is true or false"),
        ({"memberships_url": A, "context_id": 1.5}, "context_id is float"),
        ({"memberships_url": [A]}, "memberships_url is a list"),
        ("http://lms.example/x", "without TLS"),
        ("/courses/1", "not an absolute URL"),
        ("https://lms.example/a b", "white space"),
        (7, "not int"),
        (None, "not NoneType"),
        ([A], "not a list"),
        (ContextEntry(memberships_url="http://lms.example/x"), "without TLS"),
        (launch("http://lms.example/x"), "without TLS"),
        (launch(context={"a": 1}), "the context's id is a table"),  # type: ignore[arg-type]
    ],
)
def test_bad_rows(row: Any, why: str) -> None:
    """A bad row is told with its place, the others are kept, and the catalogue is not whole."""
    catalogue = read([A, row, B])

    assert [each.memberships_url for each in catalogue.entries] == [A, B]
    assert len(catalogue.faults) == 1
    assert catalogue.faults[0].startswith("contexts, entry 2: ")
    assert why in catalogue.faults[0]
    assert not catalogue.is_whole


def test_loopback_needs_no_tls() -> None:
    """A platform on this machine may be asked without TLS."""
    assert urls(["http://127.0.0.1:8000/x"]) == ["http://127.0.0.1:8000/x"]


def test_secrets_of_rows_are_not_told() -> None:
    """Neither a fault nor an entry's text shows the secret of a URL."""
    catalogue = read(["http://lms.example/x?access_token=hunter2", A + "?access_token=hunter2"])

    assert "hunter2" not in str(catalogue.faults)
    assert "hunter2" not in repr(catalogue.entries)


def test_doubles() -> None:
    """The same URL and link twice is one context; the first row wins."""
    rows = [{"memberships_url": A, "title": title} for title in ("first", "second")]

    catalogue = read([*rows, {"memberships_url": A, "resource_link_id": "1"}, A])

    assert [(each.title, each.resource_link_id) for each in catalogue.entries] == [
        ("first", None),
        (None, "1"),
    ]
    assert catalogue.doubles == 2
    assert catalogue.is_whole


def test_iterable_that_breaks_off() -> None:
    """An iterable that fails is no catalogue: half of one would delist the other half."""

    def broken() -> Iterator[str]:
        yield A
        raise OSError("password=hunter2")

    with pytest.raises(ConfigurationError, match="broke off after entry 1: OSError") as caught:
        read(broken())

    assert "hunter2" not in str(caught.value)
    assert caught.value.where == WHERE


def test_function_that_fails() -> None:
    """A function that fails is a fault of the registration."""

    def failing() -> list[str]:
        raise RuntimeError("hunter2")

    with pytest.raises(ConfigurationError, match="function failed: RuntimeError"):
        read(failing)


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (7, "cannot be made of int"),
        (b"https://x", "cannot be made of bytes"),
        ("", "empty text"),
        ({"course": 1}, "a table with course"),
        ({}, "a table with none"),
        ("{ no json", "not JSON"),
        ("[ no json", "not JSON"),
        ({"query": " ", "url": ":memory:"}, "needs its text"),
        ('{"query": "select 1"}', "needs the url"),
        ({"query": "select 1", "url": ":memory:", "password": "x"}, "has no password"),
        ("courses.xlsx", "Excel"),
        ("courses.csv", r"no file courses\.csv"),
        ("x" * 5000, "cannot be the name"),
        ("x\x00y", "cannot be the name|There is no file"),
        (".", "is a directory"),
    ],
)
def test_no_catalogue(setting: Any, why: str) -> None:
    """What is no catalogue is told, with the registration and what would be one."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        read(setting)

    assert caught.value.where == WHERE


# CSV


@pytest.mark.parametrize(
    "text",
    [
        f"memberships_url,title\n{A},x\n{B},y\n",
        f"title;memberships_url\nx;{A}\ny;{B}",
        f"memberships_url\ttitle\r\n{A}\tx\r\n\r\n{B}\ty\r\n",
        f"\ufeffmemberships_url\n{A}\n{B}\n",
        f"\n\n Memberships_URL ,other\n{A},\n , \n{B},z\n",
        f'"memberships_url","title"\n"{A}","a, b"\n"{B}","say ""hi"""\n',
        f"context_memberships_url\n{A}\n{B}\n",
        f"memberships_url,title\n{A}\n{B},y,,\n",
        f'memberships_url,title\n{A},"two\nlines"\n{B},\n',
        f"memberships_url\r{A}\r{B}\r",
        f"memberships_url,title\n{A},a\u2028b\x85c\x0cd\n{B},y",
    ],
)
def test_csv(text: str) -> None:
    """Delimiter, quotes, order of columns, line ends, byte-order mark and blank lines don't matter."""
    assert urls(written("courses.csv", text)) == [A, B]


def test_csv_tells_the_line() -> None:
    """A bad row is told with file and line, as an editor counts them."""
    name = written("courses.csv", f'memberships_url,title\n{A},"two\nlines"\n\nhttp://x.example/,\n{B},\n')

    catalogue = read(name)

    assert [each.where for each in catalogue.entries] == ["courses.csv, line 2", "courses.csv, line 6"]
    assert [fault.partition(":")[0] for fault in catalogue.faults] == ["courses.csv, line 5"]


def test_csv_row_with_too_many_cells() -> None:
    """A comma without quotes shifts cells: the row is refused, a URL is never cut short."""
    catalogue = read(written("c.csv", f"title,memberships_url\nx,https://lms.example/a,b\ny,{B}\n"))

    assert [each.memberships_url for each in catalogue.entries] == [B]
    assert "3 cells" in catalogue.faults[0]


def test_csv_quote_without_end() -> None:
    """A quote that is never closed swallows rows: the catalogue is not whole."""
    catalogue = read(written("c.csv", f'memberships_url,title\n{A},x\n{B},"y\n{A}1,z\n'))

    assert [each.memberships_url for each in catalogue.entries] == [A]
    assert "quote" in catalogue.faults[0]
    assert not catalogue.is_whole


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "columns none; memberships_url is needed"),
        ("course_id,title\n1,x\n", "columns course_id, title; memberships_url is needed"),
        (f"{A}\n{B}\n", r"columns \(not shown\); memberships_url is needed"),
        ("memberships_url,context_memberships_url\n", "one column twice"),
        ("context_id,service_key\n1,x\n", "memberships_url is needed"),
        (b"memberships_url,title\nhttps://x.example/,caf\xe9\n", r"not UTF-8 \(line 2\)"),
        ("memberships_url\n".encode("utf-16"), "not UTF-8"),
    ],
)
def test_csv_that_is_none(text: str | bytes, why: str) -> None:
    """A file without a usable header is told, with the columns that it has and needs."""
    with pytest.raises(ConfigurationError, match=why):
        read(written("courses.csv", text))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read by anybody")
def test_file_that_cannot_be_read() -> None:
    """A file that is there and cannot be read is told."""
    with pytest.raises(ConfigurationError, match="cannot be read: OSError"):
        read("/proc/self/mem")


def test_csv_of_ltiaas() -> None:
    """LTIAAS's contexts are found by a service key or an ltik."""
    name = written("a.csv", "context_id,service_key,ltik\n1,sk,\n2,,lt\n3,,\n")

    catalogue = read(name, "ltiaas")

    assert [(each.context_id, each.service_key, each.ltik) for each in catalogue.entries] == [
        ("1", "sk", None),
        ("2", None, "lt"),
    ]
    assert catalogue.faults == ["a.csv, line 4: service_key or ltik or memberships_url is missing."]
    assert "sk" not in repr(catalogue.entries[0])


def test_file_without_suffix() -> None:
    """A file's form is told from its text when its name doesn't tell."""
    assert urls(written("courses", f"memberships_url\n{A}\n")) == [A]
    assert urls(written("launches.txt", json.dumps(launch()))) == [A]


def test_path_object(tmp_path: Path) -> None:
    """A path may be a Path."""
    written("c.csv", f"memberships_url\n{A}\n")

    assert urls(tmp_path / "c.csv") == [A]


# JSON


@pytest.mark.parametrize(
    "text",
    [
        f'{{"memberships_url": "{A}"}}\n\n{{"memberships_url": "{B}", "title": "a\\u2028b"}}\n',
        f'"{A}"\r\n"{B}"\r\n',
        f'\ufeff["{A}",\n{{"memberships_url": "{B}"}}]',
        json.dumps(launch(A)) + "\n" + json.dumps(launch(B, "c2")),
    ],
)
def test_jsonl(text: str) -> None:
    """JSON comes a row a line, or as one array."""
    assert urls(written("courses.jsonl", text)) == [A, B]


def test_jsonl_tells_the_line() -> None:
    """A line that is not JSON is told by its number, its text is not."""
    name = written("c.jsonl", f'"{A}"\n\n{{"ltik": "hunter2"\n{"[" * 100_000}\n7\n"{B}"\n')

    catalogue = read(name)

    assert [each.where for each in catalogue.entries] == ["c.jsonl, line 1", "c.jsonl, line 6"]
    assert [fault.partition(":")[0] for fault in catalogue.faults] == [
        f"c.jsonl, line {n}" for n in (3, 4, 5)
    ]
    assert "hunter2" not in str(catalogue.faults)


# Launch claims


def test_launch() -> None:
    """The claims of a launch tell the URL, the context and the link."""
    name = written("launches.jsonl", json.dumps(launch(link="l1", iat=1)))

    assert read(name).entries == [
        ContextEntry(
            memberships_url=A,
            context_id="c1",
            label="L",
            title="T",
            resource_link_id="l1",
            where="launches.jsonl, line 1",
        )
    ]


TOOL = Sender("https://lms.example", ("10",), "d1")


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://lms.example/", "aud": "10", DEPLOYMENT: "d1"}, None),
        ({"iss": "https://lms.example", "aud": ["9", "10"]}, None),
        ({"iss": 7, "aud": None, DEPLOYMENT: {}}, None),
        ({"aud": 10, DEPLOYMENT: "d1"}, None),
        ({"iss": "https://other.example"}, "another platform"),
        ({"aud": ["9"]}, "another client_id"),
        ({DEPLOYMENT: "d2"}, "another deployment_id"),
    ],
)
def test_launch_of_another_registration(claims: dict[str, Any], why: str | None) -> None:
    """Its URL must not get this registration's token: a fault with its line, and the rest is kept."""
    catalogue = read_catalogue([launch(A, **claims), launch(B, "c2")], where=WHERE, tool=TOOL)

    assert [each.context_id for each in catalogue.entries] == (["c2"] if why else ["c1", "c2"])
    assert [fault.partition(":")[0] for fault in catalogue.faults] == (["contexts, entry 1"] if why else [])
    assert (why or "") in "".join(catalogue.faults)


def test_launches_of_two_deployments() -> None:
    """A context's id is unique within a deployment: two of one id stay two (LTI Core §5.4.1)."""
    assert urls([launch(A, **{DEPLOYMENT: "1"}, iat=2), launch(B, **{DEPLOYMENT: 2}, iat=1)]) == [A, B]


@pytest.mark.parametrize("iat", [10**400, float("nan"), float("inf"), "5", None, True, [1]])
def test_launch_at_no_time(iat: Any) -> None:
    """A time that is none counts as the oldest, and ends nothing."""
    assert urls([launch(B, iat=iat), launch(A, iat=1), launch(B, iat=iat)]) == [A]


@pytest.mark.parametrize(
    "setting",
    [[JWT], json.dumps([JWT]), [{"id_token": JWT}], lambda: iter([{"context_id": "7", "jwt": JWT}])],
)
def test_signed_token(setting: Any) -> None:
    """Nobody here can verify a signature: the tool has to write the claims that it did; the token is not told."""
    catalogue = read(setting)

    assert "signed token" in catalogue.faults[0]
    assert "eyJ" not in catalogue.faults[0]


def test_signed_token_as_a_file() -> None:
    """A token in place of a file's name is not told."""
    with pytest.raises(ConfigurationError, match="not shown") as caught:
        read(JWT)

    assert "eyJ" not in str(caught.value)


@pytest.mark.parametrize("form", ["csv", "ids", "parquet", "name", "table"])
@pytest.mark.parametrize("provider", ["nrps", "ltiaas"])
@pytest.mark.parametrize("key", KEYS)
def test_a_key_in_place_of_a_name_is_not_told(key: str, provider: str, form: str) -> None:
    """Where a column's or a file's name is due stands a key: whatever is told of it, not its text."""
    forms: dict[str, Any] = {
        "csv": lambda: written("keys.csv", f"c1,{key}\nc2,{key}\n"),
        "ids": lambda: {"template": f"{A}/{{course}}", "ids": written("ids.csv", f"x,{key}\n")},
        "parquet": lambda: pa.table({"title": ["T"], key: ["K"]}),
        "name": lambda: key,
        "table": lambda: {key: "c1", "course": "T"},
    }
    with pytest.raises(ConfigurationError, match="not shown") as caught:
        read(forms[form](), provider)

    told = str(caught.value).lower()
    assert key.lower()[:8] not in told
    assert form != "csv" or ("ltik" in told) == (provider == "ltiaas")


@pytest.mark.parametrize(
    "name",
    [
        "courses.csv",
        "lists/Autumn-2024_v2.csv",
        "/srv/lms2/kurse 2024.jsonl",
        "courses",
        "./lists/names_and_roles",
        "2024/10/courses",
        "0123456789abcdef.parquet",
    ],
)
def test_a_files_name_is_told(name: str) -> None:
    """What is called like a file is named where it is missing."""
    with pytest.raises(ConfigurationError) as caught:
        read(name)

    assert f"There is no file {name} (" in str(caught.value)


def test_token_that_is_no_launch() -> None:
    """An ID token of a plain login."""
    assert "not the claims of an LTI launch" in read([{"iss": "https://lms.example", "sub": "1"}]).faults[0]


def test_ids_as_databases_have_them() -> None:
    """UUIDs and whole decimals are ids in rows of an iterable too."""
    rows = [
        {"memberships_url": A, "context_id": UUID(int=7)},
        {"memberships_url": B, "context_id": Decimal("8.0")},
        {"memberships_url": A, "context_id": Decimal("NaN")},
    ]
    catalogue = read(rows)

    assert [each.context_id for each in catalogue.entries] == ["00000000-0000-0000-0000-000000000007", "8"]
    assert "context_id is Decimal" in catalogue.faults[0]


def test_what_no_warehouse_stores() -> None:
    """NUL and lone surrogates become U+FFFD (design §3)."""
    (entry,) = read([{"memberships_url": A, "context_id": "a\0b", "title": "\ud800"}]).entries

    assert (entry.context_id, entry.title) == ("a\ufffdb", "\ufffd")


def test_launches_are_read_line_by_line() -> None:
    """What is not UTF-8 is told by its line, however far down."""
    written("l.jsonl", b'"https://lms.example/a"\n\n"\xff"\n')

    with pytest.raises(ConfigurationError, match=r"l\.jsonl is not UTF-8 \(line 3\)"):
        read("l.jsonl")


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        (None, "no claim"),
        ([], "no claim"),
        ({"service_versions": ["2.0"]}, "no URL"),
        ({"context_memberships_url": "", "service_versions": ["2.0"]}, "no URL"),
        ({"context_memberships_url": A, "service_versions": ["1.0"]}, "version 2.0"),
        ({"context_memberships_url": A, "service_versions": []}, "version 2.0"),
    ],
)
def test_launch_without_service(claim: Any, why: str) -> None:
    """A launch without the service gives a context that is unavailable, not a bad row."""
    catalogue = read([{CONTEXT: {"id": "c1"}, NRPS: claim}])

    assert catalogue.is_whole
    assert catalogue.entries[0].memberships_url is None
    assert catalogue.entries[0].context_id == "c1"
    assert why in str(catalogue.entries[0].unavailable)


@pytest.mark.parametrize(
    "versions",
    [
        {"service_versions": ["1.0", "2.0"]},
        {"service_versions": "2.0"},
        {"service_version": "2.0"},
        {"service_versions": [2.0]},
        {},
    ],
)
def test_launch_with_version(versions: dict[str, Any]) -> None:
    """Version 2.0 among others is enough, and so is silence about versions (NRPS §3.6.1.1)."""
    assert urls([{NRPS: {"context_memberships_url": A, **versions}}]) == [A]


def test_newest_launch_wins() -> None:
    """Where launches of one context tell different URLs, the newest's is read (E98)."""
    rows = [launch(B, iat=20), launch(A, iat=10), launch(A, "c2", iat=10)]

    catalogue = read(rows)

    assert [(each.context_id, each.memberships_url) for each in catalogue.entries] == [("c1", B), ("c2", A)]
    assert catalogue.doubles == 1


def test_launch_without_service_beside_one_with_it() -> None:
    """A context whose service any launch tells of is available, at each of its links."""
    catalogue = read([launch(None, link="l1"), launch(A, link="l2")])

    assert [(each.memberships_url, each.unavailable) for each in catalogue.entries] == [(A, None), (A, None)]


def test_tables_are_not_changed_by_launches() -> None:
    """A table's own URL stays, whatever a launch of that context says."""
    assert urls([{"memberships_url": A, "context_id": "c1"}, launch(B)]) == [A, B]


def test_launches_without_context_stay_apart() -> None:
    """Launches that name neither service nor context are not taken for one."""
    assert len(read([{LINK: {"id": "1"}}, {LINK: {"id": "1"}}]).entries) == 2


# Templates

TEMPLATE = "https://lms.example/courses/{course_id}/names_and_roles"


@pytest.mark.parametrize(
    "ids",
    [
        [1, "a/b"],
        '[1, "a/b"]',
        "1,a/b",
        "ids.txt",
        "ids.csv",
        "one.csv",
        "header.txt",
        Path("ids.txt"),
        (1, "a/b"),
    ],
)
def test_template(ids: Any) -> None:
    """A URL for each id, from a list, a text or a file, the id percent-encoded (E101)."""
    written("ids.txt", "1\n\na/b\n")
    written("ids.csv", "name,Course_ID\nx,1\ny,a/b\n")
    written("one.csv", "id;name\n1;x\na/b;y\n")
    written("header.txt", "course_id\n1\na/b")

    assert urls({"template": TEMPLATE, "ids": ids}) == [
        "https://lms.example/courses/1/names_and_roles",
        "https://lms.example/courses/a%2Fb/names_and_roles",
    ]


def test_template_bad_id() -> None:
    """A bad id is told, the others are kept."""
    catalogue = read({"template": TEMPLATE, "ids": [1, True, "", None, 2]})

    assert len(catalogue.entries) == 2
    assert len(catalogue.faults) == 3


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"template": "https://lms.example/courses", "ids": []}, "one placeholder"),
        ({"template": "https://lms.example/{a}/{b}", "ids": []}, "one placeholder"),
        ({"template": TEMPLATE}, "and ids"),
        ({"ids": [1]}, "one placeholder"),
        ({"template": 7, "ids": []}, "one placeholder"),
        ({"template": TEMPLATE.replace("https", "http"), "ids": []}, "without TLS"),
        ({"template": TEMPLATE, "ids": 7}, "ids is a list"),
        ({"template": TEMPLATE, "ids": {"a": 1}}, "ids is a list"),
        ({"template": TEMPLATE, "ids": "missing.csv"}, "There is no file"),
    ],
)
def test_template_that_is_none(table: dict[str, Any], why: str) -> None:
    """A template without its placeholder or ids is told."""
    with pytest.raises(ConfigurationError, match=why):
        read(table)


def test_template_file_without_the_column() -> None:
    """A file of several columns needs one with the placeholder's name."""
    name = written("ids.csv", "name,size\nx,1\n")

    with pytest.raises(ConfigurationError, match="columns name, size; one called course_id"):
        read({"template": TEMPLATE, "ids": name})


# The check that reads no row


def test_check_reads_nothing() -> None:
    """The check of the settings neither calls a function nor begins an iterable."""
    rows = iter([A])

    check_catalogue(rows)
    check_catalogue(lambda: 1 / 0)

    assert list(rows) == [A]


@pytest.mark.parametrize(
    "setting", [7, "", "missing.csv", "x.parquet", {"query": "x"}, {"template": "x"}, "{", {"a": 1}]
)
def test_check_finds(setting: Any) -> None:
    """The check finds what can be known without reading."""
    with pytest.raises(ConfigurationError):
        check_catalogue(setting)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ROWS = JSON | st.fixed_dictionaries(
    {}, optional={NRPS: JSON, CONTEXT: JSON, LINK: JSON, "memberships_url": JSON}
)


@settings(deadline=None)  # other work on the machine shall not fail it
@given(st.lists(ROWS, max_size=4))
def test_any_rows(rows: list[Any]) -> None:
    """Whatever the rows are, each is an entry, a double or a fault."""
    catalogue = read(rows)

    assert len(rows) == len(catalogue.entries) + catalogue.doubles + len(catalogue.faults)


@settings(deadline=None)  # other work on the machine shall not fail it
@given(st.binary(max_size=80))
def test_any_file(octets: bytes) -> None:
    """Whatever a file holds, it is a catalogue or a ConfigurationError."""
    for name in ("any.csv", "any.jsonl", "any"):
        try:
            read(written(name, octets))
        except ConfigurationError:
            continue
