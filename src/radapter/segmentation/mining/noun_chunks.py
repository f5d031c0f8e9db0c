"""The nouns of a caption as spaCy finds them: heads of noun chunks, in the singular, of any vocabulary."""

from typing import Any, final

from radapter.errors import ConfigError, MissingExtraError

SCHEME = "spacy:"


@final
class SpacyNouns:
    """Finds what noun chunks are about.

    Args:
        pipeline: a spaCy pipeline that tags, parses and lemmatises English, such as `spacy.load("en_core_web_sm")`.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    @classmethod
    def from_name(cls, name: str) -> "SpacyNouns":
        """The pipeline of an installed package or a folder; nothing is downloaded.

        Raises:
            ConfigError: there is no such pipeline, or it finds no noun chunks.
            MissingExtraError: spaCy is not installed.
        """
        try:
            import spacy
        except ImportError as error:
            raise MissingExtraError(
                "nouns by spaCy need spacy, which is not installed. Run pip install 'radapter[nouns]', or use the "
                "built-in list."
            ) from error
        try:
            pipeline = spacy.load(name, exclude=["ner"])
        except OSError as error:
            raise ConfigError(
                f"a spaCy pipeline must be installed. '{name}' is not. Run python -m spacy download {name}."
            ) from error
        lacking = [part for part in ("parser", "lemmatizer") if part not in pipeline.pipe_names]
        if lacking:
            raise ConfigError(
                f"a spaCy pipeline must have a parser and a lemmatizer. '{name}' lacks {' and '.join(lacking)}. Use "
                "en_core_web_sm."
            )
        return cls(pipeline)

    def __call__(self, caption: str) -> tuple[str, ...]:
        """The heads of a caption's noun chunks, each once, in lower case; names and pronouns are left out."""
        heads = (chunk.root for chunk in self._pipeline(caption).noun_chunks)
        return tuple(dict.fromkeys(head.lemma_.lower() for head in heads if head.pos_ == "NOUN"))
