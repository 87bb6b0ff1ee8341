"""What a destination holds, and whether a run may go on with it: modes and keys are never mixed (design §7)."""

from collections.abc import Iterable
from typing import NamedTuple

from ..errors import ConfigurationError
from ..settings.identity import DROP, KEEP, PSEUDONYMIZE, Identity
from .protector import key_check

APPLY = "lti-rosters identity apply"
WAYS = frozenset(
    {(KEEP, PSEUDONYMIZE), (KEEP, DROP), (DROP, PSEUDONYMIZE)}
)  # what can be gone over, and never back


class Held(NamedTuple):
    """How the members of one registration are stored; *mode* is None where an older version did not say: `keep`."""

    registration: str
    mode: str | None
    key_id: str | None
    key_check: str | None

    @property
    def is_mode(self) -> str:
        """The mode, told or not."""
        return self.mode or KEEP


class SuppressionKey(NamedTuple):
    """A key under which people of a registration were erased."""

    registration: str
    key_id: str
    key_check: str | None


def check_agreement(identity: Identity, held: Iterable[Held], suppressions: Iterable[SuppressionKey]) -> None:
    """Raise ConfigurationError unless a run under *identity* may add to what is *held*."""
    held = sorted(held)
    check_way(identity, held)
    differing = [each.registration for each in held if each.is_mode != identity.mode]
    if differing:
        there = next(each.is_mode for each in held if each.registration == differing[0])
        raise _refused(
            f'the destination holds {_names(differing)} under identity = "{there}"; the settings say '
            f'"{identity.mode}".',
            f'To go over for good, what is there included, run: {APPLY}. Or set identity = "{there}" again.',
        )
    check_key(identity, held, suppressions)


def check_way(identity: Identity, held: Iterable[Held]) -> None:
    """Raise ConfigurationError where no way leads from what is *held* to *identity*: what is gone stays gone."""
    for each in held:
        if each.is_mode != identity.mode and (each.is_mode, identity.mode) not in WAYS:
            raise _refused(
                f'the destination holds {each.registration} under identity = "{each.is_mode}"; the settings say '
                f'"{identity.mode}", and there is no way back.',
                f'Set identity = "{each.is_mode}" again, or load into another database.',
            )


def check_key(identity: Identity, held: Iterable[Held], suppressions: Iterable[SuppressionKey]) -> None:
    """Raise ConfigurationError where the key is not the one that pseudonyms and suppressions were made with."""
    check = key_check(identity)
    for each in held:
        if each.is_mode == PSEUDONYMIZE == identity.mode and (each.key_id, each.key_check) != (
            identity.key_id,
            check,
        ):
            raise _refused(
                f"the pseudonyms of {each.registration} were made with the key {each.key_id}, the settings have "
                f"{_another(each.key_id, identity)}.",
                "Set that secret and identity_key_id again: nobody can turn pseudonyms of one key into those of "
                "another. To change the key, load into another database.",
            )
    for told in suppressions:
        if identity.secret is None or identity.key_id is None:
            raise _refused(
                f"people were erased from {told.registration}; without the key {told.key_id} they would come back.",
                "Set identity_secret and identity_key_id as they were when they were erased.",
            )
        if (told.key_id, told.key_check or check) != (identity.key_id, check):
            raise _refused(
                f"people were erased from {told.registration} under the key {told.key_id}, the settings have "
                f"{_another(told.key_id, identity)}: they would come back.",
                "Set that secret and identity_key_id again.",
            )


def _another(key_id: str | None, identity: Identity) -> str:
    return "another secret under that id" if key_id == identity.key_id else f"{identity.key_id}"


def _names(registrations: list[str]) -> str:
    shown = ", ".join(registrations[:3])
    more = len(registrations) - 3
    return f"{shown} and {more} more" if more > 0 else shown


def _refused(what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(what, where="identity", remedy=remedy)
