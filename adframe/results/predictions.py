"""The predictions of a run: `predictions.parquet`, one row per image."""

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
        pa.field("part", pa.string(), nullable=False),  # "" where every part has one photograph
        pa.field("condition", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("shift", pa.string(), nullable=False),  # drawn values of a domain shift as JSON; "" for none
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
        pa.field("defect_area", pa.float64()),  # annotated share of the image; null without annotation
        pa.field("defect_border", pa.float64()),  # distance to the border / shorter side; null as above
    ]
)
LATER_COLUMNS = ("defect_area", "defect_border")  # files of older runs lack them


def prediction_row(
    record: Record,
    *,
    score: float,
    size: tuple[int, int],
    milliseconds: float,
    decision: Decision | None = None,
    shift: Mapping[str, object] | None = None,
    defects: Extent | None = None,
) -> Row:
    """Builds the row of a test image.

    Args:
        record: the image.
        score: the raw score.
        size: (H0, W0) of the file in pixels.
        milliseconds: the time of scoring; NaN where it is unknown.
        decision: the score compared with a threshold; None without one.
        shift: the values that a domain shift drew for the image; None or {} without a shift.
        defects: size and place of the annotated defects; None without annotation.

    Returns:
        A dict with the columns of `SCHEMA`.
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


def write_predictions(path: Path, rows: list[Row]) -> None:
    """Writes the rows as parquet, either the whole file or nothing.

    Args:
        path: the parquet file.
        rows: dicts with exactly the columns of `SCHEMA`; None only in nullable columns.

    Raises:
        AdframeError: a column is unknown, missing, empty or of the wrong type, or the file cannot be written.
    """
    for number, row in enumerate(rows):
        _check_row(row, number=number, path=path)
    texts = [{key: _parquet_text(value) for key, value in row.items()} for row in rows]
    try:
        table = pa.Table.from_pylist(texts, SCHEMA)
    except (pa.ArrowException, OverflowError) as error:
        message = str(error).splitlines()[0]
        raise AdframeError(f"cannot write {path}: a value has the wrong type ({message})") from error
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    write_whole(path, buffer.getvalue())


def read_predictions(path: Path) -> list[Row]:
    """Reads the rows that `write_predictions` wrote.

    Args:
        path: the parquet file; an older one may lack `LATER_COLUMNS`, which are then None.

    Returns:
        The rows with the columns of `SCHEMA`.

    Raises:
        AdframeError: the file is missing, is not parquet, or has other columns.
    """
    try:
        stored = io.BytesIO(path.read_bytes())
        table = pq.ParquetFile(stored, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        message = str(error).splitlines()[0]
        raise AdframeError(f"cannot read {path}: {message}; run the evaluation again") from error
    for name in LATER_COLUMNS:
        if name not in table.column_names:
            table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), pa.float64()))
    _check_columns(table.column_names, where=str(path))
    rows: list[Row] = table.select(SCHEMA.names).cast(SCHEMA).to_pylist()
    return rows


def _check_row(row: Row, *, number: int, path: Path) -> None:
    _check_columns(list(row), where=f"{path}, row {number}")
    empty = [field.name for field in SCHEMA if row[field.name] is None and not field.nullable]
    if empty:
        raise AdframeError(f"{path}, row {number}: {', '.join(empty)} must not be None")


def _check_columns(names: list[str], *, where: str) -> None:
    unknown = sorted(set(names) - set(SCHEMA.names))
    missing = sorted(set(SCHEMA.names) - set(names))
    if unknown or missing:
        parts = [f"unknown columns {', '.join(unknown)}"] if unknown else []
        parts += [f"missing columns {', '.join(missing)}"] if missing else []
        raise AdframeError(f"{where}: {'; '.join(parts)}; the file has exactly {', '.join(SCHEMA.names)}")


def _parquet_text(value: object) -> object:
    # Parquet refuses lone surrogates, which Python has in file names that are not UTF-8.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
