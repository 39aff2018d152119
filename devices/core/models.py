"""Which model of its maker an instrument is: the one that the station names, and the one that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from labctl.errors import ConfigurationError, DeviceError, InstrumentError


class Model(Protocol):
    """What one model can do; the rest is its driver's."""

    @property
    def name(self) -> str:
        """As people call it, with what the maker prints on it."""
        ...


M = TypeVar("M", bound=Model)


class ModelChoice(Generic[M]):
    """One of the models that a driver supports.

    Args:
        driver: its name, for messages.
        supported: by what a station file calls them.
        expected: what the station file says; None takes any.

    Raises:
        ConfigurationError: `expected` is none of them.
    """

    def __init__(self, driver: str, supported: Mapping[str, M], expected: object = None) -> None:
        self._supported = supported
        self._expected = None if expected is None else supported.get(str(expected))
        self._answering: M | None = None
        if expected is not None and self._expected is None:
            raise ConfigurationError(driver, "model", expected, f"allowed are {', '.join(supported)}")

    @property
    def known(self) -> M | None:
        """The model that has answered, before that the expected one; None where neither is known."""
        return self._answering or self._expected

    def require(self, name: str) -> M:
        """The same of the device `name`, which must have been connected."""
        if self.known is None:
            raise DeviceError(f"{name}: not connected")
        return self.known

    def take(self, model: M | None, address: str, answer: str) -> None:
        """`model` answers at `address`, by its own word `answer`; None is one that no driver knows.

        Raises:
            InstrumentError: it is not supported, or not the expected one.
        """
        if model is None:
            known = ", ".join(self._supported)
            raise InstrumentError(f"{address}: model {answer!r} is not supported; supported are {known}")
        if self._expected is not None and model is not self._expected:
            expected = self._expected.name
            raise InstrumentError(f"{address}: the station expects {expected}, but {model.name} answers")
        self._answering = model
