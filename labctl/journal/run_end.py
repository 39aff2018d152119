"""How the run of a protocol ended: at the protocol's end, or stopped by a person before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labctl.schema import END_REASON, PROTOCOL_STEP

_STOPPED_AT = "stopped at step"
_CUT_OFF = ("paused", "stopped", "interrupted")  # `end_reason` of a step that did not come to its own end
_PASS = re.compile(r"(\d+)\[(\d+)\]")


def stopped_reason(step: int, steps: int) -> str:
    """The stop document's reason where a person stopped a protocol.

    Args:
        step: Which step of the protocol it was, from 1.
        steps: How many were estimated.
    """
    return f"{_STOPPED_AT} {step} of {max(step, steps)}"


def ending(
    start: Mapping[str, Any], stop: Mapping[str, Any], last_step: Mapping[str, Any] | None
) -> dict[str, bool]:
    """Keys of the stop document that readers can trust: `stopped` or `protocol_completed`, true or absent.

    The RunEngine calls a run that was stopped a success, and its stop document has no room for more. The
    executor closes such a run itself; where it could not, the last row of `steps` decides.

    Args:
        start: The start document.
        stop: The stop document.
        last_step: The last row of `steps`; None if there is none.
    """
    if "protocol" not in start:
        return {}
    if stop.get("exit_status") == "success":
        stopped = as_it_ended(start, stop, lambda: last_step).get("stopped") is True
        return {"stopped": True} if stopped else {"protocol_completed": True}
    stopped = stop.get("exit_status") == "abort" and str(stop.get("reason", "")).startswith(_STOPPED_AT)
    return {"stopped": True} if stopped else {}


def as_it_ended(
    start: Mapping[str, Any], stop: Mapping[str, Any], last_step: Callable[[], Mapping[str, Any] | None]
) -> dict[str, Any]:
    """The stop document, with `stopped` where an earlier version has called a stopped run a success.

    Such a run tells no reason, and its last row of `steps` is not that of the protocol's last step.

    Args:
        start: The start document.
        stop: The stop document.
        last_step: Gives the last row of `steps`, None if there is none; asked only where it matters.
    """
    protocol = start.get("protocol")
    doubtful = stop.get("exit_status") == "success" and not stop.get("reason")
    if not doubtful or stop.get("protocol_completed") is True or not isinstance(protocol, Mapping):
        return dict(stop)
    row = last_step()
    reached = row is not None and _is_last(protocol, row)
    return dict(stop) if reached else {**stop, "stopped": True}


def _is_last(protocol: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether this row of `steps` can be the last one of a protocol that has ended."""
    path, items = str(row.get(PROTOCOL_STEP, "")), _items(protocol.get("items"))
    reason = str(row.get(END_REASON))
    if reason in _CUT_OFF:
        return False
    instead = path.endswith(".rest")  # of what was left of an interrupted sequence
    return _ends_at(items, path.removesuffix(".rest"), reason, whole=instead)


def _ends_at(items: Sequence[Mapping[str, Any]], path: str, reason: str, *, whole: bool) -> bool:
    """Whether the step at `path` is the last of `items`; `whole`: the path is that of a gapless sequence."""
    index = next((n for n in reversed(range(len(items))) if items[n].get("kind") != "mark"), None)
    if index is None:
        return True  # nothing to be done
    here, _, below = path.partition(".")
    item = items[index]
    if item.get("kind") == "loop":
        found = _PASS.fullmatch(here)
        last = found is not None and (int(found[1]), int(found[2])) == (index, int(item.get("repeat", 0)) - 1)
        return last and _ends_at(_items(item.get("body")), below, reason, whole=whole)
    if here != str(index):
        return False
    if item.get("kind") == "cc_cv":
        return below == "1" or (below == "0" and not reason.startswith("voltage"))  # then it is not held
    techniques = _items(item.get("techniques"))
    return whole or len(techniques) < 2 or below == str(len(techniques) - 1)


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []
