"""What a load that failed is told as: its step and kind, and never a row."""

from dlt.load.exceptions import LoadClientJobFailed, LoadClientJobRetry
from dlt.pipeline.exceptions import PipelineStepFailed

from ..errors import DestinationError, LtiRostersError
from ..tables.asking import in_use, locked_by

PASSING = frozenset({"OperationalError", "InterfaceError", "OSError", "MemoryError"})  # may be over next time
# Errors whose first line tells of connections and files, never of a row.
TOLD = ("IOException", "OperationalError", "ConnectionException", "CatalogException")


def cause(error: PipelineStepFailed) -> LtiRostersError:
    """Return the error of ours that *error* came from, or one that tells it; a KeyboardInterrupt is raised again."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, LtiRostersError):
            return inner
        if isinstance(inner, KeyboardInterrupt):  # dlt wraps it like any failure
            raise inner
        inner = inner.__cause__ or inner.__context__
    if error.step == "extract":
        return _bug(error)
    return failed(error.step, error)


def failed(step: str, error: BaseException) -> DestinationError:
    """Name the step and the kind of error; its text may quote a row, so it is told only where it cannot."""
    if (holder := locked_by(error)) is not None:
        return in_use(holder)
    return DestinationError(
        f"the destination failed ({reason(error)}).",
        where=str(step),
        remedy="What was read is kept and is loaded first by the next run.",
    )


def reason(error: BaseException) -> str:
    """Return the kind of what *error* came from, and its first line where that never quotes a row."""
    kinds, told = [], ""
    inner: BaseException | None = error
    while inner is not None:
        kinds.append(type(inner).__name__)
        if kinds[-1] in TOLD and str(inner).strip():
            told = ": " + str(inner).strip().splitlines()[0][:200]
        inner = inner.__cause__ or inner.__context__
    return f"{kinds[-1]}{told}"


def is_final(error: DestinationError) -> bool:
    """Whether the package is to blame, not a destination that is down or a disk that is full."""
    inner: BaseException = error
    is_of_package = False
    while True:
        is_of_package |= isinstance(inner, (LoadClientJobFailed, LoadClientJobRetry))
        is_of_package |= isinstance(inner, PipelineStepFailed) and inner.step == "normalize"
        cause = inner.__cause__ or inner.__context__
        if cause is None:
            break
        inner = cause
    kinds = {kind.__name__ for kind in type(inner).__mro__}
    return is_of_package and not kinds & PASSING


def _bug(error: BaseException) -> LtiRostersError:
    last = error
    while last.__cause__ is not None:
        last = last.__cause__
    return LtiRostersError(
        f"an unexpected {type(last).__name__}.",
        where="extract",
        remedy="Please report it; nothing was loaded.",
    )
