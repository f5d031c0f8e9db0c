"""Counter-based random numbers, literally: Python integers, one number at a time."""

import zlib

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def finaliser(value: int) -> int:
    """SplitMix64's mixing of one 64-bit number."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def number(seed: int, index: int, stream: str, place: int = 1) -> float:
    """The `place`-th uniform number of (seed, index, stream), in [0, 1)."""
    start = finaliser((seed * 4 + 1) * _GOLDEN & _MASK)
    key = finaliser(finaliser(index * _GOLDEN + start & _MASK) + zlib.crc32(stream.encode()) & _MASK)
    return (finaliser(key + place * _GOLDEN & _MASK) >> 40) / 2**24
