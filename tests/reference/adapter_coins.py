"""splitmix64 on Python integers, one key at a time: the coins that HashCoins must toss."""

import hashlib

MASK = (1 << 64) - 1


def splitmix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def coin(seed: int, step: int, site: str, key: int, keep: float) -> bool:
    """True where the branch is kept."""
    name = int.from_bytes(hashlib.blake2b(site.encode(), digest_size=8).digest(), "little")
    stream = splitmix64(splitmix64(splitmix64(seed) ^ step) ^ name)
    return splitmix64(stream ^ (key & MASK)) / 2**64 < keep
