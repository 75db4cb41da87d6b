"""Where two processes run: placement alone changes a round trip by a factor of ten.

Free is what the scheduler makes of it.
"""

from __future__ import annotations

from .crew import cpus

PLACES = {
    "free": "free",
    "one": "on one CPU",
    "two": "on two CPUs",
}


def pair(place: str) -> tuple[frozenset[int] | None, frozenset[int] | None]:
    if place == "free":
        return None, None
    if place == "one":
        (only,) = cpus(1)
        return only, only
    first, second = cpus(2)
    return first, second
