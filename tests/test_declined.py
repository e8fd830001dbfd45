"""The tree of what is declined is drawn as it is."""

import re

from gateway import declined
from gateway.declined import Declined


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)", declined.__doc__ or "")
    assert drawn == [leaf.__name__ for leaf in Declined.__subclasses__()]
