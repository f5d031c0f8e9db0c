"""The small models, and a world without network."""

import copy
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from models.small import OPEN_CLIP, clip_folder, siglip2_folder, siglip_folder


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return siglip_folder(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="session")
def siglip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return siglip2_folder(tmp_path_factory.mktemp("siglip2"))


@pytest.fixture
def tiny_architecture(monkeypatch: pytest.MonkeyPatch) -> str:
    """A small CLIP ViT among open_clip's architectures, by this name."""
    import open_clip

    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-ViT", copy.deepcopy(OPEN_CLIP))
    return "tiny-ViT"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any connection fails the test, also where the library would have caught the failure."""
    attempts: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        attempts.append(address)
        raise AssertionError(f"a connection was tried: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield
    assert not attempts


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local hub cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path
