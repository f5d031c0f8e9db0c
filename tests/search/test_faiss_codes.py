"""The FAISS index: what it proposes, what it is kept as, and when it is made anew."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize

from radapter.errors import DataError, MissingExtraError
from radapter.search import ImageIndex, faiss_index, find, read_index, write_index
from radapter.search.faiss_codes import LEAST, beside, build_faiss, read_faiss

pytest.importorskip("faiss")


def an_index(rows=3000, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = normalize(torch.randn(rows, width, generator=generator))
    return ImageIndex(
        "m", tuple(f"{row:04}.png" for row in range(rows)), torch.zeros(rows, 2).long(), features
    )


def texts(count=20, width=16):
    return normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(1)))


@pytest.fixture(scope="module")
def index():
    return an_index()


@pytest.fixture(scope="module")
def coded(index):
    return build_faiss(index.features, of="it")


def test_hits_and_cosines_are_those_of_the_exact_search(index, coded):
    assert find(index, texts(), top=10, faiss=coded) == find(index, texts(), top=10)


def test_all_images_as_candidates_are_the_exact_search_whatever_the_codes(index, coded):
    blind = replace(coded, codes=torch.zeros_like(coded.codes))
    assert find(index, texts(2), top=300, faiss=blind) == find(
        index, texts(2), top=300
    )  # ten candidates a hit


def test_only_candidates_are_scored(index, coded):
    blind = replace(coded, codes=torch.zeros_like(coded.codes))  # all alike: any 500 are as good
    assert find(index, texts(2), top=10, faiss=blind) != find(index, texts(2), top=10)


def test_candidates_are_the_nearest_of_what_the_codes_stand_for(index, coded):
    low, high = coded.codes & 15, coded.codes >> 4
    numbers = torch.stack((low, high), 2).reshape(len(index), 16).long()
    decoded = coded.values.T.gather(0, numbers)
    expected = (texts(5) @ coded.rotation) @ decoded.T
    for found, scores in zip(coded.candidates(texts(5), count=50), expected, strict=True):
        # FAISS adds up in 8 bits: an item at the edge may change places with the next
        assert len(set(found.tolist()) & set(scores.topk(60).indices.tolist())) == 50


def test_of_equal_images_the_first_by_path_stands_first(index, coded):
    features = index.features.clone()
    features[100:110] = features[2000]
    twins = replace(index, features=features)
    (hits,) = find(twins, features[2000:2001], top=11, faiss=build_faiss(features, of="it"))
    assert [hit.path for hit in hits] == [index.paths[row] for row in (*range(100, 110), 2000)]


def test_a_text_has_the_same_candidates_alone_and_among_others(coded):
    alone = [coded.candidates(text[None], count=30) for text in texts(40)]
    assert coded.candidates(texts(40), count=30).equal(torch.cat(alone))


def test_the_same_features_give_the_same_codes(index, coded):
    again = build_faiss(index.features, of="it")
    assert again.codes.equal(coded.codes)
    assert again.values.equal(coded.values)
    assert again.rotation.equal(coded.rotation)


def test_a_width_that_is_odd_is_coded_too():
    odd = an_index(1200, width=5)
    made = build_faiss(odd.features, of="it")
    assert made.codes.shape == (1200, 3)
    assert find(odd, texts(5, 5), top=5, faiss=made) == find(odd, texts(5, 5), top=5)


def test_coding_is_told(index):
    told = []
    build_faiss(index.features, of="it", progress=lambda *done: told.append(done))
    assert told == [(3000, 3000)]


def test_too_few_rows_and_other_rows_are_refused(index, coded):
    with pytest.raises(ValueError, match=f"at least {LEAST} rows"):
        build_faiss(index.features[: LEAST - 1], of="it")
    with pytest.raises(ValueError, match=r"faiss must be of these features, \(1500, 16\)"):
        find(an_index(1500), texts(), top=3, faiss=coded)


def test_it_lies_beside_the_features_and_is_made_once(tmp_path, index):
    file = tmp_path / "photos.safetensors"
    write_index(file, index)
    assert beside(file) == tmp_path / "photos.faiss.safetensors"
    made = faiss_index(beside(file), index)
    before = beside(file).stat()
    kept = faiss_index(beside(file), read_index(file))
    assert (kept.of, beside(file).stat().st_mtime_ns) == (made.of, before.st_mtime_ns)
    assert kept.codes.equal(made.codes)
    assert find(index, texts(), top=10, faiss=kept) == find(index, texts(), top=10)
    assert before.st_size < file.stat().st_size / 4


def test_it_is_made_anew_for_other_features(tmp_path, index):
    faiss_index(tmp_path / "f", index)
    other = an_index(seed=3)
    made = faiss_index(tmp_path / "f", other)
    assert made.of != "it"
    assert read_faiss(tmp_path / "f").of == made.of
    assert find(other, texts(), top=5, faiss=made) == find(other, texts(), top=5)


@pytest.fixture
def written(tmp_path, index):
    faiss_index(tmp_path / "f", index)
    return tmp_path / "f"


@pytest.mark.parametrize("at", [-1, -20_000, 9])
def test_a_changed_byte_is_noticed_and_the_file_left(written, index, at):
    content = bytearray(written.read_bytes())
    content[at] ^= 1
    written.write_bytes(content)
    with pytest.raises(DataError, match="Remove it to have a new one made"):
        faiss_index(written, index)
    assert written.read_bytes() == content


@pytest.mark.parametrize("kept", [0, 7, 5000])
def test_a_truncated_file_is_refused(written, kept):
    written.write_bytes(written.read_bytes()[:kept])
    with pytest.raises(DataError, match="FAISS index must be a whole file"):
        read_faiss(written)


@pytest.mark.parametrize(
    ("name", "tensor", "said"),
    [
        ("codes", torch.zeros(3000, 9, dtype=torch.uint8), "its codes are"),
        ("codes", torch.zeros(3000, 8), "its codes are"),
        ("codes", torch.zeros((), dtype=torch.uint8), "its codes are"),
        ("codes", torch.zeros(0, 8, dtype=torch.uint8), "its codes are"),
        ("rotation", torch.zeros(16, 15), "its rotation are"),
        ("values", torch.zeros(16, 8), "its values are"),
        ("values", torch.full((16, 16), torch.nan), "its values are not all finite"),
    ],
)
def test_content_that_does_not_fit_is_refused_though_its_hash_does(written, name, tensor, said):
    from radapter.storage import sha256_of_tensors

    content = {key: load_file(written)[key] for key in ("rotation", "values", "codes")} | {name: tensor}
    about = {"kind": "radapter faiss index 1", "of": "it", "sha256": sha256_of_tensors(content.items())}
    save_file(content, written, metadata=about)
    with pytest.raises(DataError, match=said):
        read_faiss(written)


def test_faiss_own_files_are_no_index_of_radapter(tmp_path):
    import faiss

    flat = faiss.IndexFlatIP(4)
    flat.add(torch.eye(4).numpy())
    faiss.write_index(flat, str(tmp_path / "f"))
    with pytest.raises(DataError, match="must be a whole file that 'radapter search --index' wrote"):
        read_faiss(tmp_path / "f")
    save_file({"codes": torch.eye(4)}, tmp_path / "f")
    with pytest.raises(DataError, match="its kind is None"):
        read_faiss(tmp_path / "f")


def test_without_the_package_the_extra_is_named_and_nothing_written(tmp_path, index, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'radapter\[faiss\]'"):
        faiss_index(tmp_path / "f", index)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", ["torch", "faiss"])
def test_torch_and_faiss_compute_in_one_process_with_two_threads(first):
    """Each brings an OpenMP of its own: neither may hang, abort or change the other's results."""
    code = (
        f"import {first}, faiss, torch\n"
        "torch.set_num_threads(2)\nfaiss.omp_set_num_threads(2)\n"
        "x = torch.nn.functional.normalize(torch.randn(4000, 64, generator=torch.Generator().manual_seed(0)))\n"
        "for _ in range(3):\n"
        "    cosines, rows = faiss.knn(x[:50].numpy(), x.numpy(), 5, metric=faiss.METRIC_INNER_PRODUCT)\n"
        "    assert (torch.from_numpy(rows)[:, 0] == torch.arange(50)).all()\n"
        "    assert torch.allclose(torch.from_numpy(cosines), (x[:50] @ x.T).topk(5).values, atol=1e-5)\n"
        "print('same')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "same", "")
