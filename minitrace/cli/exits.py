"""Exit codes. Errors that are not among them exit with 2."""

from __future__ import annotations

from minitrace import errors

NOTHING_FOUND = 1
EXIT_CODES: dict[type[errors.MinitraceError], int] = {
    errors.StoreError: 3,
    errors.StoreLocked: 4,
    errors.StoreDamaged: 5,
    errors.SchemaError: 6,
}
