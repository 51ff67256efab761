"""The checker of types at run time: beartype, for which an int is a float as it is for Python's own type system."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
