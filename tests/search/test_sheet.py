"""The page of hits: self-contained, escaped, with an image for every hit."""

import base64
import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from radapter.search import Hit, sheet_html
from radapter.search.sheet import printable

NASTY = "<img src=x onerror=\"alert(1)\"> & '{title}'"


@pytest.fixture
def page(tmp_path):
    Image.new("RGB", (900, 300), (200, 30, 30)).save(tmp_path / "red & <b>.png")
    hits = [Hit(1, 0.5, "red & <b>.png"), Hit(2, 0.25, "gone.png")]
    return sheet_html({NASTY: hits, "a car": hits[:1]}, tmp_path, about=NASTY)


class Reader(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


def test_every_text_is_shown_as_it_is_and_runs_nothing(page):
    read = Reader(page)
    assert read.texts.count(NASTY) == 2
    assert "red & <b>.png" in read.texts
    assert not {tag for tag, _ in read.tags} & {"script", "b", "link", "iframe"}
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]


def test_the_page_loads_nothing(page):
    sources = [attributes["src"] for tag, attributes in Reader(page).tags if tag == "img"]
    assert len(sources) == 2
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|url\(|@import", page)


def test_thumbnails_keep_their_shape_and_are_small(page):
    source = re.search(r"base64,([^\"]+)", page).group(1)
    assert Image.open(io.BytesIO(base64.b64decode(source))).size == (320, 107)


def test_hits_show_rank_cosine_and_missing_files(page):
    assert "<span>1</span><span>0.500</span>" in page
    assert "width:50%" in page
    assert "no longer readable" in page
    assert "<small>2 hits</small>" in page
    assert "<small>1 hit</small>" in page


def test_the_page_follows_the_browser_s_colour_scheme(page):
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page


def test_names_are_one_printable_line():
    assert printable("a\nb\x1b[31m\udce9 é") == "a\\nb\\x1b[31m\\udce9 é"
