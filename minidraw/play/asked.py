"""What the page asks for: the fields of a request, each checked as it is read."""

import base64
import binascii
from typing import Any

from ..errors import UserError, one_line


class Asked:
    """The fields of a request, `where` in it; a field that is missing or unfit is a UserError that names it."""

    def __init__(self, fields: Any, where: str = ""):
        if not isinstance(fields, dict):
            raise UserError(f"{where.rstrip('.') or 'the request'} must be an object")
        self.fields, self.where = fields, where

    def __contains__(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Return a whole number from `least` to `most`."""
        value = self._value(name, default)
        if isinstance(value, float) and value.is_integer():  # JavaScript has one kind of numbers
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            raise self._unfit(name, f"a whole number from {least} to {most}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """Return a number from `low` to `high`."""
        value = self._value(name, default)
        if type(value) not in (int, float) or not low <= value <= high:  # NaN neither
            raise self._unfit(name, f"a number from {low:g} to {high:g}")
        return float(value)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text that is not empty."""
        value = self._value(name, default)
        if not isinstance(value, str) or not value:
            raise self._unfit(name, "a text")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self._unfit(name, "true or false")
        return value

    def content(self, name: str) -> bytes:
        """Return the bytes of a file, which come in base64; it may be empty."""
        try:
            return b"" if self.fields.get(name) == "" else base64.b64decode(self.text(name), validate=True)
        except (binascii.Error, ValueError):
            raise self._unfit(name, "a file in base64") from None

    def child(self, name: str) -> "Asked":
        """Return the fields of an object in it."""
        return Asked(self._value(name, None), f"{self.where}{name}.")

    def _value(self, name: str, default: Any) -> Any:
        value = self.fields.get(name)
        return default if value is None else value

    def _unfit(self, name: str, wanted: str) -> UserError:
        return UserError(f"{self.where}{name} must be {wanted}, not {one_line(repr(self.fields.get(name)), 60)}")
