"""What a classifier says about images, and the files that hold it: CSV, JSON Lines and Parquet."""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

from radapter.data.paths import plain
from radapter.storage import check_new_file, whole_file, write_text

SUFFIXES = (".csv", ".jsonl", ".parquet")


class Ranked(NamedTuple):
    """A class and its probability in [0, 1]."""

    label: str
    probability: float


class Prediction(NamedTuple):
    """One image.

    Attributes:
        path: its path, or its name in messages, such as "table row 3" or "image 3".
        label: the class with the largest probability; None if the image cannot be read.
        probability: of `label`, calibrated; None if the image cannot be read.
        top: the most probable classes, best first; empty if the image cannot be read.
        zero_shot: the class that the model before training gives; None if that model is not at hand, or the image
            cannot be read.
        differs: whether `label` and `zero_shot` differ; None if one is None.
        error: why the image cannot be read; None if it can.
    """

    path: str
    label: str | None = None
    probability: float | None = None
    top: tuple[Ranked, ...] = ()
    zero_shot: str | None = None
    differs: bool | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields, as a line of JSON Lines holds them."""
        return {**self._asdict(), "path": plain(self.path), "top": [each._asdict() for each in self.top]}


@final
@dataclass(frozen=True)
class Predictions:
    """The predictions of N images, in their order.

    Attributes:
        rows: one per image.
        classnames: the classes that were asked for.
        alpha: of the run or the merged directory; None for a model.
        temperature: by which the logits were divided; 1 if they were not calibrated.
        notes: sentences for the user, such as why probabilities are not calibrated.
    """

    rows: tuple[Prediction, ...]
    classnames: tuple[str, ...]
    alpha: float | None
    temperature: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Prediction:
        return self.rows[index]

    @property
    def counts(self) -> dict[str, int]:
        """Class -> how many images have it, most frequent first."""
        return dict(Counter(row.label for row in self.rows if row.label is not None).most_common())

    @property
    def errors(self) -> dict[str, str]:
        """The path of each unreadable image -> why."""
        return {row.path: row.error for row in self.rows if row.error is not None}

    @property
    def differing(self) -> int | None:
        """How many images have another class than the zero-shot model gives; None if that is not known."""
        known = [row.differs for row in self.rows if row.differs is not None]
        return sum(known) if known else None

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes one row per image; docs/reference/files.md describes the columns.

        Raises:
            ConfigError: the suffix is none of `SUFFIXES`.
            RunError: the file exists, or cannot be written.
        """
        target = check_new_file(path, SUFFIXES)
        if target.suffix == ".csv":
            write_text(target, self._csv())
        elif target.suffix == ".jsonl":
            lines = (json.dumps(row.as_json(), ensure_ascii=False) for row in self.rows)
            write_text(target, "".join(f"{line}\n" for line in lines))
        else:
            self._write_parquet(target)
        return target

    def _csv(self) -> str:
        further = max((len(row.top) for row in self.rows), default=1) - 1
        columns = [f"{name}_{rank + 2}" for rank in range(further) for name in Ranked._fields]
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["path", "label", "probability", *columns, "zero_shot", "differs", "error"])
        for row in self.rows:
            others = [value for each in row.top[1:] for value in each]
            others += [""] * (2 * further - len(others))
            differs = "" if row.differs is None else str(row.differs).lower()
            cells = [plain(row.path), row.label, row.probability, *others, row.zero_shot, differs, row.error]
            lines.writerow(cells)
        return text.getvalue()

    def _write_parquet(self, target: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        ranked = pa.struct([("label", pa.string()), ("probability", pa.float64())])
        schema = pa.schema(
            [
                ("path", pa.string()),
                ("label", pa.string()),
                ("probability", pa.float64()),
                ("top", pa.list_(ranked)),
                ("zero_shot", pa.string()),
                ("differs", pa.bool_()),
                ("error", pa.string()),
            ]
        )
        with whole_file(target) as file:
            pq.write_table(pa.Table.from_pylist([row.as_json() for row in self.rows], schema=schema), file)
