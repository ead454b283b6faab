"""Every error minitrace raises on purpose.

```
MinitraceError
├── ConfigError      a setting makes no sense                                exit 2
├── DecodeError      the bytes are not what the content type says            400
├── TooLarge         a limit on bytes or counts                              413
├── TraceQLError     not a query we understand; the message helps            400
├── TraceNotFound    no span of that trace is stored                         404
├── QueryTimeout     the query ran past its deadline                         503
├── StoreBusy        the writer cannot take it now; try again                503, Retry-After: 1
└── StoreError       the file cannot be used                                exit 3
    ├── SchemaError  the file is newer than this minitrace, or not ours      exit 6
    ├── StoreDamaged the file is damaged, or no database at all              exit 5
    └── StoreLocked  another minitrace has the file open                     exit 4
```

Modules raise what they know; the rims (web, cli) turn errors into answers.
The HTTP statuses are one dictionary in `web/answers.py`.
"""


class MinitraceError(Exception):
    """Something minitrace can explain; its text is written for the person who reads it."""


class ConfigError(MinitraceError):
    """A setting makes no sense."""


class DecodeError(MinitraceError):
    """The bytes are not what the content type says."""


class TooLarge(MinitraceError):
    """A limit on bytes or counts was passed."""


class TraceQLError(MinitraceError):
    """Not a query minitrace understands."""


class TraceNotFound(MinitraceError):
    """No span of that trace is stored."""


class QueryTimeout(MinitraceError):
    """The query ran past its deadline."""


class StoreBusy(MinitraceError):
    """The writer cannot take more now; try again in a second."""


class StoreError(MinitraceError):
    """The database file cannot be used."""


class SchemaError(StoreError):
    """The file is newer than this minitrace, or not one of ours."""


class StoreDamaged(StoreError):
    """The file is damaged, or no database at all."""


class StoreLocked(StoreError):
    """Another minitrace has the file open."""
