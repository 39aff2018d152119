"""The one place where labctl reaches drivers, plans, the executor and the bench: by entry points, by name."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from labctl.equipment import Device, FindsBench

DRIVERS, PLANS, EXECUTOR, BENCH = "labctl.drivers", "labctl.plans", "labctl.executor", "labctl.bench"
_IMPORTED_BY = {  # of labctl's own packages, which have common names
    DRIVERS: ("devices",),
    BENCH: ("devices",),
    PLANS: ("devices", "plans"),
    EXECUTOR: ("devices", "plans"),
}


def _registered(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def _load(entry: EntryPoint) -> Any:
    _require_own_packages(entry.group)
    return entry.load()


def _require_own_packages(group: str) -> None:
    """Refuse to go on where other files would be taken for labctl's packages; they are not run for that.

    Python looks first where the program lies, or in the working directory (`python -m`, a notebook).

    Raises:
        ConfigurationError: a file or folder has the name of one of the packages; says which, and what to do.
    """
    for name in _IMPORTED_BY[group]:
        own = Path(__file__).parents[1] / name / "__init__.py"
        found = _found(name)
        if found is None or not own.exists() or own.samefile(found):
            continue
        what = found.parent if found.name == "__init__.py" else found
        remedy = (
            f"is taken for labctl's own package {name} ({own.parent}): rename it, or work in another folder"
        )
        raise ConfigurationError(str(what), "name", name, remedy)


def _found(name: str) -> Path | None:
    """The file that `import NAME` runs, or has run; None where that is no file."""
    try:
        spec = find_spec(name)
    except ValueError:  # somebody has put a module there that knows no origin
        return None
    origin = spec.origin if spec is not None else None
    return Path(origin).resolve() if origin is not None and Path(origin).exists() else None


def load_driver(name: str, where: str, field: str) -> Callable[..., Device]:
    """The driver registered as `name`; `where` and `field` say who asked, for the error.

    Raises:
        ConfigurationError: no such driver, or files of other people stand in the place of labctl's packages.
    """
    drivers = _registered(DRIVERS)
    if name not in drivers:
        known = f"registered are {', '.join(sorted(drivers)) or 'none'}"
        raise ConfigurationError(where, field, name, f"no such driver; {did_you_mean(name, drivers)}{known}")
    return _load(drivers[name])


def plan_names() -> list[str]:
    """Names of the registered plans."""
    return sorted(_registered(PLANS))


def plan_headlines() -> dict[str, str]:
    """The first line of each registered plan's docstring, by name; its module is only read."""
    plans = _registered(PLANS)
    _require_own_packages(PLANS)
    return {name: _headline(plans[name]) for name in sorted(plans)}


def _headline(entry: EntryPoint) -> str:
    spec = find_spec(entry.module)
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        for node in ast.parse(Path(spec.origin).read_bytes()).body:
            if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
                return (ast.get_docstring(node) or "").partition("\n")[0]
    return (inspect.getdoc(_load(entry)) or "").partition("\n")[0]  # made by other means than a `def`


def load_plan(name: str) -> Callable[..., Any]:
    """The plan registered as `name`.

    Args:
        name: as in `labctl plans`.

    Raises:
        ConfigurationError: no such plan, or files of other people stand in the place of labctl's packages.
    """
    plans = _registered(PLANS)
    if name not in plans:
        known = f"registered are {', '.join(sorted(plans)) or 'none'}"
        raise ConfigurationError("labctl", "plan", name, f"no such plan; {did_you_mean(name, plans)}{known}")
    return _load(plans[name])


def load_executor(name: str) -> Callable[..., Any]:
    """A function of the executor: `run_protocol`, `resume`, `load_protocol`, `save_protocol`."""
    functions = _registered(EXECUTOR)
    if name not in functions:
        raise ConfigurationError("labctl", "executor", name, "no plans are installed")
    return _load(functions[name])


def load_bench() -> FindsBench:
    """The function that starts or finds the simulated bench of a station."""
    benches = _registered(BENCH)
    if "ensure" not in benches:
        raise ConfigurationError("labctl", "simulate", None, "no simulated bench is installed")
    return _load(benches["ensure"])


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of installed distributions, under identifiers as keys."""
    return {name.replace("-", "_"): version(name) for name in names}
