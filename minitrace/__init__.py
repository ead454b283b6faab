"""The tracing server every developer keeps on their laptop.

Names are imported when first used (PEP 562), so that ``import minitrace`` costs a pytest run nothing.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from minitrace.config import Config as Config
    from minitrace.errors import MinitraceError as MinitraceError
    from minitrace.model import Span as Span
    from minitrace.model import Trace as Trace
    from minitrace.server import serve as serve
    from minitrace.store.store import Store as Store
    from minitrace.web.app import create_app as create_app

_HOMES = {
    "Config": "minitrace.config",
    "MinitraceError": "minitrace.errors",
    "Span": "minitrace.model",
    "Store": "minitrace.store.store",
    "Trace": "minitrace.model",
    "create_app": "minitrace.web.app",
    "serve": "minitrace.server",
}
__all__ = ["Config", "MinitraceError", "Span", "Store", "Trace", "create_app", "serve"]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'minitrace' has no attribute {name!r}")
