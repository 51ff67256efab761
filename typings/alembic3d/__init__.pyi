# Alembic's bindings carry no types that a checker can read: everything in them is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
