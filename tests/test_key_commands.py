"""`keys new`, `keys show`, `keys rotate` and `jwks`: key files, rotations that crash, published key sets."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from door import Recorder
from lti_rosters.cli.main import commands
from lti_rosters.errors import ConfigurationError
from lti_rosters.keys import rotation
from lti_rosters.keys.files import key_file, write_new
from lti_rosters.keys.jwks import PRIVATE, Remark, examine, key_set
from lti_rosters.keys.rotation import WAIT, next_file, old_file, read_ring
from lti_rosters.keys.signing import SigningKey, new_key, private_pem, public_jwk, public_pem
from lti_rosters.reference.server import Reply

PREFIX = "SOURCES__LTI_ROSTERS__"
JSON = "application/json"


@pytest.fixture(scope="module")
def next_key() -> SigningKey:
    """The key that follows, made once."""
    return new_key()


@pytest.fixture
def made(tool_key: SigningKey, next_key: SigningKey, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A key file; the next key is not made anew, which takes longer than all of a test."""
    monkeypatch.setattr(rotation, "new_key", lambda _: next_key)
    write_new(tmp_path / "tool.pem", private_pem(tool_key).encode())
    return tmp_path / "tool.pem"


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Call a command in the folder of the key file, with nothing of ours set but what is given."""

    def call(*arguments: str, **environment: str) -> Result:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(PREFIX)]:
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(PREFIX + name.upper(), value)
            patch.chdir(made.parent)
            Container()[PluggableRunContext].reload_providers()
            return CliRunner().invoke(commands, arguments, standalone_mode=False)

    yield call
    Container()[PluggableRunContext].reload_providers()


# Files


def test_a_new_key_is_its_owners_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, folders made, nothing else beside it."""
    before = os.umask(0)
    try:
        write_new(tmp_path / "a" / "b" / "tool.pem", b"text")
    finally:
        os.umask(before)

    file = tmp_path / "a" / "b" / "tool.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["tool.pem"]


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    """Nor a link, dangling or not; what is there stays as it is."""
    (tmp_path / "tool.pem").write_text("mine")
    (tmp_path / "link.pem").symlink_to(tmp_path / "nowhere.pem")

    for name in ("tool.pem", "link.pem"):
        with pytest.raises(ConfigurationError, match="never overwritten"):
            write_new(tmp_path / name, b"other")

    assert ((tmp_path / "tool.pem").read_text(), (tmp_path / "nowhere.pem").exists()) == ("mine", False)


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    """As what it is, not as a key that is there."""
    (tmp_path / "keys").write_text("")

    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_new(tmp_path / "keys" / "tool.pem", b"text")


def test_key_text_names_no_file(tool_key: SigningKey, made: Path) -> None:
    """The setting `private_key` is the key or its path."""
    assert key_file(private_pem(tool_key)) is None
    assert key_file(f' "{made}" ') == made


def test_keys_new_tells_what_comes_next(here: Callable[..., Result], made: Path) -> None:
    """Kid, path and the next steps; nothing of the private key; a second time it refuses."""
    done = here("keys", "new", "sub/new.pem", "--bits", "2048")
    again = here("keys", "new", "sub/new.pem")

    text = (made.parent / "sub" / "new.pem").read_text()
    assert read_ring(made.parent / "sub" / "new.pem").current.kid in done.output
    assert [line for line in text.splitlines() if line in done.output] == []
    assert ("sub/new.pem" in done.output, "lti-rosters check" in done.output) == (True, True)
    assert isinstance(again.exception, ConfigurationError)


def test_keys_show_tells_who_signs(here: Callable[..., Result], tool_key: SigningKey) -> None:
    """Kid, size, file, registrations; the public key alone where asked; never the private one."""
    used = {"private_key": "tool.pem", "registration_names": "canvas,moodle"}

    told = here("keys", "show", **used)
    pem = here("keys", "show", "tool.pem", "--pem")
    jwk = here("keys", "show", "tool.pem", "--jwk")

    assert f"kid {tool_key.kid}" in told.output
    assert "signs for canvas, moodle" in told.output
    assert (pem.output, json.loads(jwk.output)) == (public_pem(tool_key), public_jwk(tool_key))
    assert "PRIVATE" not in told.output + pem.output + jwk.output


# Rotation


def names(made: Path) -> set[str]:
    """The files beside the key file."""
    return {path.name for path in made.parent.iterdir()}


def test_a_rotation_goes_through_its_stages(made: Path, tool_key: SigningKey, next_key: SigningKey) -> None:
    """Both are published before the next key signs and after; the file names tell the stage."""
    published = rotation.publish(made)
    assert (published.stage, published.keys, names(made)) == (
        "published",
        (tool_key, next_key),
        {"tool.pem", "tool.next.pem"},
    )
    switched = rotation.switch(made, now=made.stat().st_mtime + 2 * WAIT)
    assert (switched.stage, switched.keys, names(made)) == (
        "switched",
        (next_key, tool_key),
        {"tool.pem", "tool.old.pem"},
    )
    retired = rotation.retire(made, is_urgent=True)
    assert (retired.stage, retired.keys, names(made)) == ("settled", (next_key,), {"tool.pem"})
    assert stat.S_IMODE(made.stat().st_mode) == 0o600


def test_each_step_has_its_stage_and_its_time(made: Path) -> None:
    """A step that is not due, or too early, changes nothing and says what is due, and when."""
    for step in (rotation.switch, rotation.retire, rotation.undo):
        with pytest.raises(ConfigurationError, match="is not due"):
            step(made)
    rotation.publish(made)
    with pytest.raises(ConfigurationError, match="is not due"):
        rotation.publish(made)
    with pytest.raises(ConfigurationError, match="too early") as caught:
        rotation.switch(made)

    assert "Wait until 20" in caught.value.remedy
    assert read_ring(made).stage == "published"


def test_each_step_can_be_undone(made: Path, tool_key: SigningKey, next_key: SigningKey) -> None:
    """Back to the old key, both still published; then the next one is taken away."""
    rotation.publish(made)
    rotation.switch(made, is_urgent=True)

    back = rotation.undo(made)
    assert (back.stage, back.keys) == ("published", (tool_key, next_key))
    assert rotation.undo(made).keys == (tool_key,)
    assert names(made) == {"tool.pem"}


def test_a_switch_that_crashed_is_finished_by_another(made: Path, next_key: SigningKey) -> None:
    """The copy of the old key was written, the next one not yet renamed: still published, and goes on."""
    rotation.publish(made)
    write_new(old_file(made), made.read_bytes())

    assert read_ring(made).stage == "published"
    assert rotation.switch(made, is_urgent=True).current == next_key


def test_an_undo_that_crashed_is_finished_by_another(made: Path, tool_key: SigningKey) -> None:
    """The next key's copy was written, the old one not yet renamed: still switched, and goes back."""
    rotation.publish(made)
    rotation.switch(made, is_urgent=True)
    write_new(next_file(made), made.read_bytes())

    assert read_ring(made).stage == "switched"
    assert rotation.undo(made).current == tool_key


def test_two_rotations_at_once_are_refused(made: Path) -> None:
    """A third key beside two others is no state that a step leaves."""
    rotation.publish(made)
    write_new(old_file(made), private_pem(new_key()).encode())

    with pytest.raises(ConfigurationError, match="are both there"):
        read_ring(made)


def test_rotate_tells_the_stage_and_the_next_step(here: Callable[..., Result]) -> None:
    """Without an option it changes nothing; the file is found in the settings."""
    used = {"private_key": "tool.pem"}

    assert "Begin one: lti-rosters keys rotate --publish" in here("keys", "rotate", **used).output
    assert "keys rotate --switch" in here("keys", "rotate", "--publish", **used).output
    assert "keys rotate --retire" in here("keys", "rotate", "--switch", "--now", **used).output


def test_a_key_in_the_settings_themselves_is_not_renamed(
    here: Callable[..., Result], tool_key: SigningKey
) -> None:
    """It is told how to go over by hand."""
    done = here("keys", "rotate", "--publish", private_key=private_pem(tool_key))

    assert isinstance(done.exception, ConfigurationError)
    assert "jwks --with" in done.exception.remedy


def test_a_named_key_is_published_under_both_names_before_the_switch(
    here: Callable[..., Result], tool_key: SigningKey, next_key: SigningKey
) -> None:
    """With key_id the next key would sign under the old one's name: it has to go first."""
    used = {"private_key": "tool.pem", "key_id": "2026"}
    here("keys", "rotate", "--publish", **used)

    kids = [key["kid"] for key in json.loads(here("jwks", **used).output)["keys"]]
    done = here("keys", "rotate", "--switch", "--now", **used)

    assert sorted(kids) == sorted(["2026", tool_key.kid, next_key.kid])
    assert isinstance(done.exception, ConfigurationError)
    assert "Take key_id away first" in done.exception.remedy


def test_a_damaged_key_in_a_paths_place_is_not_repeated(here: Callable[..., Result]) -> None:
    """It may be a secret: no command shows it, as if it were the name of a file."""
    for command in (("jwks",), ("keys", "show"), ("keys", "rotate")):
        done = here(*command, private_key="s3cret-of-somebody")

        assert "s3cret" not in f"{done.output} {done.exception}"


# The key set


def test_jwks_holds_public_members_alone_in_a_stable_order(here: Callable[..., Result], made: Path) -> None:
    """Every key of the rotation, the one that signs first; the same text every time."""
    rotation.publish(made)

    first, second = here("jwks", "tool.pem"), here("jwks", "tool.pem")

    keys = json.loads(first.output)["keys"]
    assert (first.output, len(keys), keys[0]["kid"]) == (second.output, 2, read_ring(made).current.kid)
    assert [key for key in keys if PRIVATE & key.keys()] == []


def test_a_bad_key_of_one_registration_leaves_the_others(here: Callable[..., Result]) -> None:
    """What can be published is printed, the fault told, exit 3; with nothing to publish 4."""
    used = {"registration_names": "canvas,moodle", "registrations__canvas__private_key": "tool.pem"}

    some = here("jwks", **used, registrations__moodle__private_key="nokey.pem")
    none = here("jwks")

    assert (some.return_value, none.return_value) == (3, 4)
    assert len(json.loads(some.stdout)["keys"]) == 1
    assert "There is no file nokey.pem" in some.stderr


def judged(document: Any, key: SigningKey, media: str = JSON) -> list[Remark]:
    """What is said of a published *document*."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return examine(body, media, [key])


def test_our_own_key_set_is_good(tool_key: SigningKey) -> None:
    """Nothing is said of it; nor of padding, of which some libraries write too much."""
    padded = {**public_jwk(tool_key), "n": public_jwk(tool_key)["n"] + "=="}

    assert (judged(key_set([tool_key]), tool_key), judged({"keys": [padded]}, tool_key)) == ([], [])


@pytest.mark.parametrize("name", sorted(PRIVATE))
@pytest.mark.parametrize("place", ["the key", "beside", "deep"])
def test_a_private_member_is_found_anywhere(tool_key: SigningKey, name: str, place: str) -> None:
    """In our key, in another one, or in what is no key at all; its value is never repeated."""
    document: dict[str, Any] = key_set([tool_key])
    secret = {"kid": "k1", name: "c2VjcmV0"}
    if place == "the key":
        document["keys"][0][name] = "c2VjcmV0"
    elif place == "beside":
        document["keys"].append(secret)
    else:
        document["more"] = [[{"of": secret}]]

    first = judged(document, tool_key)[0]

    assert (first.is_fault, "PRIVATE" in first.what, "c2VjcmV0" in str(first)) == (True, True, False)


SPOILT: dict[str, tuple[Callable[[SigningKey, SigningKey], Any], str]] = {
    "nothing": (lambda _, __: b"", "answers nothing"),
    "a page": (lambda _, __: b"<html>", "an HTML page"),
    "no JSON": (lambda _, __: b"keys", "no JSON"),
    "deep": (lambda _, __: b"[" * 200_000, "no JSON"),
    "a list": (lambda ours, _: [public_jwk(ours)], 'no list "keys"'),
    "PEM": (lambda ours, _: private_pem(ours).encode(), "PRIVATE KEY"),
    "empty": (lambda _, __: {"keys": []}, "There: none"),
    "another kid": (lambda ours, _: key_set([ours.with_kid("x")]), "is not in it. There: x"),
    "another key": (lambda ours, other: key_set([other.with_kid(ours.kid)]), "another key stands under"),
    "twice": (
        lambda ours, other: {"keys": [public_jwk(ours), public_jwk(other.with_kid(ours.kid))]},
        "more than once",
    ),
    "alg": (lambda ours, _: {"keys": [{**public_jwk(ours), "alg": "RS512"}]}, 'another "alg"'),
    "use": (lambda ours, _: {"keys": [{**public_jwk(ours), "use": "enc"}]}, "not marked for signatures"),
    "number": (lambda ours, _: {"keys": [{**public_jwk(ours), "n": 5}]}, "another key stands under"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_with_a_key_set_is_said(name: str, tool_key: SigningKey, next_key: SigningKey) -> None:
    """As a fault."""
    make, says = SPOILT[name]

    faults = [remark.what for remark in judged(make(tool_key, next_key), tool_key) if remark.is_fault]

    assert any(says in what for what in faults), faults


@pytest.mark.parametrize(
    ("kid", "told", "remedy"),
    [
        ("old", "There: old.", "The same key is there as old: publish it anew, or set key_id to that."),
        (
            None,
            "There: one without a kid.",
            "The same key is there without a kid, where no platform finds it.",
        ),
        ("<b>", "There: one with an odd kid.", "The same key is there under another kid, where no platform"),
    ],
)
def test_the_same_key_under_another_name(tool_key: SigningKey, kid: Any, told: str, remedy: str) -> None:
    """Only a name that can be set is offered to be; else the key has to be published under its own."""
    published = {name: value for name, value in public_jwk(tool_key).items() if name != "kid"}
    if kid is not None:
        published["kid"] = kid

    fault, *_ = judged({"keys": [published]}, tool_key)

    assert fault.what.endswith(told)
    assert fault.remedy.startswith(remedy)
    assert ("set key_id" in fault.remedy) == (kid == "old")
    assert ("`lti-rosters jwks`" in fault.remedy) == (kid != "old")


def test_what_only_some_platforms_mind_is_no_fault(tool_key: SigningKey) -> None:
    """Another media type, a key without a kid, an entry that is no key."""
    document = {"keys": [public_jwk(tool_key), {"kty": "EC", "x": "AQ"}, "text"]}

    remarks = judged(document, tool_key, "text/plain")

    assert (len(remarks), any(remark.is_fault for remark in remarks)) == (3, False)


def test_verify_reads_as_a_platform_does(here: Callable[..., Result], tool_key: SigningKey) -> None:
    """Without a token; our kid and how long platforms keep it are told; a private key is exit 8."""
    headers = [("Content-Type", JSON), ("Cache-Control", "public, max-age=600")]
    good = Reply(200, headers, json.dumps(key_set([tool_key])).encode())
    leak = Reply(200, headers, json.dumps({"keys": [{**public_jwk(tool_key), "d": "c2VjcmV0"}]}).encode())
    with Recorder([good, leak, replace(good, status=404)]) as at:
        url = f"{at.origin}/jwks.json"
        fine = here("jwks", "tool.pem", "--verify", url)
        bad = here("jwks", "tool.pem", "--verify", url)
        gone = here("jwks", "tool.pem", "--verify", url)

    assert (fine.return_value, f"ours among them: {tool_key.kid}" in fine.output) == (0, True)
    assert "keep their copy for 600 s" in fine.output
    assert (bad.return_value, "PRIVATE members" in bad.output, "c2VjcmV0" in bad.output) == (8, True, False)
    assert "answers 404 instead of a JWKS" in str(gone.exception)
    assert [request.header("Authorization") for request in at.requests] == [None, None, None]


def test_verify_asks_nothing_without_tls(here: Callable[..., Result]) -> None:
    """http is for this machine alone."""
    done = here("jwks", "tool.pem", "--verify", "http://tool.example/jwks.json")

    assert isinstance(done.exception, ConfigurationError)
    assert "without TLS" in done.exception.what
