"""Tars: what is listed, what is refused, and the two layouts of pairs in them."""

import io
import json
import tarfile

import pytest
from PIL import Image

from radapter.data import Reading, open_pairs
from radapter.data.splits import key_of
from radapter.data.tars import list_tar, samples
from radapter.errors import ConfigError, DataError


def png(red):
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (red, 0, 0)).save(stream, format="png")
    return stream.getvalue()


def tar(path, members, **changes):
    """Writes a tar of name -> bytes or text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            for key, value in changes.items():
                setattr(member, key, value)
            file.addfile(member, io.BytesIO(data))
    return path


def test_members_are_read_in_place(tmp_path):
    members = list_tar(tar(tmp_path / "a.tar", {"x.txt": "one", "in/y.txt": "two" * 400}))
    assert [member.name for member in members] == ["x.txt", "in/y.txt"]
    assert [member.read() for member in members] == [b"one", b"two" * 400]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_keys_end_at_the_first_dot_of_the_last_part(tmp_path):
    path = tar(tmp_path / "a.tar", {"v1.0/x.seg.png": "", "v1.0/x.TXT": "", ".hidden": "", "bare": ""})
    assert {key: set(parts) for key, parts in samples(list_tar(path)).items()} == {
        "v1.0/x": {"seg.png", "txt"}
    }


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tar(tmp_path / "a.tar", {"x.png": ""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError, match=r"plain files.*'x\.png', a link or a device"):
        list_tar(path)


@pytest.mark.parametrize("name", ["/etc/x.png", "../x.png", "a/../../x.png", "C:\\x.png", "..\\x.png"])
def test_names_that_leave_the_tar_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="must stay inside it"):
        list_tar(tar(tmp_path / "a.tar", {name: "x"}))


def test_members_that_are_too_large_are_refused(tmp_path):
    path = tar(tmp_path / "a.tar", {"x.png": "x" * 101})
    assert list_tar(path, max_member=101)
    with pytest.raises(DataError, match=r"at most 100 bytes.*'x\.png' with 101"):
        list_tar(path, max_member=100)


def test_captions_that_are_too_large_are_refused(tmp_path):
    path = tar(tmp_path / "a.tar", {"x.png": png(0), "x.txt": "x" * (2**20 + 1)})
    with pytest.raises(DataError, match="text in a tar must have at most 1048576 bytes"):
        open_pairs(str(path))


def test_a_tar_cut_off_anywhere_is_refused(tmp_path):
    path = tar(tmp_path / "a.tar", {"x.png": "x" * 700, "y.png": "y" * 600})
    whole = path.read_bytes()
    ends = 2 * 512 + 2 * 1024  # the end mark begins after two headers and two contents of two blocks
    assert len(list_tar(path)) == 2
    for cut in (0, 100, 512, 900, 1536, 1700, 2048, ends - 1, ends, ends + 300):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match="whole, uncompressed tar"):
            list_tar(path)


@pytest.mark.parametrize("place", [200, 1536 + 200])
def test_a_tar_with_a_damaged_header_is_refused(tmp_path, place):
    path = tar(tmp_path / "a.tar", {"x.png": "x" * 700, "y.png": "y" * 600})
    damaged = bytearray(path.read_bytes())
    damaged[place : place + 40] = b"\x99" * 40
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="whole, uncompressed tar"):
        list_tar(path)


def test_compressed_tars_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz"):
        pass
    with pytest.raises(DataError, match="uncompressed"):
        open_pairs(str(tmp_path / "a.tar"))


def test_a_name_that_stands_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for _ in range(2):
            file.addfile(tarfile.TarInfo("x.png"), io.BytesIO())
    with pytest.raises(DataError, match=r"x\.png' occurs twice"):
        open_pairs(str(tmp_path / "a.tar"))


def benchmark(folder, shards=2, count=None):
    for number in range(shards):
        members = {"s0.webp": png(number), "s0.txt": f"one {number}\ntwo {number}\n", "s0.cls": "0"}
        tar(folder / "test" / f"{number}.tar", members)
    (folder / "test" / "nshards.txt").write_text(f"{count or shards}\n")
    return folder


def test_shards_of_clip_benchmark_hold_a_caption_a_line(tmp_path):
    pairs = open_pairs({"clip_benchmark": str(benchmark(tmp_path / "wds_x"))})
    assert pairs.captions == ("one 0", "two 0", "one 1", "two 1")
    assert pairs.image_of_caption.tolist() == [0, 0, 1, 1]
    assert pairs.image(1).getpixel((0, 0)) == (1, 0, 0)
    assert pairs.keys.tolist() == [key_of(png(0)), key_of(png(1))]
    assert pairs.where(1).endswith("test/1.tar::s0.webp")
    assert open_pairs(str(tmp_path / "wds_x")).name == "wds_x"


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path):
    pairs = open_pairs(str(benchmark(tmp_path / "wds_x", shards=11)))
    assert [text for text in pairs.captions if "one" in text] == [f"one {number}" for number in range(11)]


@pytest.mark.parametrize(("count", "odd"), [(1, "1.tar"), (3, "2.tar")])
def test_another_number_of_shards_than_recorded_is_refused(tmp_path, count, odd):
    with pytest.raises(
        DataError, match=f"shards must be those that nshards.txt counts.*only one side has {odd}"
    ):
        open_pairs(str(benchmark(tmp_path / "wds_x", count=count)))


@pytest.mark.parametrize("text", ["", "two", "-1", "0", "99999999999"])
def test_a_number_of_shards_that_is_none_is_refused(tmp_path, text):
    folder = benchmark(tmp_path / "wds_x")
    (folder / "test" / "nshards.txt").write_text(text)
    with pytest.raises(DataError, match=r"nshards.txt must hold a number"):
        open_pairs(str(folder))


def test_an_unknown_split_of_shards_proposes_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match=r"split must be one of test\. .*no 'tset'\. Did you mean 'test'"):
        open_pairs({"clip_benchmark": str(benchmark(tmp_path)), "split": "tset"})
    with pytest.raises(DataError, match=r"folders with nshards\.txt"):
        open_pairs({"clip_benchmark": str(tmp_path / "gone")})


def test_a_text_of_webdataset_is_one_caption(tmp_path):
    tar(tmp_path / "a-0.tar", {"x.jpg": png(0), "x.txt": "a dog\nin the snow\n"})
    tar(tmp_path / "a-1.tar", {"y.jpg": png(1), "y.txt": "a cat"})
    pairs = open_pairs({"webdataset": str(tmp_path / "a-*.tar")})
    assert pairs.captions == ("a dog in the snow", "a cat")
    assert pairs.image(1).getpixel((0, 0)) == (1, 0, 0)


def described(tmp_path, *contents, **options):
    members = {}
    for number, content in enumerate(contents):
        members[f"{number}.jpg"] = png(number)
        members[f"{number}.json"] = content if isinstance(content, str) else json.dumps(content)
    return open_pairs({"webdataset": str(tar(tmp_path / "a.tar", members)), **options})


def test_json_of_webdataset_holds_captions_and_a_group(tmp_path):
    pairs = described(tmp_path, {"captions": ["one", "two"], "group": 7}, {"caption": "three", "group": 7})
    assert pairs.captions == ("one", "two", "three")
    assert pairs.groups.tolist() == [0, 0]


def test_json_may_have_keys_of_its_own(tmp_path):
    pairs = described(tmp_path, {"alt": "one", "id": "x", "group": 1}, captions="alt", group="id")
    assert pairs.captions == ("one",)


@pytest.mark.parametrize(
    ("contents", "options", "message"),
    [
        (['{"captions": '], {}, "JSON in a tar must be whole"),
        (["[]"], {}, "must be an object with captions"),
        ([{"captions": 3}], {}, "captions must be text"),
        ([{"captions": "x"}], {"captions": "alt"}, r"0\.json' has no 'alt'"),
        ([{"text": "x"}], {}, r"key must be one of text.*no 'caption'"),
        ([{"captions": "x"}], {"group": "id"}, "no 'id'"),
        ([{"captions": "x", "group": 1}, {"captions": "y"}], {}, "1 of 2 in 'a' have none"),
        ([{"captions": ""}], {}, "1 of 1 do"),
    ],
)
def test_json_of_another_shape_is_refused(tmp_path, contents, options, message):
    with pytest.raises((ConfigError, DataError), match=message):
        described(tmp_path, *contents, **options)


@pytest.mark.parametrize(
    "members",
    [
        {"bad.png": png(9)},
        {"bad.png": png(9), "bad.txt": " "},
        {"bad.png": png(9), "bad.json": '{"caption": null}'},
        {"bad.txt": "no image"},
    ],
    ids=["no caption", "blank caption", "null caption", "no image"],
)
def test_one_bad_sample_is_skipped_and_counted_within_max_bad(tmp_path, members, caplog):
    good = {
        f"{i}.{kind}": content for i in range(9) for kind, content in (("png", png(i)), ("txt", f"red {i}"))
    }
    path = tar(tmp_path / "a.tar", good | members)
    pairs = open_pairs(str(path), reading=Reading(max_bad=0.1))
    assert [text for text in pairs.captions if text.startswith("red")] == [f"red {i}" for i in range(9)]
    assert "bad" in caplog.text
    with pytest.raises(DataError, match="max_bad"):
        open_pairs(str(path), reading=Reading(max_bad=0.05))


def test_samples_that_are_not_whole_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"every sample of a tar must have an image.*::x' has none"):
        open_pairs(str(tar(tmp_path / "a.tar", {"x.txt": "one"})))
    with pytest.raises(DataError, match="1 of 1 do"):
        open_pairs(str(tar(tmp_path / "b.tar", {"x.png": png(0)})))
    with pytest.raises(DataError, match="hold none"):
        open_pairs(str(tar(tmp_path / "c.tar", {})))
    path = tar(tmp_path / "d.tar", {"x.png": png(0), "x.txt": "one"})
    with pytest.raises(ConfigError, match=r"group needs a key\.json"):
        open_pairs({"webdataset": str(path), "group": "id"})


def test_a_tar_that_is_missing_is_refused(tmp_path):
    with pytest.raises(DataError, match="tar must exist"):
        open_pairs({"webdataset": str(tmp_path / "gone-*.tar")})


def test_a_tar_that_goes_away_makes_its_images_unreadable(tmp_path):
    pairs = open_pairs(str(tar(tmp_path / "a.tar", {"x.png": png(0), "x.txt": "one"})))
    (tmp_path / "a.tar").unlink()
    with pytest.raises(DataError, match="tar must be readable"):
        pairs.image(0)
