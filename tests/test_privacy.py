"""What may stay of a member: pseudonyms, known words, nothing else; and when a run may go on (design §7)."""

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lti_rosters.errors import ConfigurationError
from lti_rosters.privacy.agreement import Held, SuppressionKey, check_agreement
from lti_rosters.privacy.door import guarded, is_harmless
from lti_rosters.privacy.protector import Mac, Protector, key_check
from lti_rosters.providers.container import Member, Page, Sheet, read_container
from lti_rosters.rosters.fingerprint import row_hash
from lti_rosters.settings.identity import Identity

SECRET = "0123456789abcdef0123456789abcdef"
MASKED = Identity("pseudonymize", "k1", SECRET)
DROPPED = Identity("drop")
ASKED = "https://lms.example/c/1/memberships?rlid=7"
NEEDLE = "Xanthippe"
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"

texts = st.text(max_size=6).map(lambda text: f"{text}{NEEDLE}{text}")
values = st.recursive(
    texts | st.integers() | st.none() | st.booleans(), lambda each: st.lists(each, max_size=3)
)
values |= st.dictionaries(texts, values, max_size=3)
FREE = ("name", "given_name", "family_name", "middle_name", "email", "picture", "lis_person_sourcedid")
free = dict.fromkeys((*FREE, "lti11_legacy_user_id", "status", "message", "group"), texts | values)


def digest(registration: str, field: str, value: str, secret: str = SECRET) -> str:
    """The pseudonym as the contract writes it down."""
    return hmac.new(secret.encode(), f"{registration}\x1f{field}\x1f{value}".encode(), "sha256").hexdigest()


def read(*entries: Any) -> list[Member]:
    """Members as a platform sends them."""
    return read_container({"context": {"id": "c"}, "members": list(entries)}).members


@given(st.text(), st.text(min_size=1, max_size=200), st.text())
def test_a_pseudonym_is_the_hmac_of_the_contract(registration: str, secret: str, value: str) -> None:
    """HMAC-SHA-256 over registration, 0x1F, field name, 0x1F and value, whatever the key's length."""
    registration, value = (text.encode("utf-8", "ignore").decode() for text in (registration, value))
    secret = secret.encode("utf-8", "ignore").decode()

    assert Mac(secret).of(registration, "user_id")(value) == digest(registration, "user_id", value, secret)


def test_identifiers_become_pseudonyms_and_the_rest_goes() -> None:
    """Each identifier under its own field name; names, mail, pictures, extra and message are gone."""
    fields = {name: f"{NEEDLE} {name}" for name in (*FREE, "lti11_legacy_user_id", "group", "message")}
    (member,) = Protector(MASKED, "canvas").members(read({"user_id": "7", "roles": ["Learner"], **fields}))

    kept = {name: value for name, value in member._asdict().items() if value is not None}
    assert kept == {
        "user_id": digest("canvas", "user_id", "7"),
        "status": "Active",
        "roles": ("Learner",),
        "lis_person_sourcedid": digest("canvas", "lis_person_sourcedid", f"{NEEDLE} lis_person_sourcedid"),
        "lti11_legacy_user_id": digest("canvas", "lti11_legacy_user_id", f"{NEEDLE} lti11_legacy_user_id"),
    }


def test_drop_keeps_the_user_id_alone() -> None:
    """And status and roles, as far as the standard knows them."""
    fields = dict.fromkeys((*FREE, "lti11_legacy_user_id", "group", "message"), NEEDLE)
    (member,) = Protector(DROPPED, "canvas").members(read({"user_id": "7", "roles": ["Learner"], **fields}))

    kept = {name: value for name, value in member._asdict().items() if value is not None}
    assert kept == {"user_id": "7", "status": "Active", "roles": ("Learner",)}


def test_pseudonyms_differ_by_registration_field_and_secret() -> None:
    """The same id is somebody else elsewhere."""
    one = Protector(MASKED, "canvas")
    other_secret = Protector(Identity("pseudonymize", "k1", SECRET[::-1]), "canvas")

    same = {one.pseudonym("7"), Protector(MASKED, "moodle").pseudonym("7"), other_secret.pseudonym("7")}
    same |= {
        one.identifier("lis_person_sourcedid", "7"),
        one.person_mac("7"),
        one.person_mac(one.pseudonym("7")),
    }

    assert len(same) == 6


@pytest.mark.parametrize("identity", [MASKED, DROPPED])
def test_words_that_the_standard_does_not_know_go(identity: Identity) -> None:
    """A status or role that may be free text becomes one word; known ones in any spelling stay."""
    roles = [f"Tutor of {NEEDLE}", f"urn:x:{NEEDLE}", "learner ", "urn:x:other"]
    entry = {"user_id": "7", "status": f"left, says {NEEDLE}", "roles": roles}
    (member,) = Protector(identity, "canvas").members(read(entry))

    assert (member.status, member.roles) == ("Unknown", ("unknown", "learner"))


@pytest.mark.parametrize("identity", [MASKED, DROPPED])
@given(
    user_id=texts, fields=st.fixed_dictionaries({}, optional=free), roles=st.lists(texts | st.just(LEARNER))
)
def test_nothing_free_stays(
    identity: Identity, user_id: str, fields: dict[str, Any], roles: list[str]
) -> None:
    """Whatever stands in a member's free fields, no letter of it is left, nor does it reach the row's hash."""
    members = read({"user_id": user_id, "roles": roles, **fields})
    (kept,) = Protector(identity, "canvas").members(members)
    (bare,) = Protector(identity, "canvas").members(read({"user_id": user_id, "roles": roles}))

    shown = json.dumps(kept._replace(user_id="") if identity is DROPPED else kept)
    assert NEEDLE not in shown
    ids = {"lis_person_sourcedid": None, "lti11_legacy_user_id": None, "status": "Active"}
    assert row_hash(kept._replace(**ids)) == row_hash(bare)


def test_keep_leaves_members_as_they_are() -> None:
    """Without people erased, `keep` costs nothing: the provider's own pages go on."""

    def pages(entry: Any) -> Any:
        raise NotImplementedError

    assert guarded(pages, Protector(Identity(), "canvas")) is pages


class Entry:
    """A catalogue entry, as far as the door looks at it."""

    memberships_url = ASKED


def through(identity: Identity, *members: Member, suppressed: tuple[str, ...] = (), link: str = "") -> Sheet:
    """A page that passed the door."""
    page = Page("c", None, None, (), list(members), malformed=0, empty_body=False)
    door = guarded(
        lambda _: iter([Sheet(page, None, link or None)]), Protector(identity, "canvas", suppressed)
    )
    (sheet,) = door(Entry())
    return sheet


@pytest.mark.parametrize("identity", [Identity("keep", "k1", SECRET), Identity("drop", "k1", SECRET), MASKED])
def test_people_who_were_erased_do_not_pass(identity: Identity) -> None:
    """In every mode, by the MAC of the original id alone."""
    protector = Protector(identity, "canvas")
    mac = protector.person_mac(protector.pseudonym("7"))
    seven, eight = read({"user_id": "7", "roles": []}, {"user_id": "8", "roles": []})

    sheet = through(identity, seven, eight, suppressed=(mac,))

    assert [each.user_id for each in sheet.page.members] == [protector.member(eight).user_id]


def test_suppressions_without_a_secret_let_nobody_pass() -> None:
    """What cannot be told apart is not let through."""
    with pytest.raises(ConfigurationError, match="identity_secret"):
        through(Identity(), *read({"user_id": "7", "roles": []}), suppressed=("0" * 64,))


@pytest.mark.parametrize(
    ("link", "stays"),
    [
        (f"{ASKED}&since=1700000000", True),
        (f"{ASKED}&since=1700000000000&limit=100", True),
        (f"{ASKED}&timestamp=2026-11-20T10:00:00Z", True),
        (f"{ASKED}&since=ada.lovelace", False),
        (f"{ASKED}&after=1700000000", False),
        (f"{ASKED}&cursor=YWRhLmxvdmVsYWNl", False),
        (f"{ASKED}&limit=19840712001", False),
        ("https://lms.example/c/1/memberships/ada?since=1700000000", False),
        ("https://lms.example/c/1/memberships?rlid=ada&since=1700000000", False),
        (f"{ASKED}&since=1700000000#ada", False),
    ],
)
def test_differences_links_that_may_hold_an_id_go(link: str, stays: bool) -> None:
    """A link may add a time and an amount to the address asked; in `keep` it stays as it is."""
    assert is_harmless(link, ASKED) is stays
    assert through(MASKED, link=link).differences_url == (link if stays else None)
    assert through(DROPPED, link=link).differences_url == (link if stays else None)
    kept = Identity("keep", "k1", SECRET)
    assert through(kept, link=link, suppressed=("0" * 64,)).differences_url == link


CHECK = key_check(MASKED)
GOOD = Held("canvas", "pseudonymize", "k1", CHECK)


@pytest.mark.parametrize(
    ("identity", "held", "told"),
    [
        (Identity(), Held("canvas", None, None, None), None),
        (MASKED, GOOD, None),
        (DROPPED, Held("canvas", "drop", None, None), None),
        (MASKED, Held("canvas", None, None, None), "lti-rosters identity apply"),
        (MASKED, Held("canvas", "keep", None, None), "lti-rosters identity apply"),
        (DROPPED, Held("canvas", "keep", None, None), "lti-rosters identity apply"),
        (MASKED, Held("canvas", "drop", None, None), "lti-rosters identity apply"),
        (Identity(), GOOD, "no way back"),
        (DROPPED, GOOD, "no way back"),
        (Identity(), Held("canvas", "drop", None, None), "no way back"),
        (MASKED, GOOD._replace(key_id="k0"), "made with the key k0"),
        (MASKED, GOOD._replace(key_check="0" * 16), "another secret under that id"),
    ],
)
def test_a_run_that_does_not_agree_stops(identity: Identity, held: Held, told: str | None) -> None:
    """Another mode or another key: exit 4, and the way to go on, or that there is none."""
    if told is None:
        check_agreement(identity, [held], [])
        return
    with pytest.raises(ConfigurationError, match=told) as caught:
        check_agreement(identity, [held], [])
    assert caught.value.exit_status == 4
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("identity", "agrees"),
    [
        (Identity("keep", "k1", SECRET), True),
        (Identity(), False),
        (Identity("keep", "k2", SECRET), False),
        (Identity("keep", "k1", SECRET[::-1]), False),
    ],
)
def test_suppressions_need_their_key(identity: Identity, agrees: bool) -> None:
    """Without the key that they were made with, people who were erased would come back."""
    keys = [SuppressionKey("canvas", "k1", CHECK)]
    if agrees:
        check_agreement(identity, [], keys)
        return
    with pytest.raises(ConfigurationError, match="come back"):
        check_agreement(identity, [], keys)


def test_the_key_check_tells_nothing_but_the_key() -> None:
    """It is no pseudonym of anybody, and short."""
    assert len(CHECK or "") == 16
    assert key_check(Identity()) is None
