"""Files of a prediction log as Parquet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from adframe.inference.prediction_log import COUNTS, LOG_COLUMNS, NUMBERS

_TYPES = {
    name: pa.float64() if name in NUMBERS else pa.int64() if name in COUNTS else pa.string()
    for name in LOG_COLUMNS
}


def as_parquet(content: bytes) -> bytes:
    """Converts a file of a log.

    Args:
        content: of the CSV file.

    Returns:
        The content of the Parquet file.
    """
    options = pa.csv.ConvertOptions(column_types=_TYPES, strings_can_be_null=True)
    # Texts may have line ends in quotes, as names of files can.
    parsing = pa.csv.ParseOptions(newlines_in_values=True)
    buffer = io.BytesIO()
    table = pa.csv.read_csv(io.BytesIO(content), parse_options=parsing, convert_options=options)
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """Reads the rows of a Parquet file.

    Args:
        path: the file.

    Returns:
        One mapping per row.

    Raises:
        ValueError: it is no Parquet file.
        OSError: the file cannot be read.
    """
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return rows
