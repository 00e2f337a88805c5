"""The ledger: `predictions.parquet`, a row an image."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adframe.contracts import Decision, Record
from adframe.errors import AdframeError
from adframe.io.files import write_whole
from adframe.ops.defect_size import Extent

Row = dict[str, Any]

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("subset", pa.string(), nullable=False),
        pa.field("defect", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),  # "" where no part is photographed twice
        pa.field("condition", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field(
            "shift", pa.string(), nullable=False
        ),  # what a domain shift drew for it, as JSON; "" for none
        pa.field("label", pa.int8()),  # 0 normal, 1 anomalous, null unknown
        pa.field("score", pa.float64(), nullable=False),  # raw, larger is more anomalous
        pa.field("decision", pa.bool_()),  # null without a calibrated threshold
        pa.field("threshold", pa.float64()),
        pa.field("normalised", pa.float64()),  # the score on the calibration's readable scale
        pa.field("probability", pa.float64()),  # of being anomalous, where the calibration fitted one
        pa.field("reported", pa.bool_()),  # whether any pixel of the map exceeds the pixel threshold
        pa.field("by_zones", pa.bool_()),  # the decision by local thresholds, where there are zones
        pa.field("milliseconds", pa.float64(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),  # original frame, pixels
        pa.field("width", pa.int32(), nullable=False),
        pa.field("defect_area", pa.float64()),  # share of the image that is annotated; null where nothing is
        pa.field("defect_border", pa.float64()),  # least distance from the border, of the shorter side
    ]
)
LATER = ("defect_area", "defect_border")  # ledgers written before these columns were thought of lack them


def row_of(
    record: Record,
    *,
    score: float,
    size: tuple[int, int],
    milliseconds: float,
    decision: Decision | None = None,
    shift: Mapping[str, object] | None = None,
    defects: Extent | None = None,
) -> Row:
    """A test image's row.

    Args:
        record: where the image comes from.
        score: raw.
        size: (H0, W0) of the original frame.
        milliseconds: that scoring took; NaN where nobody knows.
        decision: the score compared with a threshold, where there is one.
        shift: what a domain shift drew for the image.
        defects: size and place of what is annotated in it, if anything is.
    """
    return {
        "path": str(record.path),
        "category": record.category,
        "split": record.split,
        "subset": record.subset,
        "defect": record.defect,
        "part": record.part,
        "condition": record.condition,
        "group": record.group,
        "shift": json.dumps(shift) if shift else "",
        "label": record.label,
        "score": score,
        "decision": None if decision is None else decision.anomalous,
        "threshold": None if decision is None else decision.threshold,
        "normalised": None if decision is None else decision.normalised,
        "probability": None if decision is None else decision.probability,
        "reported": None if decision is None else decision.reported,
        "by_zones": None if decision is None else decision.by_zones,
        "milliseconds": milliseconds,
        "height": size[0],
        "width": size[1],
        "defect_area": None if defects is None else defects.area,
        "defect_border": None if defects is None else defects.border,
    }


def write_ledger(path: Path, rows: list[Row]) -> None:
    """Write the rows as parquet, whole or not at all.

    Args:
        path: the parquet file.
        rows: dicts with exactly the columns of `SCHEMA`; None only where it says nullable.

    Raises:
        AdframeError: a column is unknown, missing, empty or of the wrong type, or the disk refuses.
    """
    for number, row in enumerate(rows):
        _check_row(row, number=number, path=path)
    texts = [{key: _text(value) for key, value in row.items()} for row in rows]
    try:
        table = pa.Table.from_pylist(texts, SCHEMA)
    except (pa.ArrowException, OverflowError) as error:
        message = str(error).splitlines()[0]
        raise AdframeError(f"cannot write {path}: a value has the wrong type ({message})") from error
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    write_whole(path, buffer.getvalue())


def read_ledger(path: Path) -> list[Row]:
    """Read the rows that `write_ledger` wrote; what an older one lacks of `LATER` is None.

    Raises:
        AdframeError: the file is missing, is not parquet, or has other columns than `SCHEMA`.
    """
    try:
        stored = io.BytesIO(path.read_bytes())
        table = pq.ParquetFile(stored, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        message = str(error).splitlines()[0]
        raise AdframeError(f"cannot read the ledger {path}: {message}; run the evaluation again") from error
    for name in LATER:
        if name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), pa.float64()))
    _check_names(table.column_names, where=str(path))
    rows: list[Row] = table.select(SCHEMA.names).cast(SCHEMA).to_pylist()
    return rows


def _check_row(row: Row, *, number: int, path: Path) -> None:
    _check_names(list(row), where=f"{path}, row {number}")
    empty = [field.name for field in SCHEMA if row[field.name] is None and not field.nullable]
    if empty:
        raise AdframeError(f"{path}, row {number}: {', '.join(empty)} must not be None")


def _check_names(names: list[str], *, where: str) -> None:
    unknown = sorted(set(names) - set(SCHEMA.names))
    missing = sorted(set(SCHEMA.names) - set(names))
    if unknown or missing:
        parts = [f"unknown columns {', '.join(unknown)}"] if unknown else []
        parts += [f"missing columns {', '.join(missing)}"] if missing else []
        raise AdframeError(f"{where}: {'; '.join(parts)}; a ledger has exactly {', '.join(SCHEMA.names)}")


def _text(value: object) -> object:
    # Lone surrogates (a file name that is not UTF-8) have no place in parquet's strings.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
