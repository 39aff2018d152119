"""Compiled validation of documents in place of event-model's, which would take most of the RunEngine's time.

The schemas are event-model's own. The compiled validator is believed only when it accepts: whatever it
refuses or cannot read (arrays, paths, numbers of numpy, NaN) is put to the stock validator, which has the
last word and raises its own `jsonschema.ValidationError`.
"""

from __future__ import annotations

from typing import Any

import event_model
from jsonschema_rs import Draft202012Validator


class CompiledValidator:
    """What `event_model.schema_validators` holds for one kind of document, only faster.

    Args:
        stock: the validator that it stands before; attributes not given here are its.
    """

    def __init__(self, stock: Any) -> None:
        self._stock = stock
        self._compiled = Draft202012Validator(stock.schema)

    def validate(self, document: Any) -> None:
        """Return if `document` keeps to the schema.

        Raises:
            jsonschema.ValidationError: it does not.
        """
        if not self.accepts(document):
            self._stock.validate(document)

    def accepts(self, document: Any) -> bool:
        """Whether the compiled schema alone finds `document` right; False as well for what is not JSON."""
        try:
            return self._compiled.is_valid(document)
        except ValueError:
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stock, name)


def install_compiled_validators() -> None:
    """From here on every document of this process is validated by compiled schemas; may be called again."""
    validators: dict[Any, Any] = event_model.schema_validators
    for kind, stock in validators.items():
        if not isinstance(stock, CompiledValidator):
            validators[kind] = CompiledValidator(stock)
