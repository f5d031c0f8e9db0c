"""`radapter push` against a local server that speaks the Hub's protocol."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from local_hub import local_hub

from radapter.errors import ModelError
from radapter.hub import push
from radapter.manifests import recorded

# huggingface_hub 2.4 uploads large files by an argument that httpx renamed
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch):
    """The server as the only endpoint of the Hub's client, with a token, and files by LFS instead of Xet."""
    constants = huggingface_hub.constants
    with local_hub() as server:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_local")
        huggingface_hub.utils.disable_progress_bars()
        yield server
        huggingface_hub.utils.enable_progress_bars()
        huggingface_hub.close_session()


@pytest.fixture
def copied(run, tmp_path) -> Path:
    """A copy of a run with a file that no manifest records."""
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_run_is_uploaded_with_the_files_of_its_manifests_and_cards_alone(radapter, copied, hub):
    answer = radapter("push", copied, "owner/name", "--json")
    assert answer.code == 0, answer.result.output
    wanted = {*recorded(copied), "manifest.json", "README.md"}
    wanted |= {f"adapter/{name}" for name in (*recorded(copied / "adapter"), "manifest.json", "README.md")}
    assert hub.files["owner/name"] == {name: (copied / name).read_bytes() for name in wanted}
    assert "adapter/adapter_model.safetensors" in hub.large
    assert json.loads(answer.printed)["files"].keys() == wanted
    assert (hub.commits, hub.private, hub.tokens) == (1, {"owner/name": False}, {"Bearer hf_local"})


def test_a_merged_folder_goes_into_a_private_repository(radapter, run, tmp_path, hub):
    merged = tmp_path / "merged"
    assert radapter("merge", run, "--alpha", "0.5", "--out", merged).code == 0
    answer = radapter("push", merged, "owner/name", "--private")
    assert answer.code == 0, answer.result.output
    assert hub.private == {"owner/name": True}
    assert hub.files["owner/name"].keys() == {*recorded(merged), "manifest.json", "README.md"}


def test_a_dry_run_lists_the_files_and_asks_no_server(radapter, copied, hub):
    answer = radapter("push", copied, "owner/name", "--dry-run")
    assert (answer.code, hub.tokens) == (0, set())
    assert "adapter/adapter_model.safetensors" in answer.printed
    assert "notes.txt" not in answer.printed
    assert "Nothing was uploaded" in answer.printed


def test_a_card_that_the_user_edited_stays(radapter, copied, hub):
    (copied / "README.md").write_text("---\nlicense: mit\n---\nmine\n")
    assert radapter("push", copied, "owner/name").code == 0
    assert hub.files["owner/name"]["README.md"] == b"---\nlicense: mit\n---\nmine\n"


def test_a_private_upload_into_a_public_repository_is_refused(copied, hub):
    push(copied, "owner/name", api=HfApi(endpoint=hub.endpoint))
    with pytest.raises(ModelError, match="'owner/name' exists and is public"):
        push(copied, "owner/name", private=True, api=HfApi(endpoint=hub.endpoint))
    assert hub.commits == 1


def test_a_damaged_file_is_not_uploaded(radapter, copied, hub):
    (copied / "results.json").write_text("{}")
    answer = radapter("push", copied, "owner/name")
    assert (answer.code, hub.tokens) == (2, set())
    assert "results.json' is damaged" in answer.said


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "the token is missing or may not write there. Log in with 'hf auth login'"), (500, "you may not")],
)
def test_a_refusal_is_one_sentence(radapter, copied, hub, status, words, monkeypatch):
    hub.refuses = status
    answer = radapter("push", copied, "owner/name")
    assert answer.code == 2
    assert f"'owner/name' was not uploaded: {words}" in answer.said
    assert "Traceback" not in answer.result.output


def test_a_hub_that_is_not_there_is_one_sentence(copied, hub):
    with pytest.raises(ModelError, match=r"was not uploaded.*Check the network"):
        push(copied, "owner/name", api=HfApi(endpoint="http://127.0.0.1:9", token="x"))


@pytest.mark.parametrize("name", ["name", "owner/name/more", "../name", "owner/"])
def test_a_name_without_an_owner_is_refused(radapter, copied, name):
    answer = radapter("push", copied, name)
    assert answer.code == 2
    assert f"repository must be OWNER/NAME, got '{name}'" in answer.said


def test_another_folder_is_refused(radapter, tmp_path):
    answer = radapter("push", tmp_path, "owner/name")
    assert answer.code == 2
    assert "push needs a finished run, its directory adapter, or a merged model" in " ".join(
        answer.said.split()
    )
