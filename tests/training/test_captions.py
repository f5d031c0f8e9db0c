import torch

from radapter.data import Batch
from radapter.training import ClassCaptions, StreamCaptions

NAMES, TEMPLATES = ("cat", "dog"), ("a {}.", "the {}.", "one {}.")


def batch(labels: torch.Tensor, indices: torch.Tensor, captions: tuple[str, ...] | None = None) -> Batch:
    return Batch(torch.zeros(len(labels), 3, 2, 2), labels, indices, indices, captions=captions)


class Recorder:
    """Tokens are the number of the text; what was tokenised is kept."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, texts: list[str]) -> torch.Tensor:
        self.texts += texts
        return torch.arange(len(texts)).unsqueeze(1)


def make(seed: int = 0) -> tuple[ClassCaptions, Recorder]:
    recorder = Recorder()
    return ClassCaptions(NAMES, TEMPLATES, recorder, seed=seed), recorder


def test_each_distinct_caption_is_tokenised_once():
    captions, recorder = make()
    for epoch in range(3):
        captions.of(batch(torch.tensor([0, 1, 1]), torch.arange(3)), epoch=epoch, samples=3)
    assert recorder.texts == [t.format(n) for n in NAMES for t in TEMPLATES]


def test_a_caption_names_its_image_class():
    captions, recorder = make()
    labels = torch.tensor([0, 1, 0, 1, 1])
    tokens, caption_of_image, _ = captions.of(batch(labels, torch.arange(5)), epoch=0, samples=5)
    texts = [recorder.texts[int(tokens[i])] for i in caption_of_image]
    assert [NAMES[label] in text for label, text in zip(labels, texts, strict=True)] == [True] * 5


def test_a_batch_holds_each_distinct_caption_once():
    captions, _ = make()
    tokens, caption_of_image, ids = captions.of(
        batch(torch.zeros(50).long(), torch.arange(50)), epoch=0, samples=50
    )
    assert len(tokens) == len(ids) == len(ids.unique()) == 3
    assert caption_of_image.shape == (50,)


def test_a_template_depends_on_sample_epoch_and_seed_but_not_on_the_batch():
    captions, _ = make()
    labels = torch.zeros(40).long()

    def drawn(captions: ClassCaptions, indices: torch.Tensor, epoch: int) -> list[int]:
        _, of_image, ids = captions.of(batch(labels[indices], indices), epoch=epoch, samples=40)
        return ids[of_image].tolist()

    everything = drawn(captions, torch.arange(40), 0)
    assert drawn(captions, torch.tensor([7, 3]), 0) == [everything[7], everything[3]]
    assert drawn(captions, torch.arange(40), 1) != everything
    assert drawn(make(seed=1)[0], torch.arange(40), 0) != everything


def test_captions_of_a_stream_are_known_by_their_text():
    texts = ("a cat", "a dog", "a cat")
    tokens, caption_of_image, ids = StreamCaptions(_letters).of(
        batch(torch.zeros(3).long(), torch.arange(3), texts), epoch=0, samples=9
    )
    assert [_read(tokens[row]) for row in caption_of_image] == list(texts)
    assert len(ids) == 2
    _, of_image, alone = StreamCaptions(_letters).of(
        batch(torch.zeros(1).long(), torch.tensor([7]), ("a dog",)), epoch=4, samples=9
    )
    assert alone[of_image[0]] == ids[caption_of_image[1]]


def _letters(texts: list[str]) -> torch.Tensor:
    return torch.tensor([list(text.encode()) for text in texts])


def _read(tokens: torch.Tensor) -> str:
    return bytes(tokens.tolist()).decode()
