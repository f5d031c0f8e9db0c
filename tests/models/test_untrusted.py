"""A directory of weights and JSON runs no code, reads nothing elsewhere, and asks nobody."""

import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import radapter
from radapter.errors import ModelError
from radapter.models import export, load
from radapter.storage import read_json, write_json
from radapter_cli import app

CODE = """
from pathlib import Path
Path("was-run").touch()
from transformers import CLIPConfig, CLIPImageProcessor, PreTrainedTokenizerFast
class Config(CLIPConfig): pass
class Processor(CLIPImageProcessor): pass
class Tokenizer(PreTrainedTokenizerFast): pass
"""
MAP = {
    "AutoConfig": "evil.Config",
    "AutoImageProcessor": "evil.Processor",
    "AutoTokenizer": ["evil.Tokenizer", None],
}
pytestmark = pytest.mark.usefixtures("no_network")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, where code of a model would leave a file."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clip_copy(clip: Path, here: Path) -> Path:
    return Path(shutil.copytree(clip, here / "clip"))


@pytest.fixture
def open_clip_copy(here: Path) -> Path:
    return unrecorded(export(load("world:tiny"), to=here / "open_clip", format="open_clip"))


@pytest.fixture
def timm_copy(here: Path) -> Path:
    return unrecorded(export(load("timm:vit_tiny_patch16_224"), to=here / "timm"))


def unrecorded(folder: Path) -> Path:
    """Forget what radapter recorded of a directory: it would refuse any change as damage."""
    for name in ("manifest.json", "certificate.json"):
        (folder / name).unlink(missing_ok=True)
    return folder


def change(file: Path, **values: Any) -> None:
    write_json(file, (read_json(file) if file.is_file() else {}) | values)


def evaluated(folder: Path, *, code: int, command: str = "evaluate") -> str:
    """What a command says of a model with code beside it, which must not run; the answer on stdin is yes."""
    (folder / "evil.py").write_text(CODE)
    options = ["--data", "{world: sketch, size: 20}", "--templates", "short"] if command == "evaluate" else []
    result = CliRunner().invoke(app, [command, str(folder), *options], input="y\n" * 9)
    assert not Path("was-run").exists()
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_code_of_a_configuration_is_not_run(clip_copy: Path) -> None:
    change(clip_copy / "config.json", auto_map=MAP)
    evaluated(clip_copy, code=0)
    change(clip_copy / "config.json", model_type="evil")
    assert "model_type" in evaluated(clip_copy, code=2)


def test_code_of_an_image_processor_is_not_run(clip_copy: Path) -> None:
    change(clip_copy / "preprocessor_config.json", auto_map=MAP)
    evaluated(clip_copy, code=0)
    change(clip_copy / "preprocessor_config.json", image_processor_type="Evil")
    assert "preprocessor_config.json" in evaluated(clip_copy, code=2)


def test_code_of_a_tokenizer_is_not_run(clip_copy: Path) -> None:
    change(clip_copy / "tokenizer_config.json", auto_map=MAP, tokenizer_class="PreTrainedTokenizerFast")
    evaluated(clip_copy, code=0)
    change(clip_copy / "tokenizer_config.json", tokenizer_class="Evil")
    evaluated(clip_copy, code=0)  # transformers reads tokenizer.json alone


def test_options_of_an_open_clip_tokenizer_are_listed(open_clip_copy: Path) -> None:
    change(open_clip_copy / "tokenizer_config.json", auto_map=MAP, tokenizer_class="PreTrainedTokenizerFast")
    about = read_json(open_clip_copy / "open_clip_config.json")
    for options, code in (({"clean": "lower"}, 0), ({"trust_remote_code": True}, 2), ({"bpe_path": "/x"}, 2)):
        about["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = options
        write_json(open_clip_copy / "open_clip_config.json", about)
        said = evaluated(open_clip_copy, code=code)
        assert code == 0 or next(iter(options)) in said


@pytest.mark.parametrize("place", ["evil", "open_clip/evil", "hf-hub:owner/name", "../evil", "/etc"])
def test_code_of_a_text_tower_is_not_run(open_clip_copy: Path, here: Path, place: str) -> None:
    for folder in (here / "evil", open_clip_copy / "evil"):
        folder.mkdir()
        write_json(folder / "config.json", {"model_type": "evil", "auto_map": MAP})
        (folder / "evil.py").write_text(CODE)
    about = read_json(open_clip_copy / "open_clip_config.json")
    about["model_cfg"]["text_cfg"]["hf_model_name"] = place
    write_json(open_clip_copy / "open_clip_config.json", about)
    evaluated(open_clip_copy, code=2)


@pytest.mark.parametrize(
    "name", ["hf-hub:evil/repo", "local-dir:timm", "HF_HUB:evil/repo", "evil/repo", "timm/"]
)
def test_a_configuration_names_no_other_place(open_clip_copy: Path, timm_copy: Path, name: str) -> None:
    about = read_json(open_clip_copy / "open_clip_config.json")
    about["model_cfg"]["vision_cfg"]["timm_model_name"] = name
    write_json(open_clip_copy / "open_clip_config.json", about)
    assert "open_clip_config.json" in evaluated(open_clip_copy, code=2)
    change(timm_copy / "config.json", architecture=name)
    assert "config.json" in evaluated(timm_copy, code=2, command="inspect")


def test_code_beside_a_timm_model_is_not_run(timm_copy: Path) -> None:
    change(timm_copy / "config.json", auto_map=MAP, model_args={"pretrained": True})
    evaluated(timm_copy, code=2, command="inspect")
    change(timm_copy / "config.json", model_args={})
    evaluated(timm_copy, code=0, command="inspect")


def test_an_implementation_of_the_hub_is_refused(clip_copy: Path) -> None:
    change(clip_copy / "config.json", attn_implementation="evil/attention")
    assert "attn_implementation" in evaluated(clip_copy, code=2)


@pytest.mark.parametrize("shard", ["../weights.safetensors", "{here}/weights.safetensors", "x\\y", "..", ""])
def test_an_index_of_weights_lists_files_beside_it(clip_copy: Path, here: Path, shard: str) -> None:
    (clip_copy / "model.safetensors").rename(here / "weights.safetensors")
    index = {"weight_map": {"logit_scale": shard.format(here=here)}}
    write_json(clip_copy / "model.safetensors.index.json", index)
    assert "must name files beside it" in evaluated(clip_copy, code=2)


def test_a_link_out_of_the_directory_is_refused(clip_copy: Path, here: Path) -> None:
    (clip_copy / "model.safetensors").rename(here / "weights.safetensors")
    (clip_copy / "model.safetensors").symlink_to(here / "weights.safetensors")
    with pytest.raises(ModelError, match="is a link to"):
        load(clip_copy)


def test_links_of_the_hub_cache_are_read(clip: Path, here: Path) -> None:
    blobs, snapshot = here / "models--a--b" / "blobs", here / "models--a--b" / "snapshots" / ("0" * 40)
    shutil.copytree(clip, blobs)
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(file)
    assert load(snapshot).library == "transformers"


def test_every_call_of_a_library_refuses_remote_code() -> None:
    calls = 0
    for file in Path(radapter.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"Auto\w+\.from_pretrained|.*\bHFTokenizer", called):
                trusts = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert trusts.get("trust_remote_code") == "False", f"{file}:{node.lineno}"
                assert trusts.get("local_files_only") == "True", f"{file}:{node.lineno}"
                calls += 1
    assert calls > 5
