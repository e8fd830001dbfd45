"""The one door to SQLAlchemy: load modules at their first use instead of their import.

SQLAlchemy takes 20 MB and 0.3 s of CPU, which a gateway without a database does not need. Modules
of `gateway` import the modules of `stores.sql` and `stores.audit` at their top. They name what is
inside only where it runs.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def defer(package: str, *names: str) -> None:
    """Register modules of the package that load when one of their attributes is first read."""
    for name in names:
        spec = importlib.util.find_spec(f"{package}.{name}")
        assert spec
        module = _deferred(spec)
        sys.modules[spec.name] = module
        setattr(sys.modules[package], name, module)


def _deferred(spec: ModuleSpec) -> ModuleType:
    assert spec.loader
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
